// Waiting: halted until an interrupt or a little time has passed, and at last for too long.
using Lamina.X64;

namespace Lamina.Guest.Bus;

/// <summary>As in <c>while (!condition &amp;&amp; patience.Wait()) { }</c>: what the condition looks at changes while it waits.</summary>
public ref struct Patience
{
    /// <summary>Emulators on busy machines are slow, and waiting ends early.</summary>
    private const ulong UsualMilliseconds = 20_000, Nap = 20_000;
    private const byte TimerVector = 0xED;

    private readonly ulong end;

    public Patience(ulong milliseconds) => end = Clock.Reference + milliseconds * 10_000;

    public static Patience Usual => new(UsualMilliseconds);

    /// <summary>Takes what has come; if nothing has, sleeps for a while. False: the time is over.</summary>
    public readonly bool Wait()
    {
        if (GuestBus.Poll()) return true;
        ulong now = Clock.Reference;
        if (now >= end) return false;
        SyntheticTimer.StartDirect(0, TimerVector, now + Nap);
        // Interrupts are off since the poll: what comes from there on ends the halt.
        Instructions.StiHlt();
        Instructions.Cli();
        GuestBus.Poll();
        return true;
    }

    /// <summary>Lets the host run without taking anything. False: the time is over.</summary>
    public readonly bool Pause()
    {
        Instructions.Pause();
        return Clock.Reference < end;
    }

    /// <summary>Lets time pass, whatever comes.</summary>
    public static void Pass(ulong milliseconds)
    {
        Patience patience = new(milliseconds);
        while (patience.Wait()) { }
    }
}
