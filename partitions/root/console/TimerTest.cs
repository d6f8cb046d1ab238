// The console's `test timer`: arms a timer and sees that it comes by interrupt, and when it should.
using Lamina.Drivers.Bus;
using Lamina.Text;

namespace Lamina.Root.Kernel;

public static unsafe class TimerTest
{
    private const ulong Delay = 50 * ReferenceClock.TicksPerMillisecond;

    /// <summary>Emulators on a busy machine are late; being early, or not coming at all, is what a defect looks like.</summary>
    private const ulong Tolerance = 500 * ReferenceClock.TicksPerMillisecond;

    private static DeadlineTimer timer;
    private static ulong expirationsBefore;

    public static void Start()
    {
        timer.Handler = &OnExpired;
        expirationsBefore = Timers.Expirations;
        fixed (DeadlineTimer* armed = &timer) DriverHost.Arm(armed, ReferenceClock.Now + Delay);
    }

    private static void OnExpired(void* context)
    {
        byte* buffer = stackalloc byte[96];
        TextWriter line = new(buffer, 96);
        ulong now = ReferenceClock.Now;
        if (now < timer.Deadline) line.Text("FAIL timer early by "u8).Decimal(timer.Deadline - now);
        else if (now - timer.Deadline > Tolerance) line.Text("FAIL timer late by "u8).Decimal(now - timer.Deadline);
        else if (Timers.Expirations == expirationsBefore) line.Text("FAIL timer no interrupt came"u8);
        else line.Text("PASS timer"u8);
        ConsoleOutput.Line(line.Written);
    }
}
