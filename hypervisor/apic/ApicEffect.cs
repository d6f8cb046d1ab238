// What a register access or an arriving interrupt asks the core to do next.
using System.Runtime.CompilerServices;

namespace Lamina.Hypervisor.Apic;

/// <summary>
/// Result of a register write, one 64-bit value so that it travels in a register. Zero is "nothing to do";
/// several flags can be set at once. Bits 19:0 and 63:32 belong to the command or the retired vector.
/// </summary>
public readonly struct ApicEffect
{
    private const ulong InterruptsChangedBit = 1UL << 24;
    private const ulong TimerChangedBit = 1UL << 25;
    private const ulong EndOfInterruptBit = 1UL << 26;
    private const ulong SendIpiBit = 1UL << 27;
    private const ulong ModeChangedBit = 1UL << 28;
    private readonly ulong _value;

    private ApicEffect(ulong value) => _value = value;

    public static ApicEffect None => default;
    /// <summary>What can be delivered may have changed: look at <see cref="LocalApic.TryGetCandidate"/> again.</summary>
    public static ApicEffect InterruptsChanged => new ApicEffect(InterruptsChangedBit);
    /// <summary>The next deadline may have changed: look at <see cref="LocalApic.TryGetDeadline"/> again.</summary>
    public static ApicEffect TimerChanged => new ApicEffect(TimerChangedBit);
    /// <summary>IA32_APIC_BASE changed mode or address: the core maps or unmaps the register page.</summary>
    public static ApicEffect ModeChanged => new ApicEffect(ModeChangedBit | TimerChangedBit | InterruptsChangedBit);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ApicEffect InterruptsChangedIf(bool condition) => new ApicEffect(condition ? InterruptsChangedBit : 0);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ApicEffect SendIpi(IcrCommand command) => new ApicEffect(SendIpiBit | command.Value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ApicEffect EndOfInterrupt(byte vector, bool levelTriggered, bool othersPending) =>
        new ApicEffect(EndOfInterruptBit | vector | (levelTriggered ? 1u << 15 : 0) | (othersPending ? InterruptsChangedBit : 0));

    public ApicEffect And(ApicEffect other) => new ApicEffect(_value | other._value);

    public bool IsNone => _value == 0;
    public bool HasInterruptsChanged => (_value & InterruptsChangedBit) != 0;
    public bool HasTimerChanged => (_value & TimerChangedBit) != 0;
    public bool HasModeChanged => (_value & ModeChangedBit) != 0;

    /// <summary>An interrupt was retired; <see cref="Vector"/> and <see cref="IsLevelTriggered"/> say which.</summary>
    public bool HasEndOfInterrupt => (_value & EndOfInterruptBit) != 0;
    public byte Vector => (byte)_value;
    /// <summary>The retired interrupt was level-triggered: the IOAPICs have to hear of it.</summary>
    public bool IsLevelTriggered => (_value & (1u << 15)) != 0;

    /// <summary><see cref="Command"/> is to be delivered to the virtual processors that it matches.</summary>
    public bool HasSendIpi => (_value & SendIpiBit) != 0;
    public IcrCommand Command => new IcrCommand(_value);
}

/// <summary>What an interrupt that reached a local APIC amounts to.</summary>
public enum ApicDelivery : byte
{
    /// <summary>Dropped: masked, disabled, illegal, or merged with a request already pending.</summary>
    None,
    /// <summary>A vector is newly requested: the core re-evaluates and wakes the virtual processor.</summary>
    Interrupt,
    NonMaskable,
    SystemManagement,
    Init,
    StartUp,
    /// <summary>The vector comes from an external controller.</summary>
    External,
}
