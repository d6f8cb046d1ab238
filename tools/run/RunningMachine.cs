// One emulated machine: started, pumped, photographed, and never left behind.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>A running emulator whose COM1 is in our hands. Disposing it ends it.</summary>
public sealed class RunningMachine : IAsyncDisposable
{
    private readonly string folder;
    private readonly IEmulator emulator;
    private readonly List<Process> guards = [];
    private Process process;
    private Stream keyboard;
    private readonly Lock changing = new(); // of the two below, and of the process
    private TaskCompletionSource restarted; // set while a restart is wanted
    private bool ending;
    private readonly Task pumping;
    private readonly StringBuilder complaints = new();
    private readonly SemaphoreSlim typing = new(1);

    public SerialLog Serial { get; }

    /// <summary>The command line, for the log.</summary>
    public string CommandLine { get; }

    /// <summary>What the emulator itself complained about.</summary>
    public string Complaints { get { lock (complaints) return complaints.ToString().Trim(); } }

    /// <summary>Done when the emulator has ended and all of its output is in the log.</summary>
    public Task Ended => pumping;
    /// <summary>The emulator has ended with an exit code that says that something went wrong.</summary>
    public bool HasFailed => process.HasExited && emulator.IsFailure(process.ExitCode);

    /// <summary>Makes the boot medium and starts the machine.</summary>
    /// <param name="files">What is on the boot medium; null for a direct kernel.</param>
    /// <param name="echo">Sees the serial bytes as they come, and the clean text in them; may be null.</param>
    public static async Task<RunningMachine> StartAsync(MachineOptions options, BootFiles files, SerialLog log, Action<ReadOnlyMemory<byte>, string> echo)
    {
        string folder = Directory.CreateTempSubdirectory("lamina-").FullName;
        IEmulator emulator = null;
        try
        {
            var disks = new List<MachineDisk>();
            foreach (MachineDisk disk in options.Disks)
                disks.Add(await disk.PrepareAsync(folder, disks.Count));
            emulator = Emulators.Create(options with { Disks = disks }, folder);
            await emulator.PrepareAsync(files);
            return new RunningMachine(emulator, folder, log, echo);
        }
        catch
        {
            emulator?.Dispose();
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    private RunningMachine(IEmulator emulator, string folder, SerialLog log, Action<ReadOnlyMemory<byte>, string> echo)
    {
        this.folder = folder;
        this.emulator = emulator;
        Serial = log;
        CommandLine = emulator.Program + " " + string.Join(' ', emulator.Arguments);
        Start();
        pumping = PumpAsync(echo);
    }

    private void Start()
    {
        var start = new ProcessStartInfo(emulator.Program, emulator.Arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        process = Process.Start(start);
        if (!OperatingSystem.IsWindows())
            guards.Add(StartGuard(process.Id, folder));
        process.ErrorDataReceived += (_, e) => { if (e.Data != null && emulator.IsComplaint(e.Data)) lock (complaints) complaints.AppendLine(e.Data); };
        process.BeginErrorReadLine();
    }

    /// <summary>Cuts the power and turns it on again: the same volume and disks, nothing in the machine's memory survives. The log goes on.</summary>
    public async Task RestartAsync()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (changing)
        {
            restarted = done;
            Kill();
        }
        await Task.WhenAny(done.Task, pumping);
        if (!done.Task.IsCompletedSuccessfully)
            throw new Failure("the emulator could not be started again");
    }

    /// <summary>Types into COM1.</summary>
    public async Task TypeAsync(ReadOnlyMemory<byte> bytes)
    {
        await typing.WaitAsync();
        try
        {
            if (keyboard is { } com1)
            {
                await com1.WriteAsync(bytes);
                await com1.FlushAsync();
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException) { } // it ended meanwhile
        finally
        {
            typing.Release();
        }
    }

    public Task TypeAsync(string text) => TypeAsync(Encoding.UTF8.GetBytes(text));

    /// <summary>Writes the screen to a PNG file.</summary>
    public Task ScreenshotAsync(string file) => emulator.ScreenshotAsync(file);

    /// <summary>Sends one control command and returns the answer line.</summary>
    public Task<string> ControlAsync(string command, JsonNode arguments = null) => emulator.ControlAsync(command, arguments);

    /// <summary>What stopped the machine from inside the emulator, in one line; null: nothing did.</summary>
    public string Fault => pumping.IsCompleted ? emulator.Fault : null;

    public async ValueTask DisposeAsync()
    {
        lock (changing)
        {
            ending = true;
            Kill();
        }
        try
        {
            await pumping;
        }
        finally
        {
            process.Dispose();
            emulator.Dispose();
            foreach (Process guard in guards)
            {
                await guard.WaitForExitAsync();
                guard.Dispose();
            }
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
    }

    private void Kill()
    {
        try
        {
            process.Kill();
        }
        catch (InvalidOperationException) { } // it ended by itself, or could not be started again
    }

    private async Task PumpAsync(Action<ReadOnlyMemory<byte>, string> echo)
    {
        var buffer = new byte[16384];
        try
        {
            while (true)
            {
                Com1 com1 = await emulator.ConnectAsync(process);
                keyboard = com1.Input;
                for (int count; com1.Output != null && (count = await ReadAsync(com1.Output, buffer)) > 0;)
                {
                    string added = Serial.Append(buffer.AsSpan(0, count));
                    echo?.Invoke(buffer.AsMemory(0, count), added);
                }
                await process.WaitForExitAsync();
                TaskCompletionSource done;
                lock (changing)
                {
                    done = restarted;
                    restarted = null;
                    if (done == null || ending)
                        return;
                    process.Dispose();
                    Start();
                }
                done.SetResult();
            }
        }
        finally
        {
            Serial.End();
        }
    }

    // A killed emulator may reset its connection instead of closing it.
    private static async Task<int> ReadAsync(Stream output, byte[] buffer)
    {
        try
        {
            return await output.ReadAsync(buffer);
        }
        catch (IOException)
        {
            return 0;
        }
    }

    // Should this program be killed without a chance to clean up, the guard ends the emulator a second later and clears up.
    private static Process StartGuard(int emulator, string folder)
    {
        const string script = "while kill -0 $1 2>/dev/null; do kill -0 $2 2>/dev/null || kill -9 $1; sleep 0.5; done; kill -0 $2 2>/dev/null || rm -rf \"$3\"";
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (string argument in new[] { "-c", script, "guard", emulator.ToString(), Environment.ProcessId.ToString(), folder })
            start.ArgumentList.Add(argument);
        return Process.Start(start);
    }
}
