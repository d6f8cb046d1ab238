// All processors at one test: they begin and end together, and the first thing that any of them finds wrong is what gets printed.
using System;
using System.Threading;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Guest.Smp;

public static unsafe class Crew
{
    private struct Storage
    {
        public uint HasFailed, Processor, StopRequested;
        public byte* Why;
        public int WhyLength;
        public ulong Value;
        public uint Exceptions;
    }

    private static Storage storage;

    /// <summary>A test that one processor alone cannot make is skipped there.</summary>
    public static bool HasOthers
    {
        get
        {
            if (Processors.Count < 2) Check.Skip("one processor"u8);
            return Processors.Count >= 2;
        }
    }

    /// <summary>Whether those who go on until told otherwise are told so.</summary>
    public static bool IsStopped => Volatile.Read(ref storage.StopRequested) != 0 || HasFailed;
    public static bool HasFailed => Volatile.Read(ref storage.HasFailed) != 0;

    /// <summary>Every processor forgets what it counted.</summary>
    public static void Begin()
    {
        storage = default;
        for (int i = 0; i < Processors.Count; i++)
        {
            Processor* processor = Processors.At(i);
            processor->Progress = processor->Result = processor->Word = 0;
            for (int vector = 0; vector < 256; vector++) processor->Counts[vector] = 0;
            storage.Exceptions += processor->Exceptions;
        }
    }

    /// <summary>All but this one begin; what they do ends when it is stopped.</summary>
    public static void Start(delegate*<Processor*, void> job)
    {
        Begin();
        Processors.GiveOthers(job);
    }

    /// <summary>Waits until each of the others has made some progress.</summary>
    public static bool WaitForProgress(ulong least = 1)
    {
        for (int i = 1; i < Processors.Count; i++)
        {
            Patience patience = new(Clock.Patience);
            while (Volatile.Read(ref Processors.At(i)->Progress) < least)
                if (patience.IsOver || HasFailed) return HasFailed || Check.Equal("processors that go on"u8, (ulong)i, (ulong)Processors.Count);
        }
        return true;
    }

    public static void Stop() => Volatile.Write(ref storage.StopRequested, 1u);

    /// <summary>The others end; their failures are this test's.</summary>
    public static void End()
    {
        Stop();
        if (!Processors.AwaitOthers()) Check.Fail("a processor did not end"u8);
        Report();
    }

    /// <summary>All do the same, this one too.</summary>
    public static void Run(delegate*<Processor*, void> job)
    {
        Start(job);
        job(Processors.At(0));
        if (!Processors.AwaitOthers(3 * Clock.Patience)) Check.Fail("a processor did not end"u8);
        Report();
    }

    /// <summary>Any processor: something is wrong, and everybody stops.</summary>
    public static void Fail(ReadOnlySpan<byte> why, ulong value)
    {
        if (Interlocked.CompareExchange(ref storage.Processor, DescriptorTables.ExecutingProcessor + 1, 0u) != 0) return;
        // A literal: it stays where it is.
        fixed (byte* text = why) storage.Why = text;
        storage.WhyLength = why.Length;
        storage.Value = value;
        Volatile.Write(ref storage.HasFailed, 1u);
    }

    /// <summary>Any processor: two values must be the same.</summary>
    public static bool Equal(ReadOnlySpan<byte> what, ulong actual, ulong expected)
    {
        if (actual != expected) Fail(what, actual);
        return actual == expected;
    }

    private static void Report()
    {
        byte* buffer = stackalloc byte[128];
        var line = new TextWriter(buffer, 128);
        uint exceptions = 0;
        for (int i = 0; i < Processors.Count; i++) exceptions += Processors.At(i)->Exceptions;
        if (HasFailed)
        {
            line.Text("processor "u8).Decimal(storage.Processor - 1).Text(": "u8).Text(new ReadOnlySpan<byte>(storage.Why, storage.WhyLength)).Text(" "u8);
            Check.Fail(line.Written, storage.Value);
        }
        if (exceptions == storage.Exceptions) return;
        for (int i = 0; i < Processors.Count; i++)
        {
            Processor* processor = Processors.At(i);
            if (processor->Exceptions == 0) continue;
            line.Text("processor "u8).Decimal(processor->Index).Text(": exception "u8).Decimal(processor->LastException).Text(" error "u8)
                .Hex(processor->LastExceptionError).Text(" at "u8);
            Check.Fail(line.Written, processor->LastExceptionRip);
            return;
        }
    }

    /// <summary>A line of figures: "smp: what N unit".</summary>
    public static void Note(ReadOnlySpan<byte> what, ulong value, ReadOnlySpan<byte> unit)
    {
        byte* buffer = stackalloc byte[128];
        var line = new TextWriter(buffer, 128);
        line.Text("smp: "u8).Text(what).Text(" "u8).Decimal(value).Text(" "u8).Text(unit);
        Serial.Line(line.Written);
    }
}

/// <summary>So many rounds, but not longer than a time.</summary>
public struct Rounds(ulong most, ulong milliseconds)
{
    private const ulong FewIsOneOf = 4;
    private readonly ulong start = Instructions.RdTsc(), limit = Clock.Ticks(AreFew ? milliseconds / FewIsOneOf : milliseconds);
    private readonly ulong end = AreFew && most != ulong.MaxValue ? most / FewIsOneOf : most;

    /// <summary>For slow machines: a quarter of all rounds and times.</summary>
    public static bool AreFew { get; set; }

    /// <summary>Rounds begun.</summary>
    public ulong Begun;

    public bool Next()
    {
        if (Begun == end || Instructions.RdTsc() - start >= limit) return false;
        Begun++;
        return true;
    }
}
