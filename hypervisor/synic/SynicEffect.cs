// What a write to a SynIC register asks the core to do, and how a post or a signal ended.
namespace Lamina.Hypervisor.Synic;

public enum SynicEffectKind : byte
{
    None,
    /// <summary>SCONTROL changed; when the SynIC is now enabled, redeliver.</summary>
    ControlChanged,
    /// <summary>SIMP changed: map or unmap the overlay, <see cref="SynicState.SetMessagePage"/>, then redeliver.</summary>
    MessagePageChanged,
    /// <summary>SIEFP changed: map or unmap the overlay, <see cref="SynicState.SetEventPage"/>.</summary>
    EventPageChanged,
    /// <summary>EOM: <see cref="SynicState.Redeliver"/> and <see cref="SyntheticTimers.RetryWaiting"/>.</summary>
    EndOfMessage,
    /// <summary>A SINT changed: <see cref="SynicState.UpdateAutoEoi"/>.</summary>
    SintChanged,
}

/// <summary>Effect of a SynIC register write, 32 bits.</summary>
public readonly struct SynicEffect
{
    private readonly uint _value;
    private SynicEffect(uint value) => _value = value;
    public static SynicEffect Of(SynicEffectKind kind) => new SynicEffect((uint)kind);
    public static SynicEffect Sint(int sint, byte oldVector, byte newVector) =>
        new SynicEffect((uint)SynicEffectKind.SintChanged | (uint)sint << 8 | (uint)oldVector << 16 | (uint)newVector << 24);

    public SynicEffectKind Kind => (SynicEffectKind)(byte)_value;
    public int SintIndex => (byte)(_value >> 8);
    public byte OldVector => (byte)(_value >> 16);
    public byte NewVector => (byte)(_value >> 24);
}

public enum PostResult : byte
{
    Posted,
    /// <summary>The slot is taken; the guest has been told that more waits and will write EOM.</summary>
    Busy,
    /// <summary>SynIC or SIM page disabled: HV_STATUS_INVALID_SYNIC_STATE for a hypercall.</summary>
    Unavailable,
}

public enum SignalResult : byte
{
    /// <summary>The flag is newly set; assert the vector unless it is 0 (polling).</summary>
    Signaled,
    AlreadySet,
    /// <summary>SynIC or SIEF page disabled, or SINT masked: HV_STATUS_INVALID_SYNIC_STATE.</summary>
    Unavailable,
}
