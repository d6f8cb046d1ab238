// The PC's serial port: a 16550 with interrupts, or polled where it has none and in a panic.
// PC16550D data sheet, "Registers", "FIFO Interrupt Mode Operation".
using System;
using Lamina.Drivers.Bus;
using Lamina.X64;

namespace Lamina.Drivers.Serial;

/// <summary>115200 baud, 8N1. Bytes in both directions go through rings; a full transmit ring makes the writer wait, none is lost.</summary>
public unsafe struct Uart16550<THost> where THost : struct, IDriverHost
{
    // Registers, from the base port
    private const int Data = 0, InterruptEnable = 1, InterruptIdentification = 2, FifoControl = 2, LineControl = 3, ModemControl = 4, LineStatus = 5, Scratch = 7;
    private const int DivisorLow = 0, DivisorHigh = 1; // while the latch is open

    private const byte ReceiveInterrupt = 1, TransmitInterrupt = 2;
    private const byte NothingPending = 1;
    private const byte EnableFifos = 0x07, EightBits = 0x03, DivisorLatch = 0x80;
    private const byte TerminalReadyRequestToSendInterruptsOut = 0x0B;
    private const byte DataReady = 1, TransmitterEmpty = 0x20;
    private const int FifoBytes = 16, CausesPerInterrupt = 256, PollLimit = 1_000_000;

    private const int ReceiveBytes = 4096, TransmitBytes = 16384; // powers of two
    private const ulong PollInterval = 200_000; // 20 ms

    private fixed byte receive[ReceiveBytes];
    private fixed byte transmit[TransmitBytes];
    private uint received, taken, queued, sent; // counts of bytes, they wrap

    private WorkItem* onInput;
    private DeadlineTimer poll;
    private ushort port;
    private bool interrupts;
    private byte enabled; // what the interrupt enable register holds

    public bool IsPresent { get; private set; }

    /// <summary>Bytes that came faster than they were taken.</summary>
    public uint Overruns { get; private set; }

    /// <summary>Sets the port up, polled for now. False if there is no UART.</summary>
    public bool TryInitialize(ushort basePort)
    {
        port = basePort;
        Write(Scratch, 0x5A);
        IsPresent = Read(Scratch) == 0x5A;
        if (!IsPresent) return false;
        Write(InterruptEnable, 0);
        Write(LineControl, DivisorLatch);
        Write(DivisorLow, 1);
        Write(DivisorHigh, 0);
        Write(LineControl, EightBits);
        Write(FifoControl, EnableFifos);
        Write(ModemControl, TerminalReadyRequestToSendInterruptsOut);
        return true;
    }

    /// <summary>
    /// From now on input queues <paramref name="onInput"/>. False if the interrupt cannot be had and the port is polled instead.
    /// <paramref name="uart"/> must stay where it is.
    /// </summary>
    public static bool TryStart(Uart16550<THost>* uart, byte isaInterrupt, WorkItem* onInput)
    {
        uart->onInput = onInput;
        uart->interrupts = THost.TryConnectIsaInterrupt(isaInterrupt, &OnInterrupt, uart);
        if (uart->interrupts)
        {
            uart->EnableInterrupts(ReceiveInterrupt);
            return true;
        }
        uart->poll = new DeadlineTimer { Handler = &OnPoll, Context = uart };
        THost.Arm(&uart->poll, THost.Now + PollInterval);
        return false;
    }

    /// <summary>The oldest byte that came.</summary>
    public bool TryReadByte(out byte value)
    {
        value = receive[taken & (ReceiveBytes - 1)];
        if (taken == System.Threading.Volatile.Read(ref received)) return false;
        taken++;
        return true;
    }

    /// <summary>Sends bytes. Interrupts are disabled by the caller, since the rings are the handler's, too.</summary>
    public void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        if (!IsPresent) return;
        foreach (byte value in bytes)
        {
            if (queued - sent == TransmitBytes) Drain(TransmitBytes / 2);
            transmit[queued++ & (TransmitBytes - 1)] = value;
        }
        if (interrupts) Pump();
        else Drain(0);
    }

    /// <summary>Waits until all is sent, and needs no interrupt from then on: for a panic.</summary>
    public void BecomePolled()
    {
        if (!IsPresent) return;
        interrupts = false;
        EnableInterrupts(0);
        Drain(0);
    }

    /// <summary>Fills the transmitter as often as it is empty; asks for an interrupt if something is left.</summary>
    private void Pump()
    {
        while (queued != sent && (Read(LineStatus) & TransmitterEmpty) != 0)
            for (int i = 0; i < FifoBytes && queued != sent; i++) Write(Data, transmit[sent++ & (TransmitBytes - 1)]);
        EnableInterrupts(queued != sent ? (byte)(ReceiveInterrupt | TransmitInterrupt) : ReceiveInterrupt);
    }

    private void EnableInterrupts(byte causes)
    {
        if (causes == enabled) return;
        enabled = causes;
        Write(InterruptEnable, causes);
    }

    /// <summary>Sends, waiting, until at most <paramref name="remaining"/> bytes are queued. A UART that never empties loses bytes, it does not stop the machine.</summary>
    private void Drain(uint remaining)
    {
        while (queued - sent > remaining)
        {
            for (int i = 0; i < PollLimit && (Read(LineStatus) & TransmitterEmpty) == 0; i++) Instructions.Pause();
            for (int i = 0; i < FifoBytes && queued != sent; i++) Write(Data, transmit[sent++ & (TransmitBytes - 1)]);
        }
    }

    private void Receive()
    {
        while ((Read(LineStatus) & DataReady) != 0)
        {
            byte value = Read(Data);
            if (received - taken == ReceiveBytes)
            {
                Overruns++;
                continue;
            }
            receive[received & (ReceiveBytes - 1)] = value;
            System.Threading.Volatile.Write(ref received, received + 1);
        }
        if (received != taken) THost.Queue(onInput);
    }

    /// <summary>An ISA line is edge-triggered: it rises again only after every cause was dealt with.</summary>
    private static void OnInterrupt(void* context)
    {
        Uart16550<THost>* uart = (Uart16550<THost>*)context;
        for (int i = 0; i < CausesPerInterrupt && (uart->Read(InterruptIdentification) & NothingPending) == 0; i++)
        {
            uart->Receive();
            uart->Pump();
        }
    }

    private static void OnPoll(void* context)
    {
        Uart16550<THost>* uart = (Uart16550<THost>*)context;
        uart->Receive();
        THost.Arm(&uart->poll, THost.Now + PollInterval);
    }

    private readonly byte Read(int register) => Instructions.In8((ushort)(port + register));
    private readonly void Write(int register, byte value) => Instructions.Out8((ushort)(port + register), value);
}
