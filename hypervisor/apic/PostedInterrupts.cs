// The mailbox through which any logical processor requests vectors of a virtual processor that runs elsewhere.
using System.Runtime.CompilerServices;
using System.Threading;

namespace Lamina.Hypervisor.Apic;

/// <summary>
/// Vectors posted from anywhere, moved into the APIC by its owner. Lock-free; 72 bytes.
/// </summary>
public unsafe struct PostedInterrupts
{
    private fixed ulong _requests[4];
    private fixed ulong _levels[4];
    private uint _outstanding;

    /// <summary>True while something waits for <see cref="Drain"/>; one load, for the entry path.</summary>
    public bool IsOutstanding
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref _outstanding) != 0;
    }

    /// <summary>Posts a vector. True: nothing was outstanding before, so the caller has to kick or wake the target.</summary>
    public bool Post(byte vector, bool levelTriggered)
    {
        ulong bit = 1UL << vector;
        if (levelTriggered) Interlocked.Or(ref _levels[vector >> 6], bit);
        Interlocked.Or(ref _requests[vector >> 6], bit);
        // The request must be visible before the flag: Drain clears the flag first and then looks.
        return Interlocked.Exchange(ref _outstanding, 1) == 0;
    }

    /// <summary>Moves what was posted into the APIC; only its owner calls. True: a vector is newly requested.</summary>
    public bool Drain(ref LocalApic apic)
    {
        if (Interlocked.Exchange(ref _outstanding, 0) == 0) return false;
        bool changed = false;
        for (int i = 0; i < 4; i++)
        {
            if (Volatile.Read(ref _requests[i]) == 0) continue;
            ulong requests = Interlocked.Exchange(ref _requests[i], 0);
            ulong levels = Interlocked.And(ref _levels[i], ~requests) & requests;
            while (requests != 0)
            {
                int bit = System.Numerics.BitOperations.TrailingZeroCount(requests);
                requests &= requests - 1;
                changed |= apic.Assert((byte)(i * 64 + bit), ((levels >> bit) & 1) != 0);
            }
        }
        return changed;
    }
}
