// The command line of the emulated machine.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Lamina.Tools.Run;

/// <summary>What machine is wanted.</summary>
public sealed record MachineOptions
{
    /// <summary>amd or intel, or a processor model as the emulator names it.</summary>
    public string Cpu { get; init; } = "amd";
    /// <summary>auto, kvm, tcg or bochs.</summary>
    public string Accel { get; init; } = "auto";
    public int Processors { get; init; } = 1;
    public string Memory { get; init; } = "2G";
    /// <summary>A reset ends the emulator instead of starting the machine again.</summary>
    public bool EndOnReset { get; init; } = true;
    /// <summary>Put last; an option given here replaces the one made up here.</summary>
    public string[] Extra { get; init; } = [];
    public IReadOnlyList<MachineDisk> Disks { get; init; } = [];
    /// <summary>A kernel that the emulator loads itself (no firmware volume): the bare machine to compare with.</summary>
    public string DirectKernel { get; init; }
    public string DirectInitrd { get; init; }
    public string DirectCommandLine { get; init; }
}

/// <summary>Builds QEMU's arguments.</summary>
public static class QemuCommand
{
    /// <summary>Checks what cannot work, in one line each.</summary>
    public static string ResolveAccel(MachineOptions options)
    {
        if (options.Accel is not ("auto" or "kvm" or "tcg" or "bochs"))
            throw new Failure($"--accel {options.Accel}: there are auto, kvm, tcg and bochs", 2);
        if (options.Accel == "bochs")
            throw new Failure("--accel bochs comes with a later issue (it emulates VMX); QEMU emulates SVM today", 2);
        if (options.Cpu == "intel")
            throw new Failure("--cpu intel comes with a later issue (VMX, in Bochs); today: --cpu amd", 2);
        if (options.Accel == "kvm" && !KvmNestsSvm())
            throw new Failure("--accel kvm: this machine has no /dev/kvm that nests SVM; use --accel tcg", 2);
        return options.Accel == "tcg" || !KvmNestsSvm() ? "tcg" : "kvm";
    }

    /// <param name="folder">The machine's own folder: volume, variables and control socket are there.</param>
    public static List<string> Arguments(MachineOptions options, string folder)
    {
        string accel = ResolveAccel(options);
        var arguments = new List<string>();
        void Add(string name, params string[] values)
        {
            if (!Replaceable.Contains(name) || !options.Extra.Contains(name))
                arguments.AddRange([name, .. values]);
        }
        Add("-machine", "q35,accel=" + accel);
        Add("-cpu", options.Cpu == "amd" ? accel == "kvm" ? "host" : "max" : options.Cpu);
        Add("-smp", options.Processors.ToString(CultureInfo.InvariantCulture));
        Add("-m", options.Memory);
        Add("-display", "none");
        Add("-nic", "none");
        Add("-monitor", "none");
        Add("-chardev", "stdio,id=com1,signal=off");
        Add("-serial", "chardev:com1");
        Add("-qmp", $"unix:{ControlSocket(folder)},server=on,wait=off");
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
            AddFirmware(arguments, folder);
        arguments.AddRange(MachineDisk.Arguments(options.Disks));
        arguments.AddRange(options.Extra);
        return arguments;
    }

    public static string ControlSocket(string folder) => Path.Combine(folder, "qmp");
    public static string Volume(string folder) => Path.Combine(folder, "volume.img");
    public static string Variables(string folder) => Path.Combine(folder, "variables.fd");

    private static readonly string[] Replaceable = ["-machine", "-cpu", "-smp", "-m", "-display", "-nic"];

    private static void AddFirmware(List<string> arguments, string folder)
    {
        Firmware firmware = Firmware.Find() ?? throw new Failure("no UEFI firmware (OVMF) found", 3);
        arguments.AddRange(
        [
            "-drive", $"if=pflash,unit=0,format=raw,readonly=on,file={firmware.Code}",
            "-drive", $"if=pflash,unit=1,format=raw,file={Variables(folder)}",
            "-drive", $"if=none,id=boot,format=raw,file={Volume(folder)}",
            "-device", "ide-hd,drive=boot,bus=ide.0,bootindex=0",
        ]);
    }

    private static bool KvmNestsSvm()
    {
        try
        {
            if (File.ReadAllText("/sys/module/kvm_amd/parameters/nested").Trim() is not ("1" or "Y"))
                return false;
            using FileStream device = File.Open("/dev/kvm", FileMode.Open, FileAccess.ReadWrite);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
