// One virtual processor as its guest sees it, and what must hold of it wherever it runs.
using System;
using System.Threading;
using Lamina.Hypervisor.Core;

namespace Lamina.Tests.Host.Processors;

/// <summary>A partition's map, of which only versions matter: the latest, and the latest whose flush has returned to who asked for it.</summary>
public sealed class GuestMap
{
    public long Changed, Flushed;
}

/// <summary>What a test knows of a virtual processor. The executing processor alone touches it, but for what is marked.</summary>
public sealed unsafe class GuestActor(VirtualProcessor* vp, bool isRoot, GuestMap map, int seed)
{
    /// <summary>Vectors that are asked for from outside, and the one of its own timer.</summary>
    public const int FirstVector = 0x30, VectorCount = 16, TimerVector = 0x41, Vectors = 256;

    public readonly VirtualProcessor* Vp = vp;
    public readonly bool IsRoot = isRoot;
    public readonly GuestMap Map = map;
    public readonly uint Index = vp->Index;
    public readonly Random Random = new(seed);

    // ---- Written by any processor ----

    /// <summary>How often a vector was asked for, and how many of those askings a taken interrupt has answered so far.</summary>
    public readonly long[] Asked = new long[Vectors], Seen = new long[Vectors];
    public volatile bool IsDeleted, IsSpinner;

    // ---- One more than the number of the processor; 0 for none ----

    /// <summary>Its guest's instructions are being executed there.</summary>
    public int Executing;
    /// <summary>Its general registers, as the world switch exchanges them, are there.</summary>
    public int InRegisters;
    /// <summary>What the backend exchanges on top of them is there.</summary>
    public int Loaded;

    /// <summary>A register, counted up by each thing that the guest does; in memory while it is not in a processor. The guest knows what it should be.</summary>
    public long SavedRegister, Expected;
    /// <summary>The partition's map as its translations know it.</summary>
    public long Translations;
    public int InService;
    /// <summary>Whom it has sent an INIT and not yet a start-up; 0 for nobody.</summary>
    public uint Starting;
    public bool IsStarted = isRoot, IsInCall;
    public ulong CallRip;
    /// <summary>The last phase that it has seen, and the things that it did in it.</summary>
    public volatile int Phase;
    public long Steps;

    public bool IsAnswered
    {
        get
        {
            for (int i = 0; i < Vectors; i++)
                if (Volatile.Read(ref Asked[i]) != Volatile.Read(ref Seen[i])) return false;
            return true;
        }
    }

    public void Ask(int vector) => Interlocked.Increment(ref Asked[vector]);
    public void Take(int vector) => Volatile.Write(ref Seen[vector], Volatile.Read(ref Asked[vector]));

    /// <summary>An APIC that was off has forgotten what was asked of it.</summary>
    public void ForgiveAll()
    {
        for (int i = 0; i < Vectors; i++) Take(i);
    }

    public void Claim(ref int place, int processor, string what)
    {
        int before = Interlocked.CompareExchange(ref place, processor + 1, 0);
        if (before != 0) throw new InvalidOperationException($"{this} is {what} on {processor} and on {before - 1}");
    }

    public void Release(ref int place, int processor, string what)
    {
        int before = Interlocked.CompareExchange(ref place, 0, processor + 1);
        if (before != processor + 1) throw new InvalidOperationException($"{this} is no more {what} on {processor}, but was on {before - 1}");
    }

    public void RequireNowhere()
    {
        if (Volatile.Read(ref Executing) != 0 || Volatile.Read(ref InRegisters) != 0 || Volatile.Read(ref Loaded) != 0)
            throw new InvalidOperationException($"{this}: its state is still in a processor: executing {Executing - 1}, registers {InRegisters - 1}, loaded {Loaded - 1}");
    }

    public override string ToString() => IsRoot ? "the root" : $"virtual processor {Index} at {(ulong)Vp:X}";

    public string Describe()
    {
        string text = $"{this}: phase {Phase}, suspended {Vp->SuspendReasons}, work {Vp->Work}, requests {Vp->Requests}, processor {((LogicalProcessor*)Vp->Processor)->Index}, "
            + $"queued {Vp->Scheduling.IsQueued}, executing {Executing - 1}, registers {InRegisters - 1}, started {IsStarted}, in call {IsInCall}, flush {Vp->FlushRequested}, offered {Vp->OfferedVector:X}";
        for (int i = 0; i < Vectors; i++)
            if (Asked[i] != Seen[i]) text += $", vector {i:X} asked {Asked[i]} seen {Seen[i]} requested {Vp->Apic.IsRequested((byte)i)}";
        return text;
    }
}
