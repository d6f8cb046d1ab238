// The console: COM1, polled, one byte after the other.
using System;
using Lamina.X64;

namespace Lamina.Guest;

public static class Serial
{
    public const ushort Port = 0x3F8;
    public const ushort InterruptEnable = Port + 1, InterruptIdentification = Port + 2, LineControl = Port + 3, ModemControl = Port + 4, LineStatus = Port + 5, Scratch = Port + 7;
    private const byte TransmitterHoldingEmpty = 0x20;
    private const int Patience = 100_000;

    /// <summary>8N1; the FIFO on; no interrupts.</summary>
    public static void Initialize()
    {
        Instructions.Out8(InterruptEnable, 0);
        Instructions.Out8(LineControl, 0x03);
        Instructions.Out8(InterruptIdentification, 0x07);
        Instructions.Out8(ModemControl, 0x0B);
    }

    public static void Write(ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++) Put(text[i]);
    }

    public static void Line(ReadOnlySpan<byte> text)
    {
        Write(text);
        Write("\r\n"u8);
    }

    private static void Put(byte value)
    {
        for (int i = 0; i < Patience && (Instructions.In8(LineStatus) & TransmitterHoldingEmpty) == 0; i++) { }
        Instructions.Out8(Port, value);
    }
}
