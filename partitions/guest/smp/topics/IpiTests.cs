// Interrupts from one processor to others: every addressing, each counted. SDM 3A, "Issuing Interprocessor Interrupts"; TLFS, "HvCallSendSyntheticClusterIpi".
using System;
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

/// <summary>Sent one after the other, each once the one before has been counted: as many must come as were sent, to whom they were sent and to nobody else.</summary>
public static unsafe class IpiTests
{
    private const byte Vector = 0x63, AnswerVector = 0x64, Nmi = 2;
    private const ulong MostRounds = 1000, Milliseconds = 250;
    private const int FlatMembers = 8, ClusterMembers = 16;

    public static void Run()
    {
        RunAll(false);
        Check.RunHv("ipi.cluster-call"u8, &ClusterCall);
        Check.RunHv("ipi.cluster-call-ex"u8, &ClusterCallEx);
        Check.RunHv("ipi.cluster-call-ex-all"u8, &ClusterCallExAll);
    }

    /// <summary>The same with every processor in x2APIC mode, where they stay.</summary>
    public static void RunX2Apic()
    {
        Check.Run("x2apic.enable-all"u8, &EnableX2Apic);
        if (LocalApic.IsX2Apic) RunAll(true);
    }

    private static void RunAll(bool x2Apic)
    {
        Check.Run(x2Apic ? "x2apic.ipi-fixed"u8 : "ipi.fixed"u8, &Fixed);
        Check.Run(x2Apic ? "x2apic.ipi-fixed-to-busy"u8 : "ipi.fixed-to-busy"u8, &FixedToBusy);
        Check.Run(x2Apic ? "x2apic.ipi-logical"u8 : "ipi.logical"u8, &Logical);
        Check.Run(x2Apic ? "x2apic.ipi-lowest-priority"u8 : "ipi.lowest-priority"u8, &LowestPriority);
        Check.Run(x2Apic ? "x2apic.ipi-all-but-self"u8 : "ipi.all-but-self"u8, &AllButSelf);
        Check.Run(x2Apic ? "x2apic.ipi-all"u8 : "ipi.all"u8, &All);
        Check.Run(x2Apic ? "x2apic.ipi-self"u8 : "ipi.self"u8, &Self);
        Check.Run(x2Apic ? "x2apic.ipi-nmi"u8 : "ipi.nmi"u8, &NonMaskable);
        Check.Run(x2Apic ? "x2apic.ipi-nmi-to-busy"u8 : "ipi.nmi-to-busy"u8, &NonMaskableToBusy);
        Check.Run(x2Apic ? "x2apic.ipi-ping-pong"u8 : "ipi.ping-pong"u8, &PingPong);
        Check.Run(x2Apic ? "x2apic.ipi-storm"u8 : "ipi.storm"u8, &Storm);
    }

    private static void EnableX2Apic()
    {
        if ((CpuidLeafValue.Read(1).Ecx & 1u << 21) == 0) Check.Skip("no x2APIC"u8);
        else Crew.Run(&SwitchToX2Apic);
    }

    private static void SwitchToX2Apic(Processor* processor)
    {
        ApicBase current = new(Instructions.RdMsr(Msr.IA32_APIC_BASE));
        Instructions.WrMsr(Msr.IA32_APIC_BASE, current.WithEXTD(true).Value);
        LocalApic.Initialize();
        Crew.Equal("ID register"u8, LocalApic.Id, processor->ApicId);
    }

    // ---- One after the other ----

    /// <summary>A busy receiver, interrupts open.</summary>
    private static void BeOpen(Processor* processor)
    {
        Instructions.Sti();
        while (!Crew.IsStopped) Volatile.Write(ref processor->Progress, processor->Progress + 1);
    }

    private static bool WaitForCount(Processor* processor, byte vector, ulong count)
    {
        Patience patience = new(Clock.Patience);
        while (processor->Count(vector) < count)
            if (patience.IsOver) return false;
        return true;
    }

    /// <summary>To each of the others in turn; nothing may come that was not sent.</summary>
    private static void InTurn(delegate*<Processor*, void> send, byte vector, bool busy, int most = Processors.Maximum)
    {
        if (!Crew.HasOthers) return;
        if (busy) Crew.Start(&BeOpen);
        else Crew.Begin();
        if (busy && !Crew.WaitForProgress()) return;
        ulong* sent = stackalloc ulong[Processors.Maximum];
        for (int i = 0; i < Processors.Count; i++) sent[i] = 0;
        Rounds rounds = new(MostRounds, Milliseconds);
        int count = Math.Min(Processors.Count, most);
        while (rounds.Next())
        {
            Processor* target = Processors.At(1 + (int)(rounds.Begun % (ulong)(count - 1)));
            sent[target->Index]++;
            send(target);
            if (WaitForCount(target, vector, sent[target->Index])) continue;
            Check.Fail("it did not come, round "u8, rounds.Begun);
            break;
        }
        CompareCounts(vector, sent, busy);
        if (busy) Crew.End();
    }

    private static void CompareCounts(byte vector, ulong* sent, bool busy)
    {
        Patience patience = new(1);
        while (!patience.IsOver) { }
        for (int i = 0; i < Processors.Count; i++) Check.Equal("interrupts counted"u8, Processors.At(i)->Count(vector), sent[i]);
    }

    private static void SendFixed(Processor* target) => LocalApic.SendTo(target->ApicId, InterruptCommand.Of(DeliveryMode.Fixed, Vector));
    private static void SendNmi(Processor* target) => LocalApic.SendTo(target->ApicId, InterruptCommand.Of(DeliveryMode.NMI, 0));

    private static void Fixed() => InTurn(&SendFixed, Vector, false);
    private static void FixedToBusy() => InTurn(&SendFixed, Vector, true);
    private static void NonMaskable() => InTurn(&SendNmi, Nmi, false);
    private static void NonMaskableToBusy() => InTurn(&SendNmi, Nmi, true);

    // ---- Logical destinations ----

    /// <summary>How many a logical destination can name without a second cluster.</summary>
    private static int Members => LocalApic.IsX2Apic ? ClusterMembers : FlatMembers;

    private static uint LogicalBit(Processor* processor) => 1u << (int)(processor->ApicId & 15);

    private static void SetLogicalId(Processor* processor)
    {
        if (LocalApic.IsX2Apic)
        {
            Crew.Equal("logical ID"u8, LocalApic.Read(ApicRegisters.LogicalDestination), processor->ApicId >> 4 << 16 | LogicalBit(processor));
            return;
        }
        LocalApic.Write(ApicRegisters.DestinationFormat, uint.MaxValue);
        LocalApic.Write(ApicRegisters.LogicalDestination, processor->Index < FlatMembers ? LogicalBit(processor) << 24 : 0);
    }

    private static InterruptCommand ToLogical(byte mode, uint members)
    {
        InterruptCommand command = InterruptCommand.Of(mode, Vector).WithLogicalDestination(true);
        return LocalApic.IsX2Apic ? command.WithX2ApicDestination(members) : command.WithXApicDestination((byte)members);
    }

    private static void SendLogical(Processor* target) => LocalApic.Send(ToLogical(DeliveryMode.Fixed, LogicalBit(target)));

    private static void Logical()
    {
        if (!Crew.HasOthers) return;
        Crew.Run(&SetLogicalId);
        InTurn(&SendLogical, Vector, false, Members);
    }

    // Each goes to exactly one of those who are named.
    private static void LowestPriority()
    {
        if (!Crew.HasOthers) return;
        Crew.Run(&SetLogicalId);
        Crew.Begin();
        uint members = 0;
        int count = Math.Min(Processors.Count, Members);
        for (int i = 1; i < count; i++) members |= LogicalBit(Processors.At(i));
        Rounds rounds = new(MostRounds, Milliseconds);
        while (rounds.Next())
        {
            LocalApic.Send(ToLogical(DeliveryMode.LowestPriority, members));
            Patience patience = new(Clock.Patience);
            while (Total(1, count) < rounds.Begun && !patience.IsOver) { }
            if (!Check.Equal("interrupts counted"u8, Total(1, count), rounds.Begun)) return;
        }
        Check.Equal("interrupts counted elsewhere"u8, Total(0, Processors.Count) - Total(1, count), 0);
    }

    private static ulong Total(int from, int to)
    {
        ulong total = 0;
        for (int i = from; i < to; i++) total += Processors.At(i)->Count(Vector);
        return total;
    }

    // ---- Many at once ----

    /// <summary>To all others, or to all.</summary>
    private static void ToMany(delegate*<ushort> send, bool self)
    {
        if (!Crew.HasOthers) return;
        Crew.Begin();
        Rounds rounds = new(MostRounds, Milliseconds);
        bool came = true;
        while (came && rounds.Next())
        {
            if (!Check.Equal("status"u8, send(), 0)) return;
            if (self) Interrupts.Open(0);
            for (int i = self ? 0 : 1; i < Processors.Count; i++) came &= WaitForCountOpen(Processors.At(i), rounds.Begun);
            if (!came) Check.Fail("one did not come, round "u8, rounds.Begun);
        }
        for (int i = 0; i < Processors.Count; i++) Check.Equal("interrupts counted"u8, Processors.At(i)->Count(Vector), i == 0 && !self ? 0 : rounds.Begun);
    }

    private static bool WaitForCountOpen(Processor* processor, ulong count)
    {
        if (processor->Index != 0) return WaitForCount(processor, Vector, count);
        Instructions.Sti();
        bool came = WaitForCount(processor, Vector, count);
        Instructions.Cli();
        return came;
    }

    private static ushort SendAllButSelf() => SendShorthand(InterruptCommand.AllExcludingSelf);
    private static ushort SendAll() => SendShorthand(InterruptCommand.AllIncludingSelf);

    private static ushort SendShorthand(byte shorthand)
    {
        LocalApic.Send(InterruptCommand.Of(DeliveryMode.Fixed, Vector).WithDestinationShorthand(shorthand));
        return 0;
    }

    private static ulong Everyone => Processors.Count == 64 ? ulong.MaxValue : (1ul << Processors.Count) - 1;

    private static ushort CallCluster() =>
        (ushort)Processors.Call(new HypercallInput(HypercallCode.HvCallSendSyntheticClusterIpi).WithFast(true).Value, Vector, Everyone & ~1ul);

    private static ushort CallClusterEx(ulong format, ulong members)
    {
        HvInputSendSyntheticClusterIpiEx* input = (HvInputSendSyntheticClusterIpiEx*)Processors.At(0)->Input;
        bool sparse = format == HvVpSet.HvGenericSetSparse4k;
        *input = new() { Vector = Vector, ProcessorSet = new() { Format = format, ValidBankMask = sparse ? 1ul : 0 } };
        *(ulong*)(input + 1) = members;
        return (ushort)Processors.Call(HypercallInput.Simple(HypercallCode.HvCallSendSyntheticClusterIpiEx).WithVariableHeaderSize(sparse ? 1u : 0).Value, (ulong)input);
    }

    private static ushort CallClusterOfOthers() => CallClusterEx(HvVpSet.HvGenericSetSparse4k, Everyone & ~1ul);
    private static ushort CallClusterOfAll() => CallClusterEx(HvVpSet.HvGenericSetAll, 0);

    private static void AllButSelf() => ToMany(&SendAllButSelf, false);
    private static void All() => ToMany(&SendAll, true);
    private static void ClusterCall() => ToMany(&CallCluster, false);
    private static void ClusterCallEx() => ToMany(&CallClusterOfOthers, false);
    private static void ClusterCallExAll() => ToMany(&CallClusterOfAll, true);

    private static void Self() => Crew.Run(&SendToSelf);

    private static void SendToSelf(Processor* processor)
    {
        for (ulong i = 1; i <= 200; i++)
        {
            LocalApic.SendSelf(Vector);
            Instructions.Sti();
            bool came = WaitForCount(processor, Vector, i);
            Instructions.Cli();
            if (came) continue;
            Crew.Fail("it did not come, round"u8, i);
            return;
        }
    }

    // ---- There and back ----

    private static void PingPong()
    {
        if (!Crew.HasOthers) return;
        Processors.SetHook(&Answer);
        Crew.Begin();
        ulong halted = Measure(), busy = 0;
        Crew.Start(&BeOpen);
        if (Crew.WaitForProgress()) busy = Measure();
        Crew.End();
        Processors.SetHook(null);
        Crew.Note("IPI there and back, one halted"u8, halted, "ticks"u8);
        Crew.Note("IPI there and back, both busy"u8, busy, "ticks"u8);
    }

    private static void Answer(Processor* processor, byte vector)
    {
        if (vector == Vector) LocalApic.SendTo(Processors.At(0)->ApicId, InterruptCommand.Of(DeliveryMode.Fixed, AnswerVector));
    }

    /// <summary>Ticks for one round.</summary>
    private static ulong Measure()
    {
        Processor* self = Processors.At(0);
        ulong start = Instructions.RdTsc();
        Rounds rounds = new(MostRounds, Milliseconds);
        bool came = true;
        while (came && rounds.Next())
        {
            SendFixed(Processors.At(1));
            Instructions.Sti();
            came = WaitForCount(self, AnswerVector, rounds.Begun);
            Instructions.Cli();
            if (!came) Check.Fail("no answer in round "u8, rounds.Begun);
        }
        return (Instructions.RdTsc() - start) / Math.Max(rounds.Begun, 1);
    }

    // ---- Everybody to everybody ----

    // Without acknowledgement several may become one, but the last one sent is never lost.
    private static void Storm()
    {
        if (!Crew.HasOthers) return;
        Processors.SetHook(&NoteSeen);
        Crew.Run(&SendToEverybody);
        Processors.SetHook(null);
    }

    private static void NoteSeen(Processor* processor, byte vector)
    {
        if (vector == Vector) Volatile.Write(ref processor->Result, Volatile.Read(ref processor->Word));
    }

    /// <summary>Word: what others have asked of it; Result: what it had been asked when its last interrupt came.</summary>
    private static void SendToEverybody(Processor* processor)
    {
        Instructions.Sti();
        Rounds rounds = new(MostRounds, Milliseconds);
        while (rounds.Next())
        {
            Processor* target = Processors.At((int)(processor->Random() % (uint)Processors.Count));
            Interlocked.ExchangeAdd(ref *(long*)&target->Word, 1);
            SendFixed(target);
        }
        Volatile.Write(ref processor->Progress, 1);
        Patience patience = new(2 * Clock.Patience);
        while (!AllHaveSent && !patience.IsOver) { }
        while (Volatile.Read(ref processor->Result) != Volatile.Read(ref processor->Word) && !patience.IsOver) { }
        Instructions.Cli();
        Crew.Equal("last one seen"u8, processor->Result, processor->Word);
    }

    private static bool AllHaveSent
    {
        get
        {
            for (int i = 0; i < Processors.Count; i++)
                if (Volatile.Read(ref Processors.At(i)->Progress) == 0) return false;
            return true;
        }
    }
}
