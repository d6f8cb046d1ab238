// What lamina.json declares, in structures of fixed capacity: the machine's switches and virtual machines.
using System;
using System.Runtime.CompilerServices;

namespace Lamina.Root.Config;

/// <summary>A decoded string of the configuration (UTF-8, no zero bytes) and the line that it stands in.</summary>
public unsafe struct ConfigText
{
    /// <summary>Points into the arena given to <see cref="ConfigParser.Parse"/>; a zero byte follows the last one.</summary>
    public byte* Data;
    public int Length;
    /// <summary>Line in lamina.json, from 1; 0 when the key was absent.</summary>
    public int Line;

    public readonly bool IsGiven => Line != 0;
    public readonly ReadOnlySpan<byte> Span => new(Data, Length);
}

public enum SwitchType : byte { External, Internal, Private, Nat }

/// <summary>One element of "switches".</summary>
public struct SwitchConfig
{
    public ConfigText Name;
    public SwitchType Type;
    public int Line;
    /// <summary>Something in it was wrong: don't create it.</summary>
    public bool HasErrors;
}

/// <summary>Where a disk's content is.</summary>
public enum DiskSource : byte
{
    /// <summary>"path": a boot module, in memory; what is written to it is gone when the machine restarts.</summary>
    BootModule,
    /// <summary>"device": a disk or partition of the machine, by name, "serial:TEXT", "partuuid:GUID" or "partlabel:TEXT".</summary>
    Device,
    /// <summary>"image": "VOLUME:/path", a raw, VHD or VHDX file on a volume that the root can write.</summary>
    Image,
}

/// <summary>One element of a virtual machine's "disks".</summary>
public struct DiskConfig
{
    public DiskSource Source;

    /// <summary>What the key of the source says.</summary>
    public ConfigText Place;
    public bool ReadOnly;
}

/// <summary>One element of a virtual machine's "nics".</summary>
public unsafe struct NicConfig
{
    public ConfigText SwitchName;
    /// <summary>Index into the machine's switches; -1 when it is not connected.</summary>
    public int SwitchIndex;
    /// <summary>False: the caller is to make an address up.</summary>
    public bool HasMac;
    public fixed byte Mac[6];
}

public enum Com1Mode : byte { Console, None }

/// <summary>One element of "vms". Must stay where it is in memory while pointers to its disks or nics are in use.</summary>
public unsafe struct VmConfig
{
    public const int MaxDisks = 8, MaxNics = 8, MaxProcessors = 64, MaxNameLength = 63, MaxWeight = 10000;
    public const ulong MinMemory = 2UL << 20, MaxMemory = 1UL << 40, DefaultMemory = 512UL << 20;

    public ConfigText Name;
    public ConfigText Kernel;
    public ConfigText Initrd;
    public ConfigText CommandLine;
    /// <summary>The line of its opening brace.</summary>
    public int Line;
    /// <summary>Something in it was wrong and has been reported: don't start it.</summary>
    public bool HasErrors;
    public bool Autostart;
    public bool DebugExit;
    public bool SynicTestDevice;
    public Com1Mode Com1;
    public int Processors;
    /// <summary>Bytes, a multiple of 4 KiB.</summary>
    public ulong Memory;
    /// <summary>Relative weight 1–10000; cap and reserve in percent of its processors, as Hyper-V's.</summary>
    public int Weight, Cap, Reserve;
    public int DiskCount;
    public int NicCount;
    private DiskSlots _disks;
    private NicSlots _nics;

    public DiskConfig* Disk(int index) { fixed (DiskSlots* slots = &_disks) return (DiskConfig*)slots + index; }
    public NicConfig* Nic(int index) { fixed (NicSlots* slots = &_nics) return (NicConfig*)slots + index; }

    [InlineArray(MaxDisks)] private struct DiskSlots { private DiskConfig _first; }
    [InlineArray(MaxNics)] private struct NicSlots { private NicConfig _first; }
}

/// <summary>The whole of lamina.json. Lives in memory that the caller supplies and that does not move.</summary>
public unsafe struct MachineConfig
{
    public const int MaxVms = 16, MaxSwitches = 8;

    /// <summary>How many entries there are, those with errors included.</summary>
    public int VmCount, SwitchCount;
    /// <summary>How many lines were written to the error sink.</summary>
    public int ErrorCount;
    private SwitchSlots _switches;
    private VmSlots _vms;

    public VmConfig* Vm(int index) { fixed (VmSlots* slots = &_vms) return (VmConfig*)slots + index; }
    public SwitchConfig* Switch(int index) { fixed (SwitchSlots* slots = &_switches) return (SwitchConfig*)slots + index; }

    [InlineArray(MaxSwitches)] private struct SwitchSlots { private SwitchConfig _first; }
    [InlineArray(MaxVms)] private struct VmSlots { private VmConfig _first; }
}
