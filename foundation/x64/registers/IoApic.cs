// The I/O APIC's registers, and message-signalled interrupts. Intel 82093AA data sheet, "Register Description"; SDM 3A, "Message Signalled Interrupts".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>Offsets in the I/O APIC's page, and indices behind them.</summary>
public static class IoApicRegisters
{
    // Offsets
    public const uint IOREGSEL = 0x00;
    public const uint IOWIN = 0x10;

    /// <summary>Version 0x20 and later: ends the interrupt of a vector.</summary>
    public const uint EOI = 0x40;

    // Indices
    public const byte IOAPICID = 0x00;

    /// <summary>Bits 7:0 version, bits 23:16 number of the last redirection entry.</summary>
    public const byte IOAPICVER = 0x01;
    public const byte IOAPICARB = 0x02;

    /// <summary>Low half of entry 0; entry n is at 0x10 + 2n, its high half at the index after.</summary>
    public const byte IOREDTBL0 = 0x10;
}

/// <summary>A redirection entry, 64 bits.</summary>
public readonly struct RedirectionEntry(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 7:0.</summary>
    public byte Vector => (byte)Value;

    /// <summary>Bits 10:8, a constant of <see cref="X64.DeliveryMode"/>.</summary>
    public byte DeliveryMode => (byte)(Value >> 8 & 7);

    /// <summary>Bit 11.</summary>
    public bool LogicalDestination => BitField.IsSet(Value, 11);

    /// <summary>Bit 12: sent, not yet accepted.</summary>
    public bool DeliveryStatus => BitField.IsSet(Value, 12);

    /// <summary>Bit 13: the pin is active low.</summary>
    public bool ActiveLow => BitField.IsSet(Value, 13);

    /// <summary>Bit 14: accepted, its EOI still to come; level-triggered only.</summary>
    public bool RemoteIrr => BitField.IsSet(Value, 14);

    /// <summary>Bit 15.</summary>
    public bool LevelTriggered => BitField.IsSet(Value, 15);

    /// <summary>Bit 16.</summary>
    public bool Masked => BitField.IsSet(Value, 16);

    /// <summary>Bits 63:56.</summary>
    public byte Destination => (byte)(Value >> 56);

    /// <summary>Destination bits 14:8 in bits 55:49, 7:0 in 63:56: the extended format of CPUID 0x40000082.</summary>
    public uint ExtendedDestination => (uint)(Value >> 56 | BitField.Extract(Value, 55, 49) << 8);

    /// <summary>What an entry holds after reset.</summary>
    public static RedirectionEntry Reset => new(1UL << 16);

    public RedirectionEntry WithVector(byte vector) => new(BitField.Insert(Value, 7, 0, vector));
    public RedirectionEntry WithDeliveryMode(byte mode) => new(BitField.Insert(Value, 10, 8, mode));
    public RedirectionEntry WithLogicalDestination(bool on) => new(BitField.WithBit(Value, 11, on));
    public RedirectionEntry WithActiveLow(bool on) => new(BitField.WithBit(Value, 13, on));
    public RedirectionEntry WithRemoteIrr(bool on) => new(BitField.WithBit(Value, 14, on));
    public RedirectionEntry WithLevelTriggered(bool on) => new(BitField.WithBit(Value, 15, on));
    public RedirectionEntry WithMasked(bool on) => new(BitField.WithBit(Value, 16, on));
    public RedirectionEntry WithDestination(byte apicId) => new(BitField.Insert(Value, 63, 56, apicId));
}

/// <summary>The address of a message-signalled interrupt.</summary>
public readonly struct MsiAddress(uint value)
{
    /// <summary>Bits 31:20 of every such address.</summary>
    public const uint Base = 0xFEE00000;

    public readonly uint Value = value;

    public bool IsValid => (Value & 0xFFF00000) == Base;

    /// <summary>Bits 19:12.</summary>
    public byte Destination => (byte)(Value >> 12);

    /// <summary>Bits 11:5, destination bits 14:8 of the extended format.</summary>
    public uint ExtendedDestination => (uint)Destination | (Value >> 5 & 0x7F) << 8;

    /// <summary>Bit 3: lowest priority among the destinations.</summary>
    public bool RedirectionHint => BitField.IsSet(Value, 3);

    /// <summary>Bit 2.</summary>
    public bool LogicalDestination => BitField.IsSet(Value, 2);

    /// <summary>To one processor, physical mode.</summary>
    public static MsiAddress For(byte apicId) => new(Base | (uint)apicId << 12);
}

/// <summary>The data of a message-signalled interrupt.</summary>
public readonly struct MsiData(uint value)
{
    public readonly uint Value = value;

    /// <summary>Bits 7:0.</summary>
    public byte Vector => (byte)Value;

    /// <summary>Bits 10:8, a constant of <see cref="X64.DeliveryMode"/>.</summary>
    public byte DeliveryMode => (byte)(Value >> 8 & 7);

    /// <summary>Bit 14.</summary>
    public bool Assert => BitField.IsSet(Value, 14);

    /// <summary>Bit 15.</summary>
    public bool LevelTriggered => BitField.IsSet(Value, 15);

    /// <summary>Edge-triggered, fixed.</summary>
    public static MsiData For(byte vector) => new(vector);
}
