// Everything the root says: on COM1, on the screen, in the log.
using System;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Serial;
using Lamina.Drivers.Video;

namespace Lamina.Root.Kernel;

/// <summary>Works from the first instruction on (serial, polled), gains the screen when there is memory, interrupts at the end of start.</summary>
public static unsafe class ConsoleOutput
{
    private const ushort Com1Port = 0x3F8;
    private const byte Com1Interrupt = 4;

    private static Uart16550<DriverHost> serial;
    private static FramebufferConsole<DriverHost> screen;
    private static bool insideLine; // the terminal's cursor is not at a line's start

    public static void InitializeSerial() => serial.TryInitialize(Com1Port);

    public static void InitializeScreen(in FramebufferInfo framebuffer) => screen.TryInitialize(framebuffer);

    /// <summary>From now on serial input queues <paramref name="onInput"/> and output need not be waited for.</summary>
    public static void Start(WorkItem* onInput)
    {
        fixed (FramebufferConsole<DriverHost>* console = &screen) FramebufferConsole<DriverHost>.Start(console);
        fixed (Uart16550<DriverHost>* uart = &serial)
        {
            if (!uart->IsPresent) Line("root: no serial port"u8);
            else if (!Uart16550<DriverHost>.TryStart(uart, Com1Interrupt, onInput)) Line("root: COM1 has no interrupt, it is polled"u8);
        }
    }

    /// <summary>One line, on its own: the line being typed is put aside and comes back after it.</summary>
    public static void Line(ReadOnlySpan<byte> text)
    {
        MachineLog.Append(text);
        LineUnlogged(text);
    }

    internal static void LineUnlogged(ReadOnlySpan<byte> text)
    {
        ManagementConsole.PutLineAside();
        EmitFreshLine();
        Emit(text);
        Emit("\r\n"u8);
    }

    /// <summary>Bytes as they are: the output of a guest to whose serial port the terminal is connected.</summary>
    public static void Raw(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == 0) return;
        ManagementConsole.PutLineAside();
        Emit(bytes);
    }

    internal static bool TryReadInput(out byte value) => serial.TryReadByte(out value);

    /// <summary>To the terminal and nowhere else, whatever stands on the current line.</summary>
    internal static void Emit(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == 0) return;
        bool enabled = Interrupts.Disable();
        serial.WriteBytes(bytes);
        Interrupts.Restore(enabled);
        screen.WriteBytes(bytes);
        insideLine = bytes[bytes.Length - 1] is not ((byte)'\n' or (byte)'\r');
    }

    /// <summary>Empties the current line of the terminal and stays on it.</summary>
    internal static void EraseLine()
    {
        Emit("\r\x1b[K"u8);
        insideLine = false;
    }

    internal static void EmitFreshLine()
    {
        if (insideLine) Emit("\r\n"u8);
    }

    /// <summary>No interrupt and no timer is needed from here on.</summary>
    internal static void BeginPanic()
    {
        serial.BecomePolled();
        screen.BecomeImmediate();
        EmitFreshLine();
    }

    internal static void PanicLine(ReadOnlySpan<byte> text)
    {
        Emit(text);
        Emit("\r\n"u8);
        screen.Draw();
    }
}
