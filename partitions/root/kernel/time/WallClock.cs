// Date and time of day: read from the CMOS clock once, carried on by the reference clock.
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static class WallClock
{
    private const ushort IndexPort = 0x70, DataPort = 0x71;
    private const byte RegisterA = 0x0A, RegisterB = 0x0B;
    private const byte UpdateInProgress = 0x80;
    private const int ReadAttempts = 100000;

    private static long secondsAtZero; // Unix time when the reference clock read 0

    /// <summary>Reads the CMOS clock, twice until both agree, so that no update falls between its registers.</summary>
    public static void Initialize()
    {
        CmosTime time = Read();
        for (int i = 0; i < ReadAttempts; i++)
        {
            CmosTime again = Read();
            if (again.Equals(time)) break;
            time = again;
        }
        secondsAtZero = time.ToUnixSeconds() - (long)(ReferenceClock.Now / ReferenceClock.TicksPerSecond);
    }

    /// <summary>Seconds since 1970-01-01 00:00:00 UTC; the CMOS clock is taken to hold UTC.</summary>
    public static long UnixSeconds => secondsAtZero + (long)(ReferenceClock.Now / ReferenceClock.TicksPerSecond);

    private static CmosTime Read()
    {
        for (int i = 0; i < ReadAttempts && (ReadRegister(RegisterA) & UpdateInProgress) != 0; i++) Instructions.Pause();
        return new CmosTime(ReadRegister(0), ReadRegister(2), ReadRegister(4), ReadRegister(7), ReadRegister(8), ReadRegister(9), ReadRegister(0x32), ReadRegister(RegisterB));
    }

    private static byte ReadRegister(byte index)
    {
        Instructions.Out8(IndexPort, index);
        return Instructions.In8(DataPort);
    }
}
