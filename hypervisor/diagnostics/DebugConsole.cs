// The core's own output: COM1 and the framebuffer while it has the machine, and for a panic. The root takes both over when it starts.
using System;
using Lamina.Hypervisor.Core;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Hypervisor.Diagnostics;

public static unsafe class DebugConsole
{
    private const ushort Com1 = 0x3F8;
    private const ushort LineStatus = Com1 + 5;
    private const byte TransmitterHoldingEmpty = 0x20;

    private static bool serialPresent;

    /// <summary>115200 8N1 where a UART answers its scratch register.</summary>
    public static void Initialize()
    {
        Instructions.Out8(Com1 + 7, 0x5A);
        serialPresent = Instructions.In8(Com1 + 7) == 0x5A;
        if (!serialPresent)
            return;
        Instructions.Out8(Com1 + 1, 0x00);
        Instructions.Out8(Com1 + 3, 0x80);
        Instructions.Out8(Com1 + 0, 0x01);
        Instructions.Out8(Com1 + 1, 0x00);
        Instructions.Out8(Com1 + 3, 0x03);
        Instructions.Out8(Com1 + 2, 0x07);
        Instructions.Out8(Com1 + 4, 0x0B);
    }

    public static void Write(ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == (byte)'\n')
                WriteByte((byte)'\r');
            WriteByte(text[i]);
        }
        ScreenText.Write(text);
    }

    /// <summary>One line: text and a line end.</summary>
    public static void Line(ReadOnlySpan<byte> text)
    {
        Write(text);
        Write("\n"u8);
    }

    private static class Storage { internal static SpinLock Lock; }

    /// <summary>A line that begins on a line of its own, whoever else writes; not for a panic, which may hold the lock itself.</summary>
    public static void LineAlone(ReadOnlySpan<byte> text)
    {
        Storage.Lock.Acquire(LockRank.Console);
        Line(default);
        Line(text);
        Storage.Lock.Release(LockRank.Console);
    }

    private static void WriteByte(byte value)
    {
        if (!serialPresent)
            return;
        // A UART that never drains must not stop the machine: give up on the byte after a while.
        for (int i = 0; i < 100000 && (Instructions.In8(LineStatus) & TransmitterHoldingEmpty) == 0; i++) { }
        Instructions.Out8(Com1, value);
    }
}
