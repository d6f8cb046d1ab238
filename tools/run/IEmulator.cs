// What differs from one emulator to the other: its command, its boot medium, the way to COM1 and to its controls.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>One emulator, for one machine. Everything it writes is in the machine's own folder.</summary>
public interface IEmulator : IDisposable
{
    string Program { get; }
    IReadOnlyList<string> Arguments { get; }

    /// <summary>Makes the boot medium and what else must be there before the first start.</summary>
    Task PrepareAsync(BootFiles files);

    /// <summary>COM1 of the process just started: what the machine sends, and where to type. Null: the process ended first.</summary>
    Task<Com1> ConnectAsync(Process process);

    /// <summary>What stopped the machine from inside the emulator, in one line; null: nothing did. Asked once the process has ended.</summary>
    string Fault { get; }

    /// <summary>Whether an exit code of its own says that something went wrong.</summary>
    bool IsFailure(int exitCode);

    /// <summary>Whether a line of its standard error is for the user to read.</summary>
    bool IsComplaint(string line);

    /// <summary>Sends one control command.</summary>
    /// <returns>The answer as JSON; one with "error" in it is a refusal.</returns>
    Task<string> ControlAsync(string command, JsonNode arguments);

    /// <summary>Writes the screen to a PNG file.</summary>
    Task ScreenshotAsync(string file);
}

/// <summary>Both directions of a serial port.</summary>
public readonly record struct Com1(Stream Output, Stream Input);

/// <summary>Which emulator runs a machine.</summary>
public static class Emulators
{
    /// <summary>Checks what cannot work, in one line each.</summary>
    public static void Check(MachineOptions options)
    {
        if (options.Accel is not ("auto" or "kvm" or "tcg" or "bochs"))
            throw new Failure($"--accel {options.Accel}: there are auto, kvm, tcg and bochs", 2);
        if (options.Firmware is not (null or "uefi" or "bios"))
            throw new Failure($"--firmware {options.Firmware}: there are uefi and bios", 2);
        if (options.Boot != null && !MachineOptions.Media.Contains(options.Boot))
            throw new Failure($"--boot {options.Boot}: there are {string.Join(", ", MachineOptions.Media)}", 2);
        if (options.Boot == "disc" && !IsBios(options))
            throw new Failure("--boot disc: it has no UEFI loader; say --firmware bios", 2);
        if (options.Boot == "net" && IsBios(options))
            throw new Failure("--boot net: lamina.mb2 does not come by PXE; leave --firmware out", 2);
        if (IsBochs(options))
        {
            Bochs.Check(options);
            if (Bochs.Lack(options) is { } lack)
                throw new Failure(lack, 2);
        }
        else
            Qemu.ResolveAccel(options);
    }

    /// <summary>What the emulator, or this machine, lacks for a machine that is sound otherwise; null: nothing.</summary>
    public static string Lack(MachineOptions options)
    {
        if (IsBochs(options) && Bochs.Lack(options) is { } lack)
            return lack;
        string[] missing = Requirements.Missing(Needs(options));
        return missing.Length == 0 ? null : "needs the Debian packages " + string.Join(", ", missing);
    }

    /// <summary>QEMU's software emulation has no VMX, Bochs has; of AMD's models QEMU is the faster one.</summary>
    public static bool IsBochs(MachineOptions options) => options.Accel == "bochs" || (options.Accel == "auto" && options.Cpu == "intel");

    /// <summary>True: it starts from a BIOS, by GRUB and lamina.mb2.</summary>
    public static bool IsBios(MachineOptions options) => options.Firmware == "bios" || (options.Firmware == null && IsBochs(options));

    public static Requirement[] Needs(MachineOptions options) =>
    [
        .. IsBochs(options) ? Requirements.Bochs : Requirements.Qemu, .. IsBios(options) ? Requirements.Grub : Requirements.Uefi,
        .. options.Boot is "disk" or "usb" ? Requirements.Image : [],
    ];

    public static IEmulator Create(MachineOptions options, string folder) => IsBochs(options) ? new Bochs(options, folder) : new Qemu(options, folder);
}
