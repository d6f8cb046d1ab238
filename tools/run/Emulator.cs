// One emulated machine: started, pumped, photographed, and never left behind.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>A running QEMU whose COM1 is in our hands. Disposing it ends it.</summary>
public sealed class Emulator : IAsyncDisposable
{
    private readonly string folder;
    private readonly List<string> arguments;
    private readonly List<Process> guards = [];
    private Process process;
    private TaskCompletionSource restarted; // set while a restart is wanted
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
    public int ExitCode => process.HasExited ? process.ExitCode : -1;

    /// <summary>Makes the volume and starts the machine.</summary>
    /// <param name="files">What is on the boot volume; ignored for a direct kernel.</param>
    /// <param name="echo">Sees the serial bytes as they come, and the clean text in them; may be null.</param>
    public static async Task<Emulator> StartAsync(MachineOptions options, IReadOnlyDictionary<string, string> files, SerialLog log, Action<ReadOnlyMemory<byte>, string> echo)
    {
        string folder = Directory.CreateTempSubdirectory("lamina-").FullName;
        try
        {
            if (options.DirectKernel == null)
            {
                await FatVolume.WriteAsync(QemuCommand.Volume(folder), files);
                await File.WriteAllBytesAsync(QemuCommand.Variables(folder), await File.ReadAllBytesAsync(Firmware.Find().Variables)); // the original may be read-only
            }
            var disks = new List<MachineDisk>();
            foreach (MachineDisk disk in options.Disks)
                disks.Add(await disk.PrepareAsync(folder, disks.Count));
            return new Emulator(options with { Disks = disks }, folder, log, echo);
        }
        catch
        {
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    private Emulator(MachineOptions options, string folder, SerialLog log, Action<ReadOnlyMemory<byte>, string> echo)
    {
        this.folder = folder;
        Serial = log;
        arguments = QemuCommand.Arguments(options, folder);
        CommandLine = Program + " " + string.Join(' ', arguments);
        Start();
        pumping = PumpAsync(echo);
    }

    private const string Program = "qemu-system-x86_64";

    private void Start()
    {
        var start = new ProcessStartInfo(Program, arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        process = Process.Start(start);
        if (!OperatingSystem.IsWindows())
            guards.Add(StartGuard(process.Id, folder));
        process.ErrorDataReceived += (_, e) => { if (e.Data != null) lock (complaints) complaints.AppendLine(e.Data); };
        process.BeginErrorReadLine();
    }

    /// <summary>Cuts the power and turns it on again: the same volume and disks, nothing in the machine's memory survives. The log goes on.</summary>
    public async Task RestartAsync()
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        restarted = done;
        process.Kill();
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
            await process.StandardInput.BaseStream.WriteAsync(bytes);
            await process.StandardInput.BaseStream.FlushAsync();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException) { } // it ended meanwhile
        finally
        {
            typing.Release();
        }
    }

    public Task TypeAsync(string text) => TypeAsync(Encoding.UTF8.GetBytes(text));

    /// <summary>Writes the screen to a PNG file.</summary>
    public async Task ScreenshotAsync(string file)
    {
        file = Path.GetFullPath(file);
        File.Delete(file);
        string answer = await ControlAsync("screendump", new { filename = file, format = "png" });
        if (answer.Contains("\"error\""))
            throw new Failure($"no screenshot: {answer}");
    }

    /// <summary>Sends one control command and returns the answer line.</summary>
    public async Task<string> ControlAsync(string command, object arguments = null)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(QemuCommand.ControlSocket(folder)));
        using var stream = new NetworkStream(socket);
        using var reader = new StreamReader(stream);
        await reader.ReadLineAsync();
        foreach (string line in new[] { """{"execute":"qmp_capabilities"}""", JsonSerializer.Serialize(arguments == null ? new { execute = command } : (object)new { execute = command, arguments }) })
            await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"));
        for (int answers = 0; await reader.ReadLineAsync() is { } line;)
            if ((line.Contains("\"return\"") || line.Contains("\"error\"")) && ++answers == 2)
                return line;
        throw new Failure("the emulator closed its control socket");
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
            process.Kill();
        await pumping;
        process.Dispose();
        foreach (Process guard in guards)
        {
            await guard.WaitForExitAsync();
            guard.Dispose();
        }
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    private async Task PumpAsync(Action<ReadOnlyMemory<byte>, string> echo)
    {
        var buffer = new byte[16384];
        try
        {
            while (true)
            {
                Stream output = process.StandardOutput.BaseStream;
                for (int count; (count = await output.ReadAsync(buffer)) > 0;)
                {
                    string added = Serial.Append(buffer.AsSpan(0, count));
                    echo?.Invoke(buffer.AsMemory(0, count), added);
                }
                await process.WaitForExitAsync();
                if (Interlocked.Exchange(ref restarted, null) is not { } done)
                    return;
                process.Dispose();
                Start();
                done.SetResult();
            }
        }
        finally
        {
            Serial.End();
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
