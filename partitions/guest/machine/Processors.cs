// The guest's processors: found by the MADT, started by INIT and start-up IPIs, given functions to execute.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.X64;
using Lamina.X64.Acpi;

namespace Lamina.Guest;

/// <summary>What a processor keeps for itself; pages of its own. The first field is known to processors.asm.</summary>
public unsafe struct Processor
{
    public ulong StackTop;
    public uint Index, ApicId;
    /// <summary>How often it has come up, and the page number that the last start-up IPI named.</summary>
    public uint Starts, StartPage;
    /// <summary>What it executes or is to execute; null: it halts.</summary>
    public delegate*<Processor*, void> Job;
    /// <summary>Interrupts that came, by vector.</summary>
    public fixed uint Counts[256];
    /// <summary>Exceptions that came; where the last was, and which.</summary>
    public uint Exceptions, LastException;
    public ulong LastExceptionRip, LastExceptionError;
    /// <summary>For its jobs: how far they are, and words to tell others.</summary>
    public ulong Progress, Result, Word, Seed;
    public TaskStateSegment64 Task;
    /// <summary>Pages of its own: input of hypercalls, messages of its SynIC, one to write on.</summary>
    public ulong Input, Messages, Scratch;

    public uint Count(byte vector) => Volatile.Read(ref Counts[vector]);

    /// <summary>A number that looks random.</summary>
    public uint Random()
    {
        Seed = Seed * 6364136223846793005 + 1442695040888963407;
        return (uint)(Seed >> 33);
    }
}

/// <summary>Number 0 is the one that started the guest; tests run there, the others wait halted for what they are given.</summary>
public static unsafe class Processors
{
    public const int Maximum = 64;
    /// <summary>Two pages below 1 MiB that nothing else uses: where others may be started.</summary>
    public const uint FirstPage = 0x80, SecondPage = 0x81;
    public const byte WakeVector = 0xF0;
    private const uint StackPages = 4, SpareStackPages = 1;
    private const ulong MillisecondsPerNudge = 20;
    private const byte Nmi = 2, FirstExternalVector = 0x20;

    private struct Table { public fixed ulong Entries[Maximum]; }
    private static Table table;
    private static int count;
    private static ulong nudges;
    private static delegate*<Processor*, byte, void> hook;

    [RuntimeImport("*", "guest_trampoline_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern byte* Trampoline();
    [RuntimeImport("*", "guest_trampoline_bytes"), MethodImpl(MethodImplOptions.InternalCall)] private static extern uint TrampolineBytes();
    [RuntimeImport("*", "guest_processor_table_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong* ByApicId();
    [RuntimeImport("*", "guest_processor_again_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong Again();
    [RuntimeImport("*", "guest_call_page"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong CallPage(ulong control, ulong input, ulong output, ulong page);

    /// <summary>How many there are; 0 before <see cref="Initialize"/>.</summary>
    public static int Count => count;
    public static Processor* At(int index) => (Processor*)table.Entries[index];
    public static Processor* Current => At((int)DescriptorTables.ExecutingProcessor);

    /// <summary>How often somebody had to be asked again to take up a job: he was late, or the interrupt was lost.</summary>
    public static ulong Nudges => nudges;

    /// <summary>Called on every processor for each interrupt after it was counted and before its EOI, and for NMIs.</summary>
    public static void SetHook(delegate*<Processor*, byte, void> handler) => hook = handler;

    /// <summary>Finds them all; starts none.</summary>
    public static void Initialize()
    {
        Add(LocalApic.Id);
        byte* madt = Acpi.FindMadt();
        if (madt == null) return;
        byte* end = madt + ((AcpiTableHeader*)madt)->Length;
        for (byte* at = madt + sizeof(Madt); at + sizeof(MadtEntry) <= end && ((MadtEntry*)at)->Length >= 2; at += ((MadtEntry*)at)->Length)
            if (((MadtEntry*)at)->Type == MadtEntry.ProcessorLocalApic && (((MadtProcessorLocalApic*)at)->Flags & MadtProcessorLocalApic.Enabled) != 0
                && ((MadtProcessorLocalApic*)at)->ApicId != At(0)->ApicId && count < Maximum)
                Add(((MadtProcessorLocalApic*)at)->ApicId);
        for (uint page = FirstPage; page <= SecondPage; page++)
            new ReadOnlySpan<byte>(Trampoline(), (int)TrampolineBytes()).CopyTo(new Span<byte>((void*)((ulong)page << 12), (int)TrampolineBytes()));
    }

    private static void Add(uint apicId)
    {
        Processor* processor = (Processor*)SpareMemory.Take((uint)(sizeof(Processor) + 4095) / 4096);
        processor->Index = (uint)count;
        processor->ApicId = apicId;
        processor->Seed = apicId + 1;
        processor->StackTop = TakeStack(StackPages);
        processor->Task.IST1 = TakeStack(SpareStackPages);
        processor->Task.IST2 = TakeStack(SpareStackPages);
        processor->Task.IoMapBaseAddress = (ushort)sizeof(TaskStateSegment64);
        processor->Input = (ulong)SpareMemory.Take(1);
        processor->Messages = (ulong)SpareMemory.Take(1);
        processor->Scratch = (ulong)SpareMemory.Take(1);
        ByApicId()[apicId] = (ulong)processor;
        table.Entries[count++] = (ulong)processor;
    }

    private static ulong TakeStack(uint pages) => (ulong)SpareMemory.Take(pages) + pages * 4096ul;

    // ---- Starting and stopping ----

    public static void SendInit(Processor* processor) => LocalApic.SendTo(processor->ApicId, InterruptCommand.Of(DeliveryMode.INIT, 0));
    public static void SendStartup(Processor* processor, uint page) => LocalApic.SendTo(processor->ApicId, InterruptCommand.Of(DeliveryMode.StartUp, (byte)page));

    /// <summary>INIT and a start-up IPI, as often as needed. False: it did not come up.</summary>
    public static bool Start(Processor* processor, uint page = FirstPage)
    {
        uint before = Volatile.Read(ref processor->Starts);
        processor->Job = null;
        SendInit(processor);
        SendStartup(processor, page);
        return WaitForStart(processor, before);
    }

    public static bool WaitForStart(Processor* processor, uint before, ulong milliseconds = Clock.Patience)
    {
        Patience patience = new(milliseconds);
        while (Volatile.Read(ref processor->Starts) == before)
            if (patience.IsOver) return false;
        return true;
    }

    [RuntimeExport("guest_processor_main")]
    private static void Main(Processor* processor, uint page)
    {
        DescriptorTables.Load(processor->Index, &processor->Task);
        LocalApic.Initialize();
        if (page == 0) processor->Job = null;
        processor->StartPage = page;
        Volatile.Write(ref processor->Starts, processor->Starts + 1);
        while (true)
        {
            Instructions.Cli();
            delegate*<Processor*, void> job = (delegate*<Processor*, void>)Volatile.Read(ref *(ulong*)&processor->Job);
            if (job == null)
            {
                Instructions.StiHlt();
                continue;
            }
            job(processor);
            Instructions.Cli();
            Volatile.Write(ref *(ulong*)&processor->Job, 0);
        }
    }

    // ---- Work ----

    /// <summary>Gives a halted processor something to execute, with interrupts disabled at first.</summary>
    public static void Give(Processor* processor, delegate*<Processor*, void> job)
    {
        Volatile.Write(ref *(ulong*)&processor->Job, (ulong)job);
        Wake(processor);
    }

    private static void Wake(Processor* processor) => LocalApic.SendTo(processor->ApicId, InterruptCommand.Of(DeliveryMode.Fixed, WakeVector));

    public static void GiveOthers(delegate*<Processor*, void> job)
    {
        for (int i = 1; i < count; i++) Give(At(i), job);
    }

    /// <summary>Waits until a processor halts again. False: it did not, and was started anew.</summary>
    public static bool Await(Processor* processor, ulong milliseconds = Clock.Patience)
    {
        Patience patience = new(milliseconds);
        ulong nudge = Instructions.RdTsc();
        while (Volatile.Read(ref *(ulong*)&processor->Job) != 0)
        {
            if (patience.IsOver)
            {
                Start(processor);
                return false;
            }
            if (Instructions.RdTsc() - nudge < Clock.Ticks(MillisecondsPerNudge)) continue;
            nudge = Instructions.RdTsc();
            nudges++;
            Wake(processor);
        }
        return true;
    }

    public static bool AwaitOthers(ulong milliseconds = Clock.Patience)
    {
        bool all = true;
        for (int i = 1; i < count; i++) all &= Await(At(i), milliseconds);
        return all;
    }

    /// <summary>Whether the hypercall page is there; the guest says so once it has enabled it.</summary>
    public static bool CanCall { get; set; }

    /// <summary>A hypercall that any processor can make at any time. The status, and the count of reps above it.</summary>
    public static ulong Call(ulong control, ulong input, ulong output = 0) => CallPage(control, input, output, GuestPages.Hypercall);

    // ---- Interrupts ----

    /// <summary>Counts what comes on any processor. True: it is done with; the first processor's own handler does the rest of what comes there.</summary>
    internal static bool TryHandle(InterruptFrame* frame, byte vector)
    {
        if (count == 0) return false;
        Processor* processor = Current;
        bool isException = vector < FirstExternalVector && vector != Nmi;
        if (!isException)
        {
            processor->Counts[vector]++;
            if (hook != null) hook(processor, vector);
        }
        if (processor->Index == 0) return false;
        if (isException) StartOver(processor, frame);
        else if (vector != Nmi && vector != Interrupts.SpuriousVector) LocalApic.EndOfInterrupt();
        return true;
    }

    // What it did has failed; it is there for the next job.
    private static void StartOver(Processor* processor, InterruptFrame* frame)
    {
        processor->LastException = (uint)frame->Vector;
        processor->LastExceptionRip = frame->Rip;
        processor->LastExceptionError = frame->ErrorCode;
        processor->Exceptions++;
        frame->Rip = Again();
        frame->Rsp = processor->StackTop;
        frame->Cs = DescriptorTables.KernelCode;
        frame->Ss = DescriptorTables.KernelData;
        frame->Rflags = 2;
    }
}
