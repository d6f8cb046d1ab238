// Translations: once a flush has come back, nobody reads what was mapped before. TLFS, "Virtual MMU and TLB".
using System;
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

/// <summary>
/// One page is mapped from one physical page after another, each holding the number of its round; all other processors read it without pause and without
/// anything that would exit. What is no longer mapped is zeroed after the flush, so that a translation of any age shows.
/// </summary>
public static unsafe class TlbTests
{
    private const int PoolPages = 4;
    private const ulong MostRounds = 5000, Milliseconds = 700;
    private const byte Vector = 0x66;

    /// <summary>The round whose flush has come back: whoever has read this must not read an older page.</summary>
    private static ulong reached;
    private static byte* pool;
    private static ulong window;

    public static void Run()
    {
        Check.RunHv("tlb.flush-space"u8, &Space);
        Check.RunHv("tlb.flush-space-all-processors"u8, &SpaceOfAll);
        Check.RunHv("tlb.flush-list"u8, &List);
        Check.RunHv("tlb.flush-space-ex"u8, &SpaceEx);
        Check.RunHv("tlb.flush-space-ex-all"u8, &SpaceExAll);
        Check.RunHv("tlb.flush-list-ex"u8, &ListEx);
        Check.Run("tlb.shootdown-by-ipi"u8, &ByInterrupt);
    }

    private static void Space() => Remap(&FlushSpace);
    private static void SpaceOfAll() => Remap(&FlushSpaceOfAll);
    private static void List() => Remap(&FlushList);
    private static void SpaceEx() => Remap(&FlushSpaceEx);
    private static void SpaceExAll() => Remap(&FlushSpaceExAll);
    private static void ListEx() => Remap(&FlushListEx);

    private static void ByInterrupt()
    {
        Processors.SetHook(&Invalidate);
        Remap(&Interrupt);
        Processors.SetHook(null);
    }

    private static ulong Others => (Processors.Count == 64 ? ulong.MaxValue : (1ul << Processors.Count) - 1) & ~1ul;

    // ---- What flushes: true when it has been done ----

    private static bool FlushSpace() => Simple(HypercallCode.HvCallFlushVirtualAddressSpace, 0, Others);
    private static bool FlushSpaceOfAll() => Simple(HypercallCode.HvCallFlushVirtualAddressSpace, HvFlushFlags.HV_FLUSH_ALL_PROCESSORS, 0);

    private static bool Simple(ushort code, ulong flags, ulong processors)
    {
        HvInputFlushVirtualAddressSpace* input = (HvInputFlushVirtualAddressSpace*)Processors.At(0)->Input;
        *input = new() { AddressSpace = Instructions.ReadCr3(), Flags = flags, ProcessorMask = processors };
        return (ushort)Processors.Call(code, (ulong)input) == 0;
    }

    private static bool FlushList()
    {
        HvInputFlushVirtualAddressSpace* input = (HvInputFlushVirtualAddressSpace*)Processors.At(0)->Input;
        *input = new() { AddressSpace = Instructions.ReadCr3(), ProcessorMask = Others };
        *(ulong*)(input + 1) = window;
        return IsDone(Processors.Call(HypercallInput.Rep(HypercallCode.HvCallFlushVirtualAddressList, 1).Value, (ulong)input));
    }

    private static bool FlushSpaceEx() => Extended(HypercallInput.Simple(HypercallCode.HvCallFlushVirtualAddressSpaceEx), HvVpSet.HvGenericSetSparse4k) is var result && (ushort)result == 0;
    private static bool FlushSpaceExAll() => Extended(HypercallInput.Simple(HypercallCode.HvCallFlushVirtualAddressSpaceEx), HvVpSet.HvGenericSetAll) is var result && (ushort)result == 0;
    private static bool FlushListEx() => IsDone(Extended(HypercallInput.Rep(HypercallCode.HvCallFlushVirtualAddressListEx, 1), HvVpSet.HvGenericSetSparse4k));

    private static ulong Extended(HypercallInput control, ulong format)
    {
        HvInputFlushVirtualAddressSpaceEx* input = (HvInputFlushVirtualAddressSpaceEx*)Processors.At(0)->Input;
        bool sparse = format == HvVpSet.HvGenericSetSparse4k;
        *input = new() { AddressSpace = Instructions.ReadCr3(), ProcessorSet = new() { Format = format, ValidBankMask = sparse ? 1ul : 0 } };
        ulong* behind = (ulong*)(input + 1);
        if (sparse) *behind++ = Others;
        *behind = window;
        return Processors.Call(control.WithVariableHeaderSize(sparse ? 1u : 0).Value, (ulong)input);
    }

    private static bool IsDone(ulong result) => (ushort)result == 0 && (result >> 32 & 0xFFF) == 1;

    private static bool Interrupt()
    {
        ulong round = Processors.At(0)->Progress;
        LocalApic.Send(InterruptCommand.Of(DeliveryMode.Fixed, Vector).WithDestinationShorthand(InterruptCommand.AllExcludingSelf));
        for (int i = 1; i < Processors.Count; i++)
        {
            Patience patience = new(Clock.Patience);
            while (Volatile.Read(ref Processors.At(i)->Word) < round)
                if (patience.IsOver) return false;
        }
        return true;
    }

    private static void Invalidate(Processor* processor, byte vector)
    {
        if (vector != Vector) return;
        Instructions.InvLpg(window);
        Volatile.Write(ref processor->Word, processor->Word + 1);
    }

    // ---- The readers, and who moves the page under them ----

    private static void Read(Processor* processor)
    {
        Instructions.WriteCr3(Instructions.ReadCr3());
        Instructions.Sti();
        while (!Crew.IsStopped)
        {
            ulong least = Volatile.Read(ref reached), seen = Mmio.Read64(window);
            if (seen < least)
            {
                Crew.Fail(seen == 0 ? "a page that was taken away is read, round"u8 : "the page of a round before is read, round"u8, least);
                return;
            }
            Volatile.Write(ref processor->Progress, processor->Progress + 1);
        }
    }

    private static void Remap(delegate*<bool> flush)
    {
        if (!Crew.HasOthers) return;
        if (pool == null) pool = SpareMemory.Take(PoolPages);
        Alias.Begin();
        Map(1);
        reached = 1;
        Crew.Start(&Read);
        Rounds rounds = new(MostRounds, Milliseconds);
        if (Crew.WaitForProgress())
            while (!Crew.HasFailed && rounds.Next())
            {
                Processors.At(0)->Progress = rounds.Begun;
                Map(rounds.Begun + 1);
                if (!Check.That(flush(), "a flush has failed"u8)) break;
                Volatile.Write(ref reached, rounds.Begun + 1);
                *PageOf(rounds.Begun) = 0;
            }
        ulong before = Processors.At(1)->Progress;
        Crew.WaitForProgress(2);
        Crew.End();
        Alias.End();
        Check.That(before > 1, "nobody read"u8);
        Crew.Note("flushes"u8, rounds.Begun, "rounds"u8);
    }

    private static ulong* PageOf(ulong round) => (ulong*)(pool + round % PoolPages * 4096);

    private static void Map(ulong round)
    {
        Mmio.Write64((ulong)PageOf(round), round);
        window = Alias.Map(0, (ulong)PageOf(round));
    }
}
