// An interrupt command: what an ICR write or a message-signalled interrupt asks for, with the destination made uniform.
namespace Lamina.Hypervisor.Apic;

/// <summary>
/// Interrupt command in the layout of the x2APIC ICR: destination in bits 63:32, command in bits 19:0.
/// A broadcast is <see cref="Broadcast"/> whatever the width of the destination field that it came from.
/// </summary>
// SDM 3A, "Interrupt Command Register (ICR)", "ICR Operation in x2APIC Mode".
public readonly struct IcrCommand
{
    public const uint Broadcast = 0xFFFFFFFF;
    private const ulong CommandBits = 0x000CCFFF;
    private readonly ulong _value;

    public IcrCommand(ulong value) => _value = value & (0xFFFFFFFF00000000 | CommandBits);

    public ulong Value => _value;
    public byte Vector => (byte)_value;
    public ApicDeliveryMode DeliveryMode => (ApicDeliveryMode)((_value >> 8) & 7);
    public bool IsLogical => (_value & (1u << 11)) != 0;
    public bool IsAssert => (_value & (1u << 14)) != 0;
    public bool IsLevelTriggered => (_value & (1u << 15)) != 0;
    public ApicShorthand Shorthand => (ApicShorthand)((_value >> 18) & 3);
    public uint Destination => (uint)(_value >> 32);

    /// <summary>An INIT with level de-assert, which processors since the Pentium 4 ignore.</summary>
    public bool IsInitDeassert => DeliveryMode == ApicDeliveryMode.Init && IsLevelTriggered && !IsAssert;

    /// <summary>Command of an xAPIC: eight destination bits at the top of <paramref name="high"/>.</summary>
    public static IcrCommand FromXApic(uint low, uint high) => new IcrCommand(((ulong)Widen(high >> 24) << 32) | low);

    /// <summary>Command of a message-signalled interrupt. <paramref name="extended"/>: address bits 11:5 carry destination bits 14:8.</summary>
    // SDM 3A, "Message Signalled Interrupts".
    public static IcrCommand FromMessage(ulong address, uint data, bool extended)
    {
        uint destination = (uint)(address >> 12) & 0xFF;
        uint high = extended ? (uint)(address << 3) & 0x7F00 : 0;
        destination = high == 0 ? Widen(destination) : destination | high;
        uint logical = ((uint)address & 4) << 9;
        return new IcrCommand(((ulong)destination << 32) | (data & 0xC7FF) | logical);
    }

    private static uint Widen(uint destination) => destination == 0xFF ? Broadcast : destination;
}
