// Brings the machine's further processors up, one after another. SDM 3A, "MP Initialization Protocol".
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Text;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>Where a processor that starts and the one that started it agree, in the area of the first.</summary>
public struct ProcessorMeeting
{
    public const ulong Started = 1, Compare = 2, Compared = 3, GoOn = 4, Refused = 5;

    /// <summary>How far they are.</summary>
    public ulong Phase;
    /// <summary>The latest reading of the counter, by how much the next was behind it at most, and how often they read.</summary>
    public ulong LastCounter, Behind, Turn;
}

/// <summary>A processor that does not answer, or whose counter disagrees with the others', is left off and named.</summary>
public static unsafe class ProcessorStart
{
    /// <summary>Of trampoline.asm: what its page is filled in with.</summary>
    private const int PageAddress = 8, Far32 = 12, Far64 = 18, GdtBase = 26, LowTable = 32, CoreCr3 = 40, StackTop = 48, EntryPoint = 56, Gdt = 64;
    private const int TrampolineBytes = 0x800, UpperHalf = 256, TableEntries = 512;
    private const ulong PresentWritable = 3, PresentWritableLarge = 0x83;
    private const ulong InitMicroseconds = 10_000, StartupMicroseconds = 200, AnswerMicroseconds = 10_000_000;
    private const uint IcrInit = 5 << 8 | 1 << 14, IcrStartup = 6 << 8 | 1 << 14;
    private const int CounterRounds = 2000;
    private const uint NobodyInXApic = 0xFF, NobodyInX2Apic = 0xFFFFFFFF;

    [RuntimeImport("*", "core_trampoline_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong TrampolineAddress();
    [RuntimeImport("*", "core_processor_entry_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong EntryAddress();

    public static void StartAll(BootHandover* handover)
    {
        if (handover->TrampolinePhysical == 0 || !TryMakeLowTable(out ulong lowTable))
        {
            if (AcpiTables.TryGetProcessor(1, out _))
                DebugConsole.Line("hypervisor: further processors are left off: no page below 1 MiB to start them in"u8);
            return;
        }
        byte* page = (byte*)CoreAddressSpace.MapDevice(handover->TrampolinePhysical, 0x1000, MemoryType.WriteBack);
        // An area is used once: one that does not answer may still come to life in its own.
        int area = 0;
        for (int i = 0; AcpiTables.TryGetProcessor(i, out uint apicId); i++)
        {
            if (apicId == LogicalProcessor.Current->ApicId || apicId is NobodyInXApic or NobodyInX2Apic || IsListedBefore(i, apicId))
                continue;
            if (!PhysicalApic.CanReach(apicId))
            {
                Report(apicId, ": its number needs an x2APIC"u8, 0);
                continue;
            }
            if (++area == LogicalProcessors.Maximum || !CoreAddressSpace.TryCreateArea(area, out LogicalProcessor* processor, out ulong stack))
            {
                Report(apicId, ": no memory, or no number, for it"u8, 0);
                return;
            }
            *processor = default;
            processor->ApicId = apicId;
            // One that comes late finds everything in its own area, and takes nothing from a pool that is another's by then.
            if (!LogicalProcessors.TryGivePages(processor))
            {
                Report(apicId, ": no memory for it"u8, 0);
                return;
            }
            Fill(page, handover->TrampolinePhysical, lowTable, stack);
            Start(processor, (byte)(handover->TrampolinePhysical >> 12));
        }
        byte* buffer = stackalloc byte[64];
        TextWriter line = new(buffer, 64);
        line.Text("hypervisor: "u8).Decimal((ulong)LogicalProcessors.Count).Text(LogicalProcessors.Count == 1 ? " processor"u8 : " processors"u8);
        DebugConsole.Line(line.Written);
    }

    /// <summary>Firmware may list a processor twice, as a local APIC and as a local x2APIC.</summary>
    private static bool IsListedBefore(int index, uint apicId)
    {
        for (int i = 0; i < index && AcpiTables.TryGetProcessor(i, out uint other); i++)
            if (other == apicId) return true;
        return false;
    }

    /// <summary>The first 2 MiB of memory where they are, for the few instructions between two halves.</summary>
    private static bool TryMakeLowTable(out ulong physical)
    {
        if (!CoreMemory.TryTakePage(out physical) || !CoreMemory.TryTakePage(out ulong directory))
            return false;
        *(ulong*)PhysicalMap.ToPointer(physical) = directory | PresentWritable;
        *(ulong*)PhysicalMap.ToPointer(directory) = PresentWritableLarge;
        return true;
    }

    private static void Fill(byte* page, ulong physical, ulong lowTable, ulong stack)
    {
        byte* code = (byte*)TrampolineAddress();
        for (int i = 0; i < TrampolineBytes; i++) page[i] = code[i];
        ulong* core = (ulong*)PhysicalMap.ToPointer(CoreAddressSpace.Root);
        for (int i = UpperHalf; i < TableEntries; i++) ((ulong*)page)[i] = core[i];
        *(uint*)(page + PageAddress) = (uint)physical;
        *(uint*)(page + Far32) = (uint)physical + *(uint*)(page + Far32);
        *(uint*)(page + Far64) = (uint)physical + *(uint*)(page + Far64);
        *(uint*)(page + GdtBase) = (uint)physical + Gdt;
        *(ulong*)(page + LowTable) = lowTable | PresentWritable;
        *(ulong*)(page + CoreCr3) = CoreAddressSpace.Root;
        *(ulong*)(page + StackTop) = stack;
        *(ulong*)(page + EntryPoint) = EntryAddress();
    }

    private static void Start(LogicalProcessor* processor, byte vector)
    {
        ProcessorMeeting* meeting = &processor->Meeting;
        PhysicalApic.Send(processor->ApicId, IcrInit);
        Delay(InitMicroseconds);
        PhysicalApic.Send(processor->ApicId, IcrStartup | vector);
        if (!TryAwait(meeting, ProcessorMeeting.Started, StartupMicroseconds))
            PhysicalApic.Send(processor->ApicId, IcrStartup | vector);
        if (!TryAwait(meeting, ProcessorMeeting.Started, AnswerMicroseconds))
        {
            Volatile.Write(ref meeting->Phase, ProcessorMeeting.Refused);
            Report(processor->ApicId, " does not answer"u8, 0);
            return;
        }
        Volatile.Write(ref meeting->Phase, ProcessorMeeting.Compare);
        CompareCounters(meeting, 0);
        if (!TryAwait(meeting, ProcessorMeeting.Compared, AnswerMicroseconds) || meeting->Behind != 0)
        {
            Volatile.Write(ref meeting->Phase, ProcessorMeeting.Refused);
            Report(processor->ApicId, ": its TSC is behind by "u8, meeting->Behind);
            return;
        }
        LogicalProcessors.Add(processor);
        Volatile.Write(ref meeting->Phase, ProcessorMeeting.GoOn);
    }

    /// <summary>The other side: this processor has come up and is set up as far as its backend. Returns when it may take part, which may be never.</summary>
    public static void Join()
    {
        ProcessorMeeting* meeting = &LogicalProcessor.Current->Meeting;
        if (Interlocked.CompareExchange(ref meeting->Phase, ProcessorMeeting.Started, 0) != 0)
            Panic.StopProcessor();
        Await(meeting, ProcessorMeeting.Compare);
        CompareCounters(meeting, 1);
        if (Interlocked.CompareExchange(ref meeting->Phase, ProcessorMeeting.Compared, ProcessorMeeting.Compare) != ProcessorMeeting.Compare)
            Panic.StopProcessor();
        Await(meeting, ProcessorMeeting.GoOn);
    }

    /// <summary>Both processors read their counters in turns: each value must be later than the other's before.</summary>
    private static void CompareCounters(ProcessorMeeting* meeting, ulong side)
    {
        for (int round = 0; round < CounterRounds; round++)
        {
            for (uint waits = 0; Volatile.Read(ref meeting->Turn) % 2 != side; waits++)
            {
                if (waits > 100_000_000)
                    return;
                Instructions.Pause();
            }
            ulong counter = Instructions.RdTscOrdered(), last = meeting->LastCounter;
            if (counter < last)
                meeting->Behind = System.Math.Max(meeting->Behind, last - counter);
            else
                meeting->LastCounter = counter;
            Volatile.Write(ref meeting->Turn, meeting->Turn + 1);
        }
    }

    private static void Await(ProcessorMeeting* meeting, ulong phase)
    {
        for (ulong now; (now = Volatile.Read(ref meeting->Phase)) != phase;)
        {
            if (now == ProcessorMeeting.Refused)
                Panic.StopProcessor();
            Instructions.Pause();
        }
    }

    private static bool TryAwait(ProcessorMeeting* meeting, ulong phase, ulong microseconds)
    {
        ulong end = Clock.Now + Clock.FromMicroseconds(microseconds);
        while (Volatile.Read(ref meeting->Phase) != phase)
        {
            if (Clock.Now > end)
                return false;
            Instructions.Pause();
        }
        return true;
    }

    private static void Delay(ulong microseconds)
    {
        ulong end = Clock.Now + Clock.FromMicroseconds(microseconds);
        while (Clock.Now < end)
            Instructions.Pause();
    }

    private static void Report(uint apicId, System.ReadOnlySpan<byte> why, ulong number)
    {
        byte* buffer = stackalloc byte[128];
        TextWriter line = new(buffer, 128);
        line.Text("hypervisor: left off: the processor with APIC ID "u8).Decimal(apicId).Text(why);
        if (number != 0)
            line.Decimal(number).Text(" ticks"u8);
        DebugConsole.Line(line.Written);
    }
}
