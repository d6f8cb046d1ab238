// QEMU: its command line, its boot media, its control socket.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>A q35 machine whose COM1 is the process' standard input and output.</summary>
public sealed class Qemu(MachineOptions options, string folder) : IEmulator
{
    public string Program => "qemu-system-x86_64";
    public IReadOnlyList<string> Arguments { get; } = CommandLine(options, folder);
    public string Fault => null;
    public bool IsComplaint(string line) => true;
    public bool IsFailure(int exitCode) => exitCode > 0;

    public async Task PrepareAsync(BootFiles files)
    {
        if (options.DirectKernel != null)
            return;
        if (!Emulators.IsBios(options))
            await File.WriteAllBytesAsync(Variables(folder), await File.ReadAllBytesAsync(Firmware.Find().Variables)); // the original may be read-only
        switch (options.Boot)
        {
            case "net":
                PxeFolder.Write(NetworkFolder(folder), files);
                break;
            case "disk" or "usb":
                await BootImage.WriteAsync(Medium(folder), files, DataBytes);
                break;
            default:
                await (Emulators.IsBios(options) ? GrubDisc.WriteAsync(Medium(folder), files, GrubScreen.Framebuffer) : FatVolume.WriteAsync(Medium(folder), files.UefiVolume));
                break;
        }
    }

    public Task<Com1> ConnectAsync(Process process) => Task.FromResult(new Com1(process.StandardOutput.BaseStream, process.StandardInput.BaseStream));

    public async Task ScreenshotAsync(string file)
    {
        file = Path.GetFullPath(file);
        File.Delete(file);
        string answer = await ControlAsync("screendump", new JsonObject { ["filename"] = file, ["format"] = "png" });
        if (answer.Contains("\"error\""))
            throw new Failure($"no screenshot: {answer}");
    }

    public async Task<string> ControlAsync(string command, JsonNode arguments)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(ControlSocket(folder)));
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

    public void Dispose() { }

    /// <summary>kvm or tcg; checks what cannot work, in one line each.</summary>
    public static string ResolveAccel(MachineOptions options)
    {
        string nested = options.Accel == "tcg" ? null : KvmNesting.Vendor(out _, options.HostRoot);
        if (options.Cpu == "intel" && nested != "intel")
            throw new Failure($"--cpu intel --accel {options.Accel}: QEMU emulates SVM only{(options.Accel == "kvm" ? ", and " + Lack(options, "VMX") : "")}; leave --accel out, or say bochs", 2);
        // A processor model by name may be of either vendor.
        bool fits = nested != null && (options.Cpu is not ("amd" or "intel") || options.Cpu == nested);
        if (options.Accel == "kvm" && !fits)
            throw new Failure($"--accel kvm: {Lack(options, options.Cpu == "amd" ? "SVM" : "SVM or VMX")}; use --accel tcg", 2);
        return fits ? "kvm" : "tcg";
    }

    private static string Lack(MachineOptions options, string what)
    {
        string vendor = KvmNesting.Vendor(out string lack, options.HostRoot);
        return $"this machine's KVM does not nest {what} ({lack ?? "it is of " + vendor})";
    }

    /// <param name="folder">The machine's own folder: volume, variables and control socket are there.</param>
    public static List<string> CommandLine(MachineOptions options, string folder)
    {
        string accel = ResolveAccel(options);
        var arguments = new List<string>();
        void Add(string name, params string[] values)
        {
            if (!Replaceable.Contains(name) || !options.Extra.Contains(name))
                arguments.AddRange([name, .. values]);
        }
        bool takesTurns = accel == "tcg" && options.TakesTurns && options.Processors > 1;
        Add("-machine", takesTurns ? "q35" : "q35,accel=" + accel);
        if (takesTurns)
            Add("-accel", "tcg,thread=single");
        Add("-cpu", options.Cpu is "amd" or "intel" ? accel == "kvm" ? "host" : "max" : options.Cpu);
        Add("-smp", options.Processors.ToString(CultureInfo.InvariantCulture));
        Add("-m", options.Memory);
        Add("-display", "none");
        Add("-nic", "none");
        Add("-monitor", "none");
        Add("-chardev", "stdio,id=com1,signal=off");
        Add("-serial", "chardev:com1");
        Add("-qmp", $"unix:{InOption(ControlSocket(folder))},server=on,wait=off");
        if (options.EndOnReset)
            Add("-no-reboot");
        if (options.DirectKernel != null)
        {
            Add("-kernel", options.DirectKernel);
            if (options.DirectInitrd != null)
                Add("-initrd", options.DirectInitrd);
            if (options.DirectCommandLine != null)
                Add("-append", options.DirectCommandLine);
        }
        else
            AddFirmware(options, arguments, folder);
        arguments.AddRange(MachineDisk.Arguments(options.Disks));
        arguments.AddRange(options.Extra);
        return arguments;
    }

    /// <summary>In a list of options a comma of a value is doubled.</summary>
    public static string InOption(string value) => value.Replace(",", ",,");

    private static string ControlSocket(string folder) => Path.Combine(folder, "qmp");
    private static string Medium(string folder) => Path.Combine(folder, "boot.img");
    private static string NetworkFolder(string folder) => Path.Combine(folder, "tftp");
    private static string Variables(string folder) => Path.Combine(folder, "variables.fd");

    private const long DataBytes = 16 << 20;

    private static readonly string[] Replaceable = ["-machine", "-accel", "-cpu", "-smp", "-m", "-display", "-nic"];

    private static void AddFirmware(MachineOptions options, List<string> arguments, string folder)
    {
        bool bios = Emulators.IsBios(options);
        if (!bios)
        {
            Firmware firmware = Firmware.Find() ?? throw new Failure("no UEFI firmware (OVMF) found", 3);
            arguments.AddRange(
            [
                "-drive", $"if=pflash,unit=0,format=raw,readonly=on,file={InOption(firmware.Code)}",
                "-drive", $"if=pflash,unit=1,format=raw,file={InOption(Variables(folder))}",
            ]);
        }
        string drive = $"if=none,id=boot,format=raw,file={InOption(Medium(folder))}";
        arguments.AddRange(options.Boot switch
        {
            // Without the card's own boot ROM it is the firmware's PXE that is asked.
            "net" => ["-netdev", $"user,id=boot,restrict=on,tftp={InOption(NetworkFolder(folder))},bootfile={PxeFolder.BootFile}", "-device", "virtio-net-pci,netdev=boot,romfile=,bootindex=0"],
            "usb" => ["-drive", drive, "-device", "qemu-xhci,id=usb", "-device", "usb-storage,bus=usb.0,drive=boot,bootindex=0"],
            null or "disc" when bios => ["-drive", drive + ",media=cdrom,readonly=on", "-device", "ide-cd,drive=boot,bus=ide.0,bootindex=0"],
            _ => new[] { "-drive", drive, "-device", "ide-hd,drive=boot,bus=ide.0,bootindex=0" },
        });
    }
}
