// States and ends of a virtual machine, in the words of Hyper-V's cmdlets.
using System;

namespace Lamina.Root.Worker;

public enum VmState : byte { Off, Starting, Running, Paused, Stopping }

/// <summary>Why a VM no longer runs.</summary>
public enum VmEnd : byte
{
    /// <summary>It has not ended, or never ran.</summary>
    None,

    /// <summary>The guest powered off (ACPI S5).</summary>
    PoweredOff,

    /// <summary>The guest asked to be restarted.</summary>
    Reset,

    /// <summary>The guest wrote to its debug-exit port.</summary>
    Exited,

    /// <summary>The guest reported a crash.</summary>
    Crashed,
    TripleFault,

    /// <summary>Stopped by command.</summary>
    Stopped,

    /// <summary>Something that cannot be emulated, or a call of the core that failed; reported where it happened.</summary>
    Failed,
}

public static class VmWords
{
    public static ReadOnlySpan<byte> Name(VmState state) => state switch
    {
        VmState.Off => "Off"u8,
        VmState.Starting => "Starting"u8,
        VmState.Running => "Running"u8,
        VmState.Paused => "Paused"u8,
        _ => "Stopping"u8,
    };

    public static ReadOnlySpan<byte> Name(VmEnd end) => end switch
    {
        VmEnd.PoweredOff => "powered off"u8,
        VmEnd.Reset => "restarted"u8,
        VmEnd.Exited => "exited"u8,
        VmEnd.Crashed => "crashed"u8,
        VmEnd.TripleFault => "triple fault"u8,
        VmEnd.Stopped => "stopped"u8,
        VmEnd.Failed => "failed"u8,
        _ => "never ran"u8,
    };
}
