// Second-stage faults: the virtual APIC's page, memory of the root that is mapped on first touch, and everything else for the parent.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.X64;
using Lamina.X64.Decode;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

public static unsafe class MemoryExits<TBackend> where TBackend : struct, IBackend
{
    private const byte GeneralProtection = 13;
    private const ulong PageMask = 0xFFF;

    public static void Handle(VirtualProcessor* vp, ulong gpa, bool isWrite, bool isFetch, bool inPageTable)
    {
        if (isFetch || inPageTable || !vp->Apic.IsXApic || (gpa & ~PageMask) != vp->Apic.BaseAddress)
            HandleOther(vp, gpa, isWrite, isFetch);
        else if (!TBackend.HasPendingInjection(vp))
            ApicPage(vp, (uint)(gpa & PageMask));
        else
        {
            // An interrupt's or exception's own access, to a stack or table in the page: there is no instruction to be carried out.
            vp->Count(HvStatsVpCounters.VpNestedPageFaultInterceptsCount);
            TBackend.InjectException(vp, GeneralProtection, true, 0);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void HandleOther(VirtualProcessor* vp, ulong gpa, bool isWrite, bool isFetch)
    {
        vp->Count(HvStatsVpCounters.VpNestedPageFaultInterceptsCount);
        if (vp->Partition->IsRoot && RootPartition<TBackend>.TryMapOnTouch(gpa))
            return;
        byte access = isFetch ? HvInterceptAccessType.HvInterceptAccessExecute : isWrite ? HvInterceptAccessType.HvInterceptAccessWrite : HvInterceptAccessType.HvInterceptAccessRead;
        bool unmapped = !TBackend.TryTranslateGpa(vp->Partition, gpa, out _, out _);
        byte* bytes = stackalloc byte[16];
        int count = isFetch ? 0 : GuestInstruction<TBackend>.Fetch(vp, bytes);
        int length = 0;
        if (count != 0)
            InstructionLength.TryGet(new ReadOnlySpan<byte>(bytes, count), GuestInstruction<TBackend>.ModeOf(vp), out length);
        Intercepts<TBackend>.Memory(vp, gpa, access, unmapped, bytes, count, (byte)length);
    }

    /// <summary>Emulates one access to the register page. What cannot be decoded is #GP: compilers reach registers by plain moves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ApicPage(VirtualProcessor* vp, uint offset)
    {
        MmioInstruction* instruction = InstructionCache<TBackend>.Find(vp);
        if (instruction == null)
        {
            vp->Count(HvStatsVpCounters.VpApicMmioAccesses);
            TBackend.InjectException(vp, GeneralProtection, true, 0);
            return;
        }
        Interrupts<TBackend>.Synchronize(vp);
        ulong now = Instructions.RdTsc() + vp->TscOffset;
        uint value = 0;
        if (instruction->ReadsMemory && vp->Apic.TryReadMmio(offset, now, out value, out ApicEffect raised) && !raised.IsNone)
            Interrupts<TBackend>.Apply(vp, raised);
        bool writes;
        if (!instruction->IsMove32 || instruction->Register == Gpr.Rsp)
            writes = Execute(vp, instruction, ref value);
        else
        {
            writes = instruction->MemoryIsDestination;
            if (!writes)
                vp->Gpr[instruction->Register] = value;
            else
                value = instruction->Operand == MmioOperand.Immediate ? (uint)instruction->Immediate : (uint)vp->Gpr[instruction->Register];
        }
        TBackend.SetRip(vp, TBackend.GetRip(vp) + instruction->Length);
        vp->Count(writes ? ApicCounters.OfPageWrite(offset) : HvStatsVpCounters.VpApicMmioAccesses);
        if (writes && vp->Apic.TryWriteMmio(offset, value, now, out ApicEffect effect))
            Interrupts<TBackend>.Apply(vp, effect);
    }

    /// <summary>Anything but a plain move. <paramref name="value"/> is what was read, then what is to be written, if anything is.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Execute(VirtualProcessor* vp, MmioInstruction* instruction, ref uint value)
    {
        vp->Gpr[Gpr.Rsp] = TBackend.GetRsp(vp);
        ulong rflags = TBackend.GetRflags(vp), before = rflags;
        bool writes = instruction->Execute(vp->Gpr, ref rflags, value, out ulong result);
        value = (uint)result;
        if (rflags != before)
        {
            HvRegisterValue flags;
            flags.High64 = 0;
            flags.Reg64 = rflags;
            TBackend.SetRegister(vp, HvRegisterName.HvX64RegisterRflags, &flags);
        }
        return writes;
    }
}
