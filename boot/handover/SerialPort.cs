// COM1 as a way out for text: a 16550 at 0x3F8, used only when one answers. PC16550D data sheet, "Registers".
using Lamina.X64;

namespace Lamina.Boot;

/// <summary>Transmits by polling, 115200 baud, 8N1.</summary>
public static class SerialPort
{
    private const ushort Data = 0x3F8;
    private const ushort InterruptEnable = Data + 1;
    private const ushort FifoControl = Data + 2;
    private const ushort LineControl = Data + 3;
    private const ushort ModemControl = Data + 4;
    private const ushort LineStatus = Data + 5;
    private const ushort Scratch = Data + 7;
    private const byte TransmitterHoldingRegisterEmpty = 0x20;
    private const byte TransmitterEmpty = 0x40;
    private const int PatienceReads = 100_000; // a port read takes about 1 us, a character 87 us

    /// <summary>Whether a UART answers: its scratch register keeps what is written.</summary>
    public static bool IsPresent()
    {
        Instructions.Out8(Scratch, 0x5A);
        bool kept = Instructions.In8(Scratch) == 0x5A;
        Instructions.Out8(Scratch, 0xA5);
        return kept && Instructions.In8(Scratch) == 0xA5;
    }

    public static void Initialize()
    {
        Instructions.Out8(InterruptEnable, 0);
        Instructions.Out8(LineControl, 0x80); // divisor latch
        Instructions.Out8(Data, 1);
        Instructions.Out8(InterruptEnable, 0);
        Instructions.Out8(LineControl, 0x03); // eight bits, no parity, one stop bit
        Instructions.Out8(FifoControl, 0x07); // enabled, both cleared
        Instructions.Out8(ModemControl, 0x03); // DTR, RTS
    }

    /// <summary>Sends one byte; drops it when the transmitter does not become free.</summary>
    public static void Write(byte value)
    {
        for (int i = 0; i < PatienceReads; i++)
        {
            if ((Instructions.In8(LineStatus) & TransmitterHoldingRegisterEmpty) != 0)
            {
                Instructions.Out8(Data, value);
                return;
            }
        }
    }

    /// <summary>Waits until everything has left: who initializes the UART next clears its FIFO.</summary>
    public static void Drain()
    {
        for (int i = 0; i < PatienceReads && (Instructions.In8(LineStatus) & TransmitterEmpty) == 0; i++)
        {
        }
    }
}
