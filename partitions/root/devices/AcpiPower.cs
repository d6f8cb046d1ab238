// The fixed ACPI hardware of a guest: PM1a event and control registers, PM timer, power button, reset register.
// Source: ACPI Specification, "ACPI Hardware Specification".
namespace Lamina.Root.Devices;

/// <summary>
/// A system that is always in ACPI mode (no SMI command port, SCI_EN reads one). Times are in units of 100 ns of any
/// clock that does not go back. The system control interrupt is a level: read <see cref="GetSciLevel"/> after each call.
/// </summary>
public struct AcpiPower
{
    public const ushort EventBlock = 0x400, ControlBlock = 0x404, TimerBlock = 0x408, LastPort = 0x40B;
    /// <summary>The reset register of PC chipsets; bit 2 resets.</summary>
    public const ushort ResetPort = 0xCF9;
    public const byte ResetValue = 0x06;
    public const byte SciIrq = 9;
    /// <summary>The SLP_TYP of \_S5, soft off.</summary>
    public const byte SleepTypeS5 = 5;
    public const ulong TimerHz = 3579545;

    private const ulong UnitsPerSecond = 10_000_000;
    private const ushort TmrSts = 1 << 0, PwrbtnSts = 1 << 8;
    private const ushort EnableMask = TmrSts | 1 << 5 | PwrbtnSts | 1 << 9 | 1 << 10;
    private const ushort SciEn = 1 << 0, SlpEn = 1 << 13, ControlMask = 0x1C02;

    private ushort _status, _enable, _control;
    private byte _reset;
    private uint _timerSeen;

    /// <summary>Whether the SCI line is asserted.</summary>
    public bool GetSciLevel(ulong time)
    {
        LatchTimer(time);
        return (_status & _enable) != 0;
    }

    /// <summary>When the timer will next set TMR_STS with its interrupt enabled; ulong.MaxValue when nobody waits for that.</summary>
    public readonly ulong GetNextTimerEvent(ulong time)
    {
        if ((_enable & TmrSts) == 0 || (_status & TmrSts) != 0) return ulong.MaxValue;
        ulong ticks = Ticks(time), next = (ticks | 0x7FFFFFFF) + 1;
        // Rounded up, so that at the returned time the tick has certainly happened.
        return next / TimerHz * UnitsPerSecond + (next % TimerHz * UnitsPerSecond + TimerHz - 1) / TimerHz;
    }

    /// <summary>The power button is pressed once: a guest that listens begins to shut down.</summary>
    public void PressPowerButton() => _status |= PwrbtnSts;

    public uint Read(ushort port, int size, ulong time)
    {
        if (port == ResetPort) return _reset;
        LatchTimer(time);
        uint value = 0;
        for (int i = 0; i < size; i++) value |= (uint)ReadByte(port - EventBlock + i, (uint)Ticks(time)) << (8 * i);
        return value;
    }

    public DeviceEffect Write(ushort port, int size, uint value, ulong time)
    {
        if (port == ResetPort)
        {
            _reset = (byte)(value & 0x0A);
            return (value & 4) != 0 ? new DeviceEffect(DeviceEffectKind.Reset) : default;
        }
        LatchTimer(time);
        bool sleeps = false;
        for (int i = 0; i < size; i++) sleeps |= WriteByte(port - EventBlock + i, (byte)(value >> (8 * i)));
        return sleeps && (_control >> 10 & 7) == SleepTypeS5 ? new DeviceEffect(DeviceEffectKind.PowerOff) : default;
    }

    private readonly byte ReadByte(int offset, uint timer) => offset switch
    {
        0 or 1 => (byte)(_status >> (8 * offset)),
        2 or 3 => (byte)(_enable >> (8 * (offset - 2))),
        4 or 5 => (byte)((_control | SciEn) >> (8 * (offset - 4))),
        >= 8 and <= 11 => (byte)(timer >> (8 * (offset - 8))),
        6 or 7 => 0,
        _ => 0xFF,
    };

    // Returns whether SLP_EN, which always reads zero, was written as one.
    private bool WriteByte(int offset, byte value)
    {
        int shift = 8 * (offset & 1);
        ushort bits = (ushort)(value << shift), keep = (ushort)~(0xFF << shift);
        switch (offset)
        {
            case 0 or 1: _status &= (ushort)~bits; break; // written ones clear
            case 2 or 3: _enable = (ushort)((_enable & keep | bits) & EnableMask); break;
            case 4 or 5: _control = (ushort)((_control & keep | bits) & ControlMask); return (bits & SlpEn) != 0;
        }
        return false;
    }

    // TMR_STS is set whenever the timer's highest bit changes.
    private void LatchTimer(ulong time)
    {
        uint half = (uint)(Ticks(time) >> 31);
        if (half != _timerSeen) _status |= TmrSts;
        _timerSeen = half;
    }

    // In two steps: time * TimerHz would overflow after five days.
    private static ulong Ticks(ulong time) => time / UnitsPerSecond * TimerHz + time % UnitsPerSecond * TimerHz / UnitsPerSecond;
}
