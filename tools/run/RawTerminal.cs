// The user's terminal while he is in the machine: every key goes there, nothing is echoed or interpreted here.
using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace Lamina.Tools.Run;

/// <summary>Puts a Linux terminal into raw mode and back; elsewhere input stays line by line.</summary>
public sealed unsafe class RawTerminal : IDisposable
{
    private const int StandardInput = 0;
    private const int Now = 0;
    private readonly byte[] saved = new byte[256]; // larger than any struct termios
    private readonly bool raw;
    private int restored;

    public RawTerminal()
    {
        if (!OperatingSystem.IsLinux())
            return;
        fixed (byte* state = saved)
            if (tcgetattr(StandardInput, state) != 0)
                return;
        byte[] changed = (byte[])saved.Clone();
        fixed (byte* state = changed)
        {
            cfmakeraw(state);
            raw = tcsetattr(StandardInput, Now, state) == 0;
        }
        Report.RawTerminal = raw;
    }

    public static bool InputIsTerminal => !Console.IsInputRedirected;

    /// <summary>Reads what was typed; blocks. Zero at the end of input.</summary>
    public static int Read(Span<byte> buffer)
    {
        if (OperatingSystem.IsWindows())
            return Console.OpenStandardInput().Read(buffer);
        fixed (byte* p = buffer)
            return (int)Math.Max(0, read(StandardInput, p, (nuint)buffer.Length));
    }

    public void Dispose()
    {
        if (!raw || Interlocked.Exchange(ref restored, 1) != 0)
            return;
        fixed (byte* state = saved)
            tcsetattr(StandardInput, Now, state);
        Report.RawTerminal = false;
    }

    [DllImport("libc")] private static extern int tcgetattr(int descriptor, byte* state);
    [DllImport("libc")] private static extern int tcsetattr(int descriptor, int when, byte* state);
    [DllImport("libc")] private static extern void cfmakeraw(byte* state);
    [DllImport("libc")] private static extern nint read(int descriptor, byte* buffer, nuint length);
}
