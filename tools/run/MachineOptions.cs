// What machine is wanted, whichever emulator it runs in.
using System.Collections.Generic;

namespace Lamina.Tools.Run;

public sealed record MachineOptions
{
    /// <summary>amd or intel, or a processor model as the emulator names it; auto until <see cref="Emulators.ChooseVendor"/>.</summary>
    public string Cpu { get; init; } = "amd";
    /// <summary>auto, kvm, tcg or bochs.</summary>
    public string Accel { get; init; } = "auto";
    /// <summary>uefi or bios; null: what the emulator is used with, uefi in QEMU and bios in Bochs.</summary>
    public string Firmware { get; init; }
    /// <summary>What it boots from: one of <see cref="Media"/>; null: a FAT volume by UEFI, GRUB's disc by BIOS.</summary>
    public string Boot { get; init; }
    public int Processors { get; init; } = 1;
    /// <summary>QEMU's TCG executes the processors one after another in one thread, not each in its own.</summary>
    public bool TakesTurns { get; init; }
    public string Memory { get; init; } = "2G";
    /// <summary>A reset ends the emulator instead of starting the machine again.</summary>
    public bool EndOnReset { get; init; } = true;
    /// <summary>Put last; an option given here replaces the one made up here.</summary>
    public string[] Extra { get; init; } = [];
    public IReadOnlyList<MachineDisk> Disks { get; init; } = [];
    /// <summary>A kernel that the emulator loads itself (no boot medium): the bare machine to compare with.</summary>
    public string DirectKernel { get; init; }
    public string DirectInitrd { get; init; }
    public string DirectCommandLine { get; init; }

    /// <summary>Where /sys and /dev of this host lie: tests put others there.</summary>
    public string HostRoot { get; init; } = "/";

    /// <summary>disc: GRUB's CD (BIOS). disk, usb: lamina.img on a SATA port or as a USB stick. net: TFTP, by PXE (UEFI).</summary>
    public static readonly string[] Media = ["disc", "disk", "usb", "net"];
}
