// Every exception and interrupt of the guest: exceptions end the run or the check they belong to, interrupts are counted.
using System;
using System.Runtime;
using System.Threading;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>Interrupts are disabled but for the moments in which a check waits for one.</summary>
public static unsafe class Interrupts
{
    public const byte SpuriousVector = 0xFF;
    private const int FirstExternalVector = 0x20, LogCapacity = 16;
    private const byte Nmi = 2;

    private struct Storage
    {
        public fixed uint Counts[256];
        public fixed byte NoEoi[256];
        public fixed byte Log[LogCapacity];
        public uint LogLength;
        public InterruptFrame Last;
        public ulong LastTsc;
        public uint NmiDepth, NmiMostDepth;
    }

    private static Storage storage;
    private static delegate*<byte, void> hook;

    /// <summary>Forgets what was counted, and the hook.</summary>
    public static void Reset()
    {
        bool enabled = new RFlags(Instructions.ReadFlags()).IF;
        Instructions.Cli();
        storage = default;
        hook = null;
        if (enabled) Instructions.Sti();
    }

    /// <summary>Called for each interrupt after it was counted and before its EOI, and for each NMI.</summary>
    public static void SetHook(delegate*<byte, void> handler) => hook = handler;

    /// <summary>This vector's handler writes no EOI.</summary>
    public static void WithoutEoi(byte vector) => storage.NoEoi[vector] = 1;

    public static uint Count(byte vector) => Volatile.Read(ref storage.Counts[vector]);

    /// <summary>The vectors that came, in order; 0 beyond the last.</summary>
    public static byte Logged(uint position) => position < storage.LogLength ? storage.Log[(int)position] : (byte)0;

    /// <summary>RAX, RIP and the TSC when the last interrupt came.</summary>
    public static ulong LastRax => storage.Last.Rax;
    public static ulong LastRip => storage.Last.Rip;
    public static ulong LastTsc => storage.LastTsc;
    public static uint NmiMostDepth => storage.NmiMostDepth;

    /// <summary>Lets interrupts in until a vector was counted so often. False: it took longer.</summary>
    public static bool Wait(byte vector, uint count = 1, ulong milliseconds = Clock.Patience)
    {
        ulong start = Instructions.RdTsc(), limit = Clock.Ticks(milliseconds);
        Instructions.Sti();
        while (Count(vector) < count && Instructions.RdTsc() - start < limit) Instructions.Pause();
        Instructions.Cli();
        return Count(vector) >= count;
    }

    /// <summary>Lets interrupts in for a while.</summary>
    public static void Open(ulong microseconds)
    {
        ulong start = Instructions.RdTsc(), limit = Clock.TicksOfMicroseconds(microseconds);
        Instructions.Sti();
        while (Instructions.RdTsc() - start < limit) Instructions.Pause();
        Instructions.Cli();
    }

    [RuntimeExport("guest_interrupt")]
    private static void Handle(InterruptFrame* frame)
    {
        byte vector = (byte)frame->Vector;
        if (Processors.TryHandle(frame, vector)) return;
        if (vector == Nmi) HandleNmi(frame);
        else if (vector < FirstExternalVector) HandleException(frame);
        else HandleInterrupt(frame, vector);
    }

    private static void HandleInterrupt(InterruptFrame* frame, byte vector)
    {
        storage.LastTsc = Instructions.RdTsc();
        storage.Last = *frame;
        storage.Counts[vector]++;
        if (storage.LogLength < LogCapacity) storage.Log[(int)storage.LogLength++] = vector;
        if (hook != null) hook(vector);
        if (vector != SpuriousVector && storage.NoEoi[vector] == 0) LocalApic.EndOfInterrupt();
    }

    private static void HandleNmi(InterruptFrame* frame)
    {
        storage.Counts[Nmi]++;
        storage.NmiDepth++;
        storage.NmiMostDepth = Math.Max(storage.NmiMostDepth, storage.NmiDepth);
        if (hook != null) hook(Nmi);
        storage.NmiDepth--;
    }

    private static void HandleException(InterruptFrame* frame)
    {
        Layout* layout = Layout.Instance;
        RunState* run = RunState.Innermost;
        if (run != null)
        {
            run->TakeFault(frame);
            Continue(frame, layout->RunRecover, run->Stack);
            return;
        }
        Check.NoteException(frame);
        if (Check.ProtectedStack != 0) Continue(frame, layout->ProtectedRecover, Check.ProtectedStack);
        else Machine.Die(frame);
    }

    private static void Continue(InterruptFrame* frame, ulong at, ulong stack)
    {
        frame->Rip = at;
        frame->Rsp = stack;
        frame->Cs = DescriptorTables.KernelCode;
        frame->Ss = DescriptorTables.KernelData;
        frame->Rflags = 2;
    }
}
