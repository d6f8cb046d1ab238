// Locks among the guest's processors.
using System.Threading;

namespace Lamina.Guest.Smp;

/// <summary>All zero: free. Whoever comes first has it.</summary>
public struct SpinLock
{
    private uint isHeld;

    /// <summary>False: nobody released it for long.</summary>
    public bool TryAcquire()
    {
        Patience patience = new(2 * Clock.Patience);
        while (Interlocked.Exchange(ref isHeld, 1u) != 0)
            while (Volatile.Read(ref isHeld) != 0)
                if (patience.IsOver) return false;
        return true;
    }

    public void Release() => Volatile.Write(ref isHeld, 0u);
}

/// <summary>All zero: free. In the order in which they came.</summary>
public struct TicketLock
{
    private int next, serving;

    public bool TryAcquire()
    {
        int ticket = Interlocked.ExchangeAdd(ref next, 1);
        Patience patience = new(2 * Clock.Patience);
        while (Volatile.Read(ref serving) != ticket)
            if (patience.IsOver) return false;
        return true;
    }

    public void Release() => Volatile.Write(ref serving, serving + 1);
}
