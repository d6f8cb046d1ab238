// The I/O APIC of a guest: 24 pins, memory-mapped. Source: Intel, "82093AA I/O Advanced Programmable Interrupt Controller".
namespace Lamina.Root.Devices;

/// <summary>An interrupt message for the local APICs, in the terms of a redirection entry.</summary>
public readonly struct InterruptRequest
{
    public readonly byte Vector;
    /// <summary>0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT.</summary>
    public readonly byte DeliveryMode;
    /// <summary>An APIC ID, or a set of them when <see cref="Logical"/>.</summary>
    public readonly byte Destination;
    public readonly bool Logical;
    /// <summary>Level-triggered: the local APIC is to report the vector's EOI, which goes to <see cref="IoApic.EndOfInterrupt"/>.</summary>
    public readonly bool Level;

    internal InterruptRequest(ulong entry)
    {
        Vector = (byte)entry;
        DeliveryMode = (byte)(entry >> 8 & 7);
        Logical = (entry >> 11 & 1) != 0;
        Level = (entry >> 15 & 1) != 0;
        Destination = (byte)(entry >> 56);
    }
}

/// <summary>Takes the messages that an I/O APIC sends.</summary>
public interface IInterruptSink
{
    void Send(in InterruptRequest request);
}

/// <summary>
/// Pins are driven by assertion, not by voltage: a device says whether it wants service, and the polarity bit is kept for the
/// guest to read but changes nothing. An edge on a masked pin is lost, as on the chip; an asserted level waits.
/// </summary>
public unsafe struct IoApic
{
    public const ulong BaseAddress = 0xFEC00000, Length = 0x1000;
    public const int PinCount = 24;
    public const byte Id = 0;

    private const int SelectRegister = 0x00, WindowRegister = 0x10, EoiRegister = 0x40;
    private const byte IdIndex = 0, VersionIndex = 1, ArbitrationIndex = 2, FirstEntryIndex = 0x10;
    /// <summary>0x20 is the first version with an EOI register.</summary>
    private const uint VersionValue = 0x20 | (PinCount - 1) << 16;

    private const ulong Level = 1 << 15, Masked = 1 << 16, RemoteIrr = 1 << 14;
    private const ulong Writable = 0xFF00_0000_0001_AFFF;

    private bool _started;
    private byte _select;
    private uint _id;
    private uint _asserted;
    private fixed ulong _entries[PinCount];

    /// <summary>All pins masked, as after power-on.</summary>
    public void Reset()
    {
        this = default;
        _started = true;
        for (int i = 0; i < PinCount; i++) _entries[i] = Masked;
    }

    /// <summary>A device asserts or releases its pin. Others than 0–23 do nothing.</summary>
    public void SetPin<TSink>(int pin, bool asserted, ref TSink sink) where TSink : struct, IInterruptSink
    {
        if ((uint)pin >= PinCount) return;
        Start();
        bool before = (_asserted >> pin & 1) != 0;
        _asserted = asserted ? _asserted | 1u << pin : _asserted & ~(1u << pin);
        if ((_entries[pin] & Level) != 0) SendLevel(pin, ref sink);
        else if (asserted && !before && (_entries[pin] & Masked) == 0) sink.Send(new InterruptRequest(_entries[pin]));
    }

    /// <summary>The local APICs have seen the end of a level-triggered interrupt; pins that are still asserted send again.</summary>
    public void EndOfInterrupt<TSink>(byte vector, ref TSink sink) where TSink : struct, IInterruptSink
    {
        Start();
        for (int pin = 0; pin < PinCount; pin++)
        {
            if ((byte)_entries[pin] != vector || (_entries[pin] & RemoteIrr) == 0) continue;
            _entries[pin] &= ~RemoteIrr;
            SendLevel(pin, ref sink);
        }
    }

    /// <summary>A 32-bit read at <paramref name="offset"/> from the base; what is not a register reads zero.</summary>
    public uint Read(uint offset)
    {
        Start();
        if (offset == SelectRegister) return _select;
        if (offset != WindowRegister) return 0;
        switch (_select)
        {
            case IdIndex or ArbitrationIndex: return _id;
            case VersionIndex: return VersionValue;
            case >= FirstEntryIndex and < FirstEntryIndex + 2 * PinCount: return (uint)(_entries[(_select - FirstEntryIndex) / 2] >> 32 * (_select & 1));
            default: return 0;
        }
    }

    /// <summary>A 32-bit write at <paramref name="offset"/> from the base.</summary>
    public void Write<TSink>(uint offset, uint value, ref TSink sink) where TSink : struct, IInterruptSink
    {
        Start();
        switch (offset)
        {
            case SelectRegister: _select = (byte)value; break;
            case EoiRegister: EndOfInterrupt((byte)value, ref sink); break;
            case WindowRegister when _select == IdIndex: _id = value & 0x0F000000; break;
            case WindowRegister when _select is >= FirstEntryIndex and < FirstEntryIndex + 2 * PinCount: WriteEntry((_select - FirstEntryIndex) / 2, (_select & 1) != 0, value, ref sink); break;
        }
    }

    private void WriteEntry<TSink>(int pin, bool high, uint value, ref TSink sink) where TSink : struct, IInterruptSink
    {
        ulong entry = _entries[pin];
        ulong written = high ? (uint)entry | (ulong)value << 32 : entry & 0xFFFFFFFF00000000 | value;
        entry = written & Writable | entry & RemoteIrr;
        // Going to edge and back is how older systems clear a remote IRR that got stuck.
        if ((entry & Level) == 0) entry &= ~RemoteIrr;
        _entries[pin] = entry;
        if ((entry & Level) != 0) SendLevel(pin, ref sink);
    }

    // Sends once for each assertion and end of interrupt: remote IRR says that one is under way.
    private void SendLevel<TSink>(int pin, ref TSink sink) where TSink : struct, IInterruptSink
    {
        ulong entry = _entries[pin];
        if ((entry & (Level | Masked | RemoteIrr)) != Level || (_asserted >> pin & 1) == 0) return;
        InterruptRequest request = new(entry);
        // Only fixed and lowest-priority interrupts are ended by an EOI.
        if (request.DeliveryMode <= 1) _entries[pin] |= RemoteIrr;
        sink.Send(request);
    }

    private void Start()
    {
        if (!_started) Reset();
    }
}
