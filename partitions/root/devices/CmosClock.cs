// The CMOS clock of a guest: time, date and 114 bytes of memory. Source: Motorola, "MC146818A Real-Time Clock plus RAM".
namespace Lamina.Root.Devices;

/// <summary>
/// Ports 0x70 (index) and 0x71 (data). The caller gives the time of day with each access, in units of 100 ns since 1970 (UTC);
/// what the guest sets is kept as a distance from it. There is no interrupt: alarms and periodic ticks never fire.
/// </summary>
public unsafe struct CmosClock
{
    public const ushort IndexPort = 0x70, DataPort = 0x71;
    /// <summary>Where the century is kept; the FADT names it to the guest.</summary>
    public const byte CenturyRegister = 0x32;

    private const int Seconds = 0, Minutes = 2, Hours = 4, DayOfWeek = 6, Day = 7, Month = 8, Year = 9, RegisterA = 10, RegisterB = 11, RegisterC = 12, RegisterD = 13;
    private const byte DividerRunning = 0x26, UpdateInProgress = 0x80, Set = 0x80, Binary = 0x04, TwentyFourHours = 0x02, ValidRam = 0x80;
    private const ulong UnitsPerSecond = 10_000_000;
    /// <summary>How long before each second UIP warns: 244 µs.</summary>
    private const ulong UpdateWarning = 2440;

    private bool _started;
    private byte _index, _registerA, _registerB;
    private long _offsetSeconds;
    private ClockFields _held;
    private fixed byte _memory[128];

    public uint Read(ushort port, int size, ulong unixTime)
    {
        Start();
        // The index cannot be read back, as on the chip; a wide access spans both ports.
        uint value = 0;
        for (int i = 0; i < size; i++) value |= (port + i == DataPort ? ReadRegister(unixTime) : 0xFFu) << (8 * i);
        return value;
    }

    public void Write(ushort port, int size, uint value, ulong unixTime)
    {
        Start();
        for (int i = 0; i < size; i++)
        {
            byte part = (byte)(value >> (8 * i));
            if (port + i == IndexPort) _index = (byte)(part & 0x7F); // bit 7 masks NMIs
            else if (port + i == DataPort) WriteRegister(part, unixTime);
        }
    }

    private void Start()
    {
        if (_started) return;
        _started = true;
        _registerA = DividerRunning;
        _registerB = TwentyFourHours;
    }

    private readonly bool IsHeld => (_registerB & Set) != 0;

    private uint ReadRegister(ulong unixTime)
    {
        switch (_index)
        {
            case Seconds or Minutes or Hours or DayOfWeek or Day or Month or Year or CenturyRegister: return Encode(Current(unixTime).Get(_index), _index);
            case RegisterA:
                // The guest that sees UIP clear has 244 µs in which nothing changes.
                bool updating = !IsHeld && unixTime % UnitsPerSecond >= UnitsPerSecond - UpdateWarning;
                return (uint)(_registerA | (updating ? UpdateInProgress : 0));
            case RegisterB: return _registerB;
            case RegisterC: return 0;
            case RegisterD: return ValidRam;
            default: return _memory[_index];
        }
    }

    private void WriteRegister(byte value, ulong unixTime)
    {
        switch (_index)
        {
            case Seconds or Minutes or Hours or DayOfWeek or Day or Month or Year or CenturyRegister:
                ClockFields fields = Current(unixTime);
                fields.Set(_index, Decode(value, _index));
                if (IsHeld) _held = fields;
                else Adopt(fields, unixTime);
                break;
            case RegisterA: _registerA = (byte)(value & 0x7F); break;
            case RegisterB: WriteRegisterB(value, unixTime); break;
            case RegisterC or RegisterD: break;
            default: _memory[_index] = value; break;
        }
    }

    // While SET is one the time registers hold still and take what is written; the clock goes on from there.
    private void WriteRegisterB(byte value, ulong unixTime)
    {
        bool wasHeld = IsHeld;
        if (!wasHeld && (value & Set) != 0) _held = Current(unixTime);
        _registerB = value;
        if (wasHeld && (value & Set) == 0) Adopt(_held, unixTime);
    }

    private readonly ClockFields Current(ulong unixTime) => IsHeld ? _held : ClockFields.FromUnix((long)(unixTime / UnitsPerSecond) + _offsetSeconds);

    private void Adopt(in ClockFields fields, ulong unixTime)
    {
        // A date that does not exist (the guest is between two writes) changes nothing.
        if (fields.TryToUnix(out long seconds)) _offsetSeconds = seconds - (long)(unixTime / UnitsPerSecond);
    }

    private readonly uint Encode(int value, int register)
    {
        uint afternoon = 0;
        if (register == Hours && (_registerB & TwentyFourHours) == 0)
        {
            if (value >= 12) afternoon = 0x80;
            value = value % 12 == 0 ? 12 : value % 12;
        }
        // What is written while the clock is held need not be a time, nor fit two decimal digits: the register still has eight bits.
        return (byte)(((_registerB & Binary) != 0 ? (uint)value : (uint)(value / 10 << 4 | value % 10)) | afternoon);
    }

    private readonly int Decode(byte value, int register)
    {
        bool twelve = register == Hours && (_registerB & TwentyFourHours) == 0, afternoon = twelve && (value & 0x80) != 0;
        if (twelve) value &= 0x7F;
        int number = (_registerB & Binary) != 0 ? value : (value >> 4) * 10 + (value & 15);
        return twelve ? number % 12 + (afternoon ? 12 : 0) : number;
    }
}
