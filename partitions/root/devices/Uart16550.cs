// The 16550A serial port of a guest. Source: National Semiconductor, "PC16550D Universal Asynchronous Receiver/Transmitter".
using System;
using System.Runtime.CompilerServices;

namespace Lamina.Root.Devices;

/// <summary>Takes what a guest writes to its serial port, a byte at a time.</summary>
public interface IByteSink
{
    void Put(byte value);
}

/// <summary>
/// A line that sends at once: the transmitter is always empty again when the guest looks. Input waits outside until
/// <see cref="TryReceive"/> takes it, so nothing is lost. The interrupt is a level: read <see cref="IrqLevel"/>, or
/// <see cref="TryTakeIrqChange"/>, after each call.
/// </summary>
public unsafe struct Uart16550
{
    public const ushort Com1 = 0x3F8;
    public const byte RegisterCount = 8, Com1Irq = 4;

    private const int FifoSize = 16;

    private const byte IerReceived = 1, IerThrEmpty = 2, IerLineStatus = 4, IerModemStatus = 8, IerMask = 0x0F;
    private const byte IirNone = 1, IirThrEmpty = 2, IirReceived = 4, IirLineStatus = 6, IirTimeout = 12, IirModemStatus = 0, IirFifos = 0xC0;
    private const byte FcrEnable = 1, FcrClearReceiver = 2, FcrTrigger = 0xC0;
    private const byte LcrDivisorLatch = 0x80;
    private const byte McrDtr = 1, McrRts = 2, McrOut1 = 4, McrOut2 = 8, McrLoop = 16, McrMask = 0x1F;
    private const byte LsrDataReady = 1, LsrOverrun = 2, LsrThrEmpty = 0x20, LsrTransmitterEmpty = 0x40;
    private const byte MsrDeltaMask = 0x0F, MsrTrailingRing = 4, MsrCts = 0x10, MsrDsr = 0x20, MsrRing = 0x40, MsrDcd = 0x80;

    private byte _ier, _lcr, _mcr, _scratch, _fcr, _divisorLow, _divisorHigh, _msrDelta;
    private bool _thrEmptyPending, _overrun, _irqReported;
    private byte _fifoHead, _fifoCount;
    private fixed byte _fifo[FifoSize];

    /// <summary>Whether the interrupt line is asserted: something enabled is pending and OUT2, the PC's gate, is on.</summary>
    public readonly bool IrqLevel => Pending() != IirNone && (_mcr & McrOut2) != 0;

    /// <summary>True when the level differs from what this method last gave.</summary>
    public bool TryTakeIrqChange(out bool level)
    {
        level = IrqLevel;
        if (level == _irqReported) return false;
        _irqReported = level;
        return true;
    }

    /// <summary>How many bytes of input are accepted now.</summary>
    public readonly int ReceiveSpace => Looped ? 0 : Capacity - _fifoCount;

    /// <summary>Input from the other end of the line. False, and not taken, when there is no room: try again later.</summary>
    public bool TryReceive(byte value)
    {
        if (ReceiveSpace <= 0) return false;
        Enqueue(value);
        return true;
    }

    /// <summary>A read of 1, 2 or 4 bytes; a wide one is as many reads of neighbouring registers, as on an 8-bit bus.</summary>
    public uint Read(ushort port, int size) => size == 1 ? ReadRegister(port - Com1) : ReadWide(port, size);

    private uint ReadWide(ushort port, int size)
    {
        uint value = 0;
        for (int i = 0; i < size; i++) value |= (uint)ReadRegister(port - Com1 + i) << (8 * i);
        return value;
    }

    /// <summary>Whether a read is of the line status and no other register. Guests that poll read little else.</summary>
    public static bool IsLineStatus(ushort port, int size) => port == Com1 + 5 && size == 1;

    /// <summary>The line status, if it has no error that the read would clear: then nothing has changed afterwards. False: use <see cref="Read"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool TryReadLineStatusQuietly(out uint value)
    {
        value = LineStatus();
        return !_overrun;
    }

    /// <summary>A write of 1, 2 or 4 bytes; what the guest sends goes to <paramref name="sink"/>.</summary>
    public void Write<TSink>(ushort port, int size, uint value, ref TSink sink) where TSink : struct, IByteSink
    {
        for (int i = 0; i < size; i++) WriteRegister(port - Com1 + i, (byte)(value >> (8 * i)), ref sink);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private byte ReadRegister(int register)
    {
        bool latch = (_lcr & LcrDivisorLatch) != 0;
        switch (register)
        {
            case 0: return latch ? _divisorLow : Dequeue();
            case 1: return latch ? _divisorHigh : _ier;
            case 2: return ReadInterruptIdentification();
            case 3: return _lcr;
            case 4: return _mcr;
            case 5: return ReadLineStatus();
            case 6: return ReadModemStatus();
            case 7: return _scratch;
            default: return 0xFF;
        }
    }

    private void WriteRegister<TSink>(int register, byte value, ref TSink sink) where TSink : struct, IByteSink
    {
        bool latch = (_lcr & LcrDivisorLatch) != 0;
        switch (register)
        {
            case 0 when latch: _divisorLow = value; break;
            case 0: Transmit(value, ref sink); break;
            case 1 when latch: _divisorHigh = value; break;
            case 1: WriteInterruptEnable(value); break;
            case 2: WriteFifoControl(value); break;
            case 3: _lcr = value; break;
            case 4: WriteModemControl(value); break;
            case 7: _scratch = value; break;
            // 5 and 6 are read-only here; the chip keeps their writes for its factory test.
        }
    }

    private void Transmit<TSink>(byte value, ref TSink sink) where TSink : struct, IByteSink
    {
        if (!Looped) sink.Put(value);
        else if (_fifoCount < Capacity) Enqueue(value);
        else _overrun = true;
        // The holding register fills and is empty again before the guest can look: a new event.
        _thrEmptyPending = true;
    }

    private void WriteInterruptEnable(byte value)
    {
        // Switching the interrupt on while the register is empty raises it; Linux tests for this and works around chips that don't.
        if ((value & IerThrEmpty) != 0 && (_ier & IerThrEmpty) == 0) _thrEmptyPending = true;
        _ier = (byte)(value & IerMask);
    }

    private void WriteFifoControl(byte value)
    {
        // Both FIFOs are emptied when they are switched on or off.
        if ((value & FcrClearReceiver) != 0 && (value & FcrEnable) != 0 || ((value ^ _fcr) & FcrEnable) != 0) _fifoCount = 0;
        // The other bits are programmed only while bit 0 is written as one.
        _fcr = (value & FcrEnable) != 0 ? (byte)(value & (FcrEnable | FcrTrigger)) : (byte)0;
    }

    private void WriteModemControl(byte value)
    {
        byte before = ModemLines();
        _mcr = (byte)(value & McrMask);
        byte after = ModemLines();
        int changed = (before ^ after) & (MsrCts | MsrDsr | MsrDcd);
        // Ring counts only when it ends.
        if ((before & MsrRing) != 0 && (after & MsrRing) == 0) _msrDelta |= MsrTrailingRing;
        _msrDelta |= (byte)(changed >> 4);
    }

    private byte ReadInterruptIdentification()
    {
        byte pending = Pending();
        // Reading acknowledges this source and no other.
        if (pending == IirThrEmpty) _thrEmptyPending = false;
        return (byte)(pending | ((_fcr & FcrEnable) != 0 ? IirFifos : 0));
    }

    private byte ReadLineStatus()
    {
        byte status = (byte)(LineStatus() | (_overrun ? LsrOverrun : 0));
        _overrun = false;
        return status;
    }

    // But for the errors.
    private readonly byte LineStatus() => (byte)(LsrThrEmpty | LsrTransmitterEmpty | (_fifoCount != 0 ? LsrDataReady : 0));

    private byte ReadModemStatus()
    {
        byte status = (byte)(ModemLines() | _msrDelta & MsrDeltaMask);
        _msrDelta = 0;
        return status;
    }

    // In the order of their priority.
    private readonly byte Pending()
    {
        if ((_ier & IerLineStatus) != 0 && _overrun) return IirLineStatus;
        if ((_ier & IerReceived) != 0 && _fifoCount != 0)
            // Below the trigger level the chip waits four characters' time; here that time has always passed.
            return (_fcr & FcrEnable) == 0 || _fifoCount >= TriggerLevel ? IirReceived : IirTimeout;
        if ((_ier & IerThrEmpty) != 0 && _thrEmptyPending) return IirThrEmpty;
        if ((_ier & IerModemStatus) != 0 && _msrDelta != 0) return IirModemStatus;
        return IirNone;
    }

    // The other end is always there and ready; in loop mode the chip's own outputs come back.
    private readonly byte ModemLines()
    {
        if (!Looped) return MsrCts | MsrDsr | MsrDcd;
        int lines = 0;
        if ((_mcr & McrRts) != 0) lines |= MsrCts;
        if ((_mcr & McrDtr) != 0) lines |= MsrDsr;
        if ((_mcr & McrOut1) != 0) lines |= MsrRing;
        if ((_mcr & McrOut2) != 0) lines |= MsrDcd;
        return (byte)lines;
    }

    private readonly bool Looped => (_mcr & McrLoop) != 0;
    private readonly int Capacity => (_fcr & FcrEnable) != 0 ? FifoSize : 1;
    private readonly int TriggerLevel => (_fcr >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 };

    private void Enqueue(byte value) => _fifo[(_fifoHead + _fifoCount++) % FifoSize] = value;

    private byte Dequeue()
    {
        if (_fifoCount == 0) return 0;
        byte value = _fifo[_fifoHead];
        _fifoHead = (byte)((_fifoHead + 1) % FifoSize);
        _fifoCount--;
        return value;
    }
}
