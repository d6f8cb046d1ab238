// Calls that read and write registers of virtual processors: those of the core here, the processor's own in the backend. TLFS, "Virtual Processor Registers".
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Core;
using static Lamina.Abi.HvRegisterName;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class RegisterCalls<TBackend> where TBackend : struct, IBackend
{
    /// <summary>HvCallGetVpRegisters.</summary>
    internal static HvStatus GetVpRegisters(HypercallCall* call)
    {
        HvInputGetVpRegisters* input = call->Input<HvInputGetVpRegisters>();
        HvStatus status = TryResolve(call, input->PartitionId, input->VpIndex, input->InputVtl, out VirtualProcessor* vp);
        return status.IsSuccess ? RemoteCalls<TBackend>.Run(vp, call, &GetHere) : status;
    }

    private static HvStatus GetHere(VirtualProcessor* vp, HypercallCall* call)
    {
        HvStatus status = HvStatus.HV_STATUS_SUCCESS;
        while (call->Rep < call->RepLimit)
        {
            HvRegisterValue value;
            value.Reg64 = 0;
            value.High64 = 0;
            status = Get(vp, call->Element32, &value);
            if (!status.IsSuccess)
                break;
            ulong* output = (ulong*)((HvRegisterValue*)call->Output + call->Rep++);
            output[0] = value.Reg64;
            output[1] = value.High64;
        }
        return status;
    }

    /// <summary>HvCallSetVpRegisters: in order, so that a resumption can be the last of them.</summary>
    internal static HvStatus SetVpRegisters(HypercallCall* call)
    {
        HvInputSetVpRegisters* input = call->Input<HvInputSetVpRegisters>();
        HvStatus status = TryResolve(call, input->PartitionId, input->VpIndex, input->InputVtl, out VirtualProcessor* vp);
        return status.IsSuccess ? RemoteCalls<TBackend>.Run(vp, call, &SetHere) : status;
    }

    private static HvStatus SetHere(VirtualProcessor* vp, HypercallCall* call)
    {
        HvStatus status = HvStatus.HV_STATUS_SUCCESS;
        for (; call->Rep < call->RepLimit; call->Rep++)
        {
            ulong* element = (ulong*)((HvRegisterAssoc*)call->Elements + call->Rep);
            // SAFETY: caller's memory, aligned, inside the checked block; each word is read once.
            status = Set(vp, (uint)System.Threading.Volatile.Read(ref element[0]), System.Threading.Volatile.Read(ref element[2]), System.Threading.Volatile.Read(ref element[3]));
            if (!status.IsSuccess)
                break;
        }
        return status;
    }

    /// <summary>Registers of one call at most that are set without being continued.</summary>
    private const uint ShortCount = 16;

    /// <summary>
    /// HvCallSetVpRegisters as a parent completes an intercept with it: a few registers of a child's virtual processor that is here, and then perhaps the wait
    /// for the next intercept. Another call goes the way of all, with nothing done yet.
    /// </summary>
    /// <param name="control">The input value; its code is this call's, and nothing but the number of reps is added to it.</param>
    [SkipLocalsInit]
    internal static void SetOfChild(VirtualProcessor* caller, ulong control)
    {
        ulong gpa = caller->Gpr[Gpr.Rdx], count = control >> 32;
        Partition* partition = caller->Partition;
        PartitionPrivileges held = partition->Privileges;
        byte* page;
        if (count - 1 >= ShortCount || (gpa & 7) != 0 || (gpa & 0xFFF) + (ulong)sizeof(HvInputSetVpRegisters) + count * (ulong)sizeof(HvRegisterAssoc) > 4096
            || !held.Includes(PartitionPrivileges.AccessVpRegisters | PartitionPrivileges.CreatePartitions)
            || (page = HypercallDispatch<TBackend>.FindParameters(caller, gpa)) == null)
        {
            HypercallDispatch<TBackend>.HandleAny(caller, control);
            return;
        }
        // SAFETY: caller's memory, aligned, inside the page; each word is read once.
        ulong* element = (ulong*)(page + (gpa & 0xFFF));
        ulong id = System.Threading.Volatile.Read(ref element[0]), place = System.Threading.Volatile.Read(ref element[1]);
        Partition* target;
        VirtualProcessor* vp;
        // Nobody is a child of his own.
        if ((place >> 32 & 0xF) != 0 || (target = Partitions.InSlotOf(id)) == null || target->Id != id || target->ParentId != partition->Id
            || (uint)place >= Partition.MaximumVps || (vp = (VirtualProcessor*)target->Vps[(uint)place]) == null || !vp->IsHere)
        {
            HypercallDispatch<TBackend>.HandleAny(caller, control);
            return;
        }
        element += sizeof(HvInputSetVpRegisters) / sizeof(ulong);
        uint left = (uint)count;
        do
        {
            uint name = (uint)System.Threading.Volatile.Read(ref element[0]), general = name - HvX64RegisterRax;
            ulong value = System.Threading.Volatile.Read(ref element[2]);
            // General registers are kept alike for all vendors, but for RSP.
            if (general < 16 && general != Gpr.Rsp)
                vp->Gpr[general] = value;
            else if (name == HvX64RegisterRip)
                TBackend.ContinueAt(vp, value);
            else if (name == HvRegisterInterceptSuspend && value == 0)
                ResumeFromIntercept(vp);
            else
            {
                HvStatus status = Set(vp, name, value, System.Threading.Volatile.Read(ref element[3]));
                if (!status.IsSuccess)
                {
                    caller->Gpr[Gpr.Rax] = new HypercallResult(status, (uint)count - left).Value;
                    TBackend.CompleteInstruction(caller);
                    return;
                }
            }
            element += sizeof(HvRegisterAssoc) / sizeof(ulong);
        }
        while (--left != 0);
        // HV_STATUS_SUCCESS, and all reps done: these are where the input value has them.
        caller->Gpr[Gpr.Rax] = new HypercallResult(count << 32).Value;
        TBackend.CompleteInstruction(caller);
        if ((place >> 40 & HvInputSetVpRegisters.ThenIdle) != 0 && caller->Partition->Privileges.Includes(PartitionPrivileges.AccessGuestIdleMsr))
            Scheduler<TBackend>.Idle(caller);
    }

    [MethodImpl(MethodImplOptions.NoInlining), SkipLocalsInit]
    private static HvStatus Set(VirtualProcessor* vp, uint name, ulong low, ulong high)
    {
        HvRegisterValue value;
        value.Reg64 = low;
        value.High64 = high;
        return Set(vp, name, &value);
    }

    private static HvStatus TryResolve(HypercallCall* call, PartitionId id, VpIndex index, byte vtl, out VirtualProcessor* vp)
    {
        vp = null;
        // HV_INPUT_VTL: there is only VTL 0, named or not.
        if ((vtl & 0xF) != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        return Targets.TryResolveVp(call, id, index, out vp);
    }

    /// <summary>General, vector, control, debug, segment and table registers: all of them the backend's, and most of those that are ever asked for.</summary>
    private static bool IsOfProcessor(uint name) => name - HvX64RegisterRax < HvX64RegisterTsc - HvX64RegisterRax;

    private static HvStatus Get(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        if (IsOfProcessor(name))
            return TBackend.GetRegister(vp, name, value);
        switch (name)
        {
            case HvRegisterExplicitSuspend:
                value->Reg64 = (vp->SuspendReasons & SuspendReason.Explicit) != 0 ? 1UL : 0;
                return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterInterceptSuspend:
                value->Reg64 = (vp->SuspendReasons & SuspendReason.Intercept) != 0 ? 1UL : 0;
                return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterInternalActivityState:
                bool halted = (vp->SuspendReasons & SuspendReason.Halt) != 0;
                value->Reg64 = new HvInternalActivityRegister(0).WithStartupSuspend((vp->SuspendReasons & SuspendReason.Startup) != 0)
                    .WithHaltSuspend(halted && !vp->IdleWait).WithIdleSuspend(halted && vp->IdleWait).Value;
                return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterInitialApicId:
                value->Reg64 = vp->Apic.ApicId;
                return HvStatus.HV_STATUS_SUCCESS;
        }
        if (RegisterMsrs.TryMap(name, out uint msr))
        {
            if (RegisterMsrs.IsApic(name) && vp->Apic.IsXApic)
                return GetXApic(vp, msr, value);
            bool known = MsrExits<TBackend>.TryRead(vp, msr, out ulong read);
            value->Reg64 = read;
            return known ? HvStatus.HV_STATUS_SUCCESS : HvStatus.HV_STATUS_INVALID_PARAMETER;
        }
        return TBackend.GetRegister(vp, name, value);
    }

    private static HvStatus Set(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        if (IsOfProcessor(name))
            return SetOfProcessor(vp, name, value);
        ulong number = value->Reg64;
        switch (name)
        {
            case HvRegisterExplicitSuspend:
                return Suspend(vp, SuspendReason.Explicit, number);
            case HvRegisterInterceptSuspend:
                return Suspend(vp, SuspendReason.Intercept, number);
            case HvRegisterInternalActivityState:
                return SetActivity(vp, new HvInternalActivityRegister(number));
            case HvRegisterPendingEvent0:
                return SetPendingEvent(vp, value);
        }
        if (RegisterMsrs.TryMap(name, out uint msr))
        {
            if (RegisterMsrs.IsApic(name) && vp->Apic.IsXApic)
                return SetXApic(vp, msr, number);
            return MsrExits<TBackend>.TryWrite(vp, msr, number) ? HvStatus.HV_STATUS_SUCCESS : HvStatus.HV_STATUS_INVALID_PARAMETER;
        }
        return SetOfProcessor(vp, name, value);
    }

    private static HvStatus SetOfProcessor(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        HvStatus status = TBackend.SetRegister(vp, name, value);
        // What translations depend on changed behind the processor's back.
        if (name is HvX64RegisterCr0 or HvX64RegisterCr3 or HvX64RegisterCr4 or HvX64RegisterEfer)
            VirtualProcessors<TBackend>.FlushTranslations(vp);
        else if (name is HvX64RegisterCr8 or HvX64RegisterRflags or HvRegisterInterruptState or HvRegisterPendingInterruption)
            vp->Work |= EntryWork.Interrupts;
        return status;
    }

    private static HvStatus Suspend(VirtualProcessor* vp, uint reason, ulong value)
    {
        if (value > 1)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (value == 1)
        {
            Scheduler<TBackend>.Suspend(vp, reason);
            return HvStatus.HV_STATUS_SUCCESS;
        }
        if (reason == SuspendReason.Intercept)
            ResumeFromIntercept(vp);
        else
            Scheduler<TBackend>.Resume(vp, reason);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>A message that the parent has not seen yet is void with its intercept: the next one needs its place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ResumeFromIntercept(VirtualProcessor* vp)
    {
        if (vp->Intercept.IsQueued)
            Intercepts<TBackend>.Withdraw(vp);
        Scheduler<TBackend>.Resume(vp, SuspendReason.Intercept);
    }

    private static HvStatus SetActivity(VirtualProcessor* vp, HvInternalActivityRegister activity)
    {
        HvInternalActivityRegister known = new HvInternalActivityRegister(0).WithStartupSuspend(true).WithHaltSuspend(true).WithIdleSuspend(true);
        if ((activity.Value & ~known.Value) != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        uint reasons = (activity.StartupSuspend ? SuspendReason.Startup : 0) | (activity.HaltSuspend || activity.IdleSuspend ? SuspendReason.Halt : 0);
        vp->IdleWait = activity.IdleSuspend;
        if (reasons != 0)
            Scheduler<TBackend>.Suspend(vp, reasons);
        Scheduler<TBackend>.Resume(vp, (SuspendReason.Startup | SuspendReason.Halt) & ~reasons);
        if ((reasons & SuspendReason.Halt) != 0)
        {
            // What is requested already, or due, wakes it as it would have if it had halted by itself.
            Timers<TBackend>.Update(vp);
            if (!vp->IdleWait)
                Interrupts<TBackend>.WakeIfInterruptible(vp);
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>An exception to be raised when the processor runs on. TLFS, "Pending Event".</summary>
    private static HvStatus SetPendingEvent(VirtualProcessor* vp, HvRegisterValue* value)
    {
        HvX64PendingExceptionEvent pending = value->PendingEvent;
        if (!pending.EventPending)
            return HvStatus.HV_STATUS_SUCCESS;
        if (pending.EventType != 0 || pending.Vector > 31 || pending.Vector == 2)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (pending.Vector == PageFault)
        {
            HvRegisterValue address;
            address.High64 = 0;
            address.Reg64 = pending.ExceptionParameter;
            TBackend.SetRegister(vp, HvX64RegisterCr2, &address);
        }
        TBackend.InjectException(vp, (byte)pending.Vector, pending.DeliverErrorCode, pending.ErrorCode);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private const ushort PageFault = 14;

    // The register names are those of the MSRs; in xAPIC mode the same registers are reached as the guest reaches them.
    private static HvStatus GetXApic(VirtualProcessor* vp, uint msr, HvRegisterValue* value)
    {
        Interrupts<TBackend>.Synchronize(vp);
        ulong now = X64.Instructions.RdTsc() + vp->TscOffset;
        vp->Apic.TryReadMmio(RegisterMsrs.XApicOffset(msr), now, out uint low, out _);
        value->Reg64 = low;
        if (msr == X64.Msr.IA32_X2APIC_ICR && vp->Apic.TryReadMmio(RegisterMsrs.XApicOffset(msr) + 0x10, now, out uint high, out _))
            value->Reg64 |= (ulong)high << 32;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static HvStatus SetXApic(VirtualProcessor* vp, uint msr, ulong value)
    {
        if (value >> 32 != 0 && msr != X64.Msr.IA32_X2APIC_ICR)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        Interrupts<TBackend>.Synchronize(vp);
        ulong now = X64.Instructions.RdTsc() + vp->TscOffset;
        if (msr == X64.Msr.IA32_X2APIC_ICR)
            vp->Apic.TryWriteMmio(RegisterMsrs.XApicOffset(msr) + 0x10, (uint)(value >> 32), now, out _);
        vp->Apic.TryWriteMmio(RegisterMsrs.XApicOffset(msr), (uint)value, now, out ApicEffect effect);
        Interrupts<TBackend>.Apply(vp, effect);
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
