// Where a loader's lines go: a screen, as far as its way in has one, and COM1; each line once on each.
using System;
using System.Runtime;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Boot;

/// <summary>Lines of up to 240 bytes.</summary>
public static unsafe class BootConsole
{
    public const int LineCapacity = 240;

    private static delegate*<ReadOnlySpan<byte>, void> screen;
    private static bool serial;
    private static LineBuffer lineBuffer;

    private struct LineBuffer
    {
        public fixed byte Bytes[LineCapacity];
    }

    /// <summary>COM1 from here on, where a UART answers.</summary>
    /// <param name="configured">Somebody uses it already: initializing it would lose what it has yet to send.</param>
    public static void UseSerialPort(bool configured)
    {
        serial = SerialPort.IsPresent();
        if (serial && !configured)
        {
            SerialPort.Initialize();
        }
    }

    /// <summary>Further lines, without their ends, go to <paramref name="writeLine"/> too; null: nowhere else.</summary>
    public static void UseScreen(delegate*<ReadOnlySpan<byte>, void> writeLine) => screen = writeLine;

    /// <summary>An empty line to fill; there is one buffer, so one line at a time.</summary>
    public static TextWriter BeginLine()
    {
        fixed (byte* buffer = lineBuffer.Bytes)
        {
            return new TextWriter(buffer, LineCapacity);
        }
    }

    /// <summary>Writes what <paramref name="line"/> holds, and ends the line.</summary>
    public static void WriteLine(ref TextWriter line) => WriteLine(line.Written);

    public static void WriteLine(ReadOnlySpan<byte> text)
    {
        if (serial)
        {
            foreach (byte value in text)
            {
                SerialPort.Write(value);
            }
            SerialPort.Write((byte)'\r');
            SerialPort.Write((byte)'\n');
        }
        if (screen != null)
        {
            screen(text);
        }
    }

    /// <summary>Waits until all lines have left, before somebody else takes the port over.</summary>
    public static void Drain()
    {
        if (serial)
        {
            SerialPort.Drain();
        }
    }

    /// <summary>A violated check inside this image (bounds, overflow): says so and stops. The codes are corelib's ThrowHelpers'.</summary>
    [RuntimeExport("lamina_fail_fast")]
    private static void FailFast(ulong reason)
    {
        TextWriter line = BeginLine();
        line.Text("boot: stopped: a check of the loader itself failed, code "u8).Decimal(reason);
        Stop(line.Written);
    }

    /// <summary>Says why and stops the machine: for when there is neither a core nor a firmware to go to.</summary>
    public static void Stop(ReadOnlySpan<byte> reason)
    {
        WriteLine(reason);
        while (true)
        {
            Instructions.Cli();
            Instructions.Hlt();
        }
    }
}
