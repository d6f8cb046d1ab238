// Bochs: its configuration, its connection for COM1, what its log says of a fault.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>
/// A BIOS machine with a CD (i440FX, ATA), with VMX or SVM by its processor model. It has no screen that we could photograph, and none of the disks
/// that Lamina has drivers for.
/// </summary>
public sealed partial class Bochs : IEmulator
{
    private const string DataFolder = "/usr/share/bochs";
    private const int InstructionsPerSecond = 100_000_000; // about what it does on a machine of today; the TSC counts instructions

    private readonly MachineOptions options;
    private readonly string folder;
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);

    public Bochs(MachineOptions options, string folder)
    {
        this.options = options;
        this.folder = folder;
        listener.Start();
        Arguments = ["-q", "-f", ConfigurationFile, "-rc", DebuggerFile, .. options.Extra];
    }

    public string Program => "bochs";
    public IReadOnlyList<string> Arguments { get; }

    private string ConfigurationFile => Path.Combine(folder, "bochsrc");
    private string DebuggerFile => Path.Combine(folder, "debugger");
    private string Log => Path.Combine(folder, "bochs.log");
    private string Disc => Path.Combine(folder, "disc.iso");

    /// <summary>Checks what cannot work, in one line each.</summary>
    public static void Check(MachineOptions options)
    {
        if (options.Firmware == "uefi")
            throw new Failure("--firmware uefi: Bochs gives UEFI no ACPI tables; say bios, or use QEMU", 2);
        if (options.Boot is not (null or "disc"))
            throw new Failure($"--boot {options.Boot}: Bochs boots from the disc only", 2);
        if (options.Disks.Count > 0)
            throw new Failure("Bochs has ATA disks only, for which Lamina has no driver: use boot modules (\"path\")", 2);
    }

    /// <summary>What a machine may want that Bochs does not have; null: nothing.</summary>
    public static string Lack(MachineOptions options) =>
        options.DirectKernel != null ? "Bochs loads no kernel by itself"
        : options.Disks.Count > 0 ? "Bochs has ATA disks only, for which Lamina has no driver: use boot modules (\"path\")"
        : null;

    public async Task PrepareAsync(BootFiles files)
    {
        // Its windowless display draws no 32-bit modes, and GRUB crashes setting an 8-bit one there.
        await GrubDisc.WriteAsync(Disc, files, GrubScreen.Text);
        await File.WriteAllTextAsync(DebuggerFile, "c\n");
        await File.WriteAllLinesAsync(ConfigurationFile, Configuration());
    }

    /// <summary>The model that a vendor's name stands for: the newest one that boots quickly.</summary>
    public static string Model(string cpu) => cpu switch { "intel" => "corei7_skylake_x", "amd" => "ryzen", _ => cpu };

    private IEnumerable<string> Configuration()
    {
        string memory = MemorySize.Parse("--memory", options.Memory).ToString(CultureInfo.InvariantCulture);
        return
        [
            "plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, iodebug=1",
            // A window that nobody need connect to.
            "display_library: rfb, options=\"timeout=0\"",
            $"romimage: file={DataFolder}/BIOS-bochs-latest",
            $"vgaromimage: file={DataFolder}/VGABIOS-lgpl-latest",
            $"cpu: model={Model(options.Cpu)}, count={options.Processors}, ips={InstructionsPerSecond}, reset_on_triple_fault={(options.EndOnReset ? 0 : 1)}",
            $"memory: guest={memory}, host={memory}",
            "pci: enabled=1, chipset=i440fx, slot1=pcivga",
            "vga: extension=vbe",
            "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
            $"ata0-master: type=cdrom, path=\"{Disc}\", status=inserted",
            "boot: cdrom",
            $"com1: enabled=1, mode=socket-client, dev=127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}",
            "clock: sync=none, time0=utc",
            "private_colormap: enabled=0",
            $"log: {Log}",
            // A fault of the machine must end the run instead of asking somebody.
            "panic: action=fatal", "error: action=report", "info: action=ignore", "debug: action=ignore",
        ];
    }

    public async Task<Com1> ConnectAsync(Process process)
    {
        process.BeginOutputReadLine(); // drained; what it says is in its log
        using var ended = new CancellationTokenSource();
        Task exit = process.WaitForExitAsync(ended.Token);
        Task<TcpClient> accepted = listener.AcceptTcpClientAsync(ended.Token).AsTask();
        await Task.WhenAny(exit, accepted);
        if (!accepted.IsCompletedSuccessfully)
        {
            await ended.CancelAsync();
            return default;
        }
        await ended.CancelAsync();
        TcpClient client = await accepted;
        client.NoDelay = true;
        NetworkStream stream = client.GetStream();
        return new Com1(stream, stream);
    }

    // It says on standard error what it loads; a fault is in its log too.
    public bool IsComplaint(string line) => false;

    public string Fault => File.Exists(Log) ? FaultIn(File.ReadAllText(Log)) : null;

    /// <summary>The first panic in a log of Bochs; null: there is none. A machine that is switched off panics, too, and means no harm.</summary>
    public static string FaultIn(string log) => Panic().Matches(log).Select(p => p.Groups["what"].Value.Trim())
        .Where(what => !SwitchedOff.Contains(what)).Select(what => "Bochs stopped: " + what).FirstOrDefault();

    private static readonly string[] SwitchedOff = ["ACPI control: soft power off", "Shutdown port: shutdown requested"];

    // It is 1 whenever the machine ended: the log knows more.
    public bool IsFailure(int exitCode) => false;

    public Task<string> ControlAsync(string command, JsonNode arguments) =>
        throw new Failure($"{command}: Bochs takes no control commands");

    public Task ScreenshotAsync(string file) => throw new Failure("no screenshot: Bochs has no way to take one without a window");

    public void Dispose() => listener.Dispose();

    [GeneratedRegex(@">>PANIC<< (?<what>.*)")]
    private static partial Regex Panic();
}
