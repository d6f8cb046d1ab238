// From an exit of VMRUN to the core's own handlers, and what SVM needs done around them. APM 2, "Intercept Operation".
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.X64.Decode;
using static Lamina.Abi.HvStatsVpCounters;
using static Lamina.Hypervisor.Svm.SvmExitCode;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend
{
    private const byte Debug = 1, InvalidOpcode = 6, GeneralProtection = 13, AlignmentCheck = 17;
    private const ulong RflagsTf = 1 << 8, Dr6Bs = 1 << 14, Dr7Gd = 1 << 13;

    /// <summary>Called by the world switch (svm.asm) after every exit that was not a short one; the virtual processor to enter next.</summary>
    [RuntimeExport("svm_handle_exit"), SkipLocalsInit]
    private static VirtualProcessor* HandleExit(VirtualProcessor* vp)
    {
        Vmcb* vmcb = StateOf(vp);
        vp->Gpr[Gpr.Rax] = vmcb->Save.RAX;
        vmcb->Control.EVENTINJ = EventInjection.None;
        vmcb->Control.TLB_CONTROL = TlbControl.DoNothing;
        if (vmcb->Control.EXITINTINFO.Valid)
            TakeCutOffEvent(vmcb);
        if (vp->Stepping != SteppingReason.None)
            InterruptStep(vp, vmcb->Control.EXITCODE);

        switch (vmcb->Control.EXITCODE)
        {
            case VMEXIT_CPUID:
                CpuidPolicy.Execute<SvmBackend>(vp);
                break;
            case VMEXIT_MSR:
                if (vmcb->Control.EXITINFO1 == MsrInterceptInfo.Read)
                    MsrExits<SvmBackend>.Read(vp);
                else
                    MsrExits<SvmBackend>.Write(vp);
                break;
            case VMEXIT_VMMCALL:
                HypercallDispatch<SvmBackend>.Handle(vp);
                break;
            case VMEXIT_IOIO:
                IoInterceptInfo io = new(vmcb->Control.EXITINFO1);
                PortExits<SvmBackend>.Handle(vp, io.Port, io.Access, io.IsIn, (uint)(vmcb->Control.EXITINFO2 - vmcb->Save.RIP));
                break;
            case VMEXIT_HLT:
                vp->Count(VpHltInstructionsCount);
                CompleteInstruction(vp);
                // A single-step trap behind it comes first, and ends the halt.
                if (!HasPendingInjection(vp))
                    Scheduler<SvmBackend>.Halt(vp);
                break;
            case VMEXIT_INTR:
            case VMEXIT_NMI:
            case VMEXIT_SMI:
                vp->Count(VpExternalInterruptsCount);
                OpenInterruptWindow();
                // The guest may not exit again by itself.
                Reassess();
                // An interrupt offered before STI: the emulator forgets the shadow, so the HLT behind it is looked for (OfferInterrupt).
                if (Shared.IsTcg && (vmcb->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW) != 0)
                    vp->Work |= EntryWork.Interrupts;
                // An offer that waited at the entry for a shadow to end is not taken by Bochs either.
                if (Shared.IsBochs)
                    vp->Work |= EntryWork.Interrupts;
                break;
            case VMEXIT_NPF:
                NestedPageFaultInfo fault = new(vmcb->Control.EXITINFO1);
                MemoryExits<SvmBackend>.Handle(vp, vmcb->Control.EXITINFO2, fault.Write, fault.InstructionFetch, fault.InGuestPageTable);
                break;
            default:
                HandleRareExit(vp, vmcb);
                break;
        }

        if (vp->Work != 0)
        {
            vp = Scheduler<SvmBackend>.PrepareEntry(vp);
            return vp == null ? null : FinishEntry(vp);
        }
        if (vp->SecondStageGeneration != vp->Partition->SecondStageGeneration)
            PrepareAddressSpace(vp);
        StateOf(vp)->Save.RAX = vp->Gpr[Gpr.Rax];
        return vp;
    }

    /// <summary>Called by the world switch when no virtual processor's state is in the processor; whom to enter.</summary>
    [RuntimeExport("svm_park")]
    private static VirtualProcessor* Park() => FinishEntry(Scheduler<SvmBackend>.Park());

    /// <summary>
    /// TCG may lose a physical interrupt at any exit, and a guest that polls gives rise to no other work: nobody but it would run again. Called by the
    /// world switch now and then, and where a guest may run on for long.
    /// </summary>
    [RuntimeExport("svm_reassess")]
    private static void Reassess()
    {
        if (Shared.IsTcg)
            PhysicalApic.Reassess();
    }

    /// <summary>Last thing before an entry that was not on the short path: whom the processor runs next, ready.</summary>
    private static VirtualProcessor* FinishEntry(VirtualProcessor* vp)
    {
        PrepareAddressSpace(vp);
        if (Shared.IsTcg)
            PhysicalApic.Reassess();
        StateOf(vp)->Save.RAX = vp->Gpr[Gpr.Rax];
        return vp;
    }

    private static void HandleRareExit(VirtualProcessor* vp, Vmcb* vmcb)
    {
        VmcbControlArea* control = &vmcb->Control;
        ulong code = control->EXITCODE;
        vp->Count(CounterOf(code));
        switch (code)
        {
            case VMEXIT_CR8_WRITE:
                WriteCr8(vp);
                break;
            case >= VMEXIT_DR0_WRITE and <= VMEXIT_DR0_WRITE + 3:
                // Done again, with no intercept this time.
                UseDebugAddresses(vp);
                break;
            case VMEXIT_VINTR:
                vp->Work |= EntryWork.Interrupts;
                break;
            case VMEXIT_IRET:
                OnIret(vp);
                break;
            case VMEXIT_SHUTDOWN:
                Intercepts<SvmBackend>.UnrecoverableException(vp);
                break;
            case VMEXIT_XSETBV:
                XsetbvExits<SvmBackend>.Handle(vp);
                break;
            case VMEXIT_INVD:
            case VMEXIT_WBINVD:
                // Caches are coherent and the guest drives no device that is not: nothing need be written back for it.
                CompleteInstruction(vp);
                break;
            case VMEXIT_INIT:
                break;
            case VMEXIT_RDPMC:
                InjectException(vp, GeneralProtection, true, 0);
                break;
            case VMEXIT_INVALID:
                Intercepts<SvmBackend>.InvalidState(vp);
                break;
            case VMEXIT_EXCP0 + Debug when TryEndStep(vp):
                break;
            case VMEXIT_EXCP0 + Debug or VMEXIT_EXCP0 + AlignmentCheck when (vp->Partition->ExceptionIntercepts & 1u << (int)(code - VMEXIT_EXCP0)) == 0:
                PassOn(vp, (byte)(code - VMEXIT_EXCP0));
                break;
            case >= VMEXIT_EXCP0 and <= VMEXIT_EXCP31:
                Intercepts<SvmBackend>.Exception(vp, (byte)(code - VMEXIT_EXCP0), (uint)control->EXITINFO1, control->EXITINFO2);
                break;
            default:
                // What remains is intercepted because guests have no such feature: VMRUN and its kin, MONITOR, MWAIT, RDPRU.
                InjectException(vp, InvalidOpcode, false, 0);
                break;
        }
    }

    /// <summary>The counter of a rare exit that is carried out in the backend. Those of ports and second-stage faults are counted above the vendor line.</summary>
    private static uint CounterOf(ulong exitCode) => exitCode switch
    {
        VMEXIT_CR8_WRITE => VpControlRegisterAccessesCount,
        >= VMEXIT_DR0_WRITE and <= VMEXIT_DR0_WRITE + 3 => VpDebugRegisterAccessesCount,
        VMEXIT_VINTR => VpPendingInterruptsCount,
        VMEXIT_INIT => VpExternalInterruptsCount,
        VMEXIT_MONITOR or VMEXIT_MWAIT => VpMwaitInstructionsCount,
        VMEXIT_EXCP0 + PageFault => VpPageFaultInterceptsCount,
        _ => VpOtherInterceptsCount,
    };

    /// <summary>#DB and #AC that nobody asked for: see <see cref="RecursiveExceptions"/>.</summary>
    private static void PassOn(VirtualProcessor* vp, byte vector)
    {
        // What the processor does as it delivers #DB. APM 2, "Debug-Control Register (DR7)".
        if (vector == Debug)
            StateOf(vp)->Save.DR7 &= ~Dr7Gd;
        InjectException(vp, vector, vector == AlignmentCheck, 0);
    }

    /// <summary>MOV to CR8 while a request waits: the guest's task priority changes, and with it what may be offered.</summary>
    private static void WriteCr8(VirtualProcessor* vp)
    {
        byte* bytes = stackalloc byte[16];
        int count = GuestInstruction<SvmBackend>.Fetch(vp, bytes);
        if (!InstructionParts.TryParse(new ReadOnlySpan<byte>(bytes, count), GuestInstruction<SvmBackend>.ModeOf(vp), out InstructionParts parts))
        {
            InjectException(vp, InvalidOpcode, false, 0);
            return;
        }
        ulong value = parts.RmField == Gpr.Rsp ? StateOf(vp)->Save.RSP : vp->Gpr[parts.RmField];
        if (value > 15)
        {
            InjectException(vp, GeneralProtection, true, 0);
            return;
        }
        SetTaskPriority(vp, (byte)(value << 4));
        CompleteInstruction(vp);
        vp->Work |= EntryWork.Interrupts;
    }

    /// <summary>Lengths that the instruction set fixes; compilers put no prefix on these. Others are decoded from guest memory.</summary>
    private static byte FixedLength(ulong exitCode) => exitCode switch
    {
        VMEXIT_HLT => 1,
        VMEXIT_CPUID or VMEXIT_MSR or VMEXIT_INVD or VMEXIT_WBINVD => 2,
        VMEXIT_VMMCALL or VMEXIT_XSETBV => 3,
        _ => 0,
    };

    public static byte GetInstructionLength(VirtualProcessor* vp)
    {
        Vmcb* vmcb = StateOf(vp);
        ulong code = vmcb->Control.EXITCODE;
        if (Features.NRIPS && vmcb->Control.NRIP != 0 && code != VMEXIT_NPF)
            return (byte)(vmcb->Control.NRIP - vmcb->Save.RIP);
        if (code == VMEXIT_IOIO)
            return (byte)(vmcb->Control.EXITINFO2 - vmcb->Save.RIP);
        byte length = FixedLength(code);
        if (length != 0)
            return length;
        byte* bytes = stackalloc byte[16];
        int count = GuestInstruction<SvmBackend>.Fetch(vp, bytes);
        return InstructionLength.TryGet(new ReadOnlySpan<byte>(bytes, count), GuestInstruction<SvmBackend>.ModeOf(vp), out int decoded) ? (byte)decoded : (byte)0;
    }

    public static void CompleteInstruction(VirtualProcessor* vp)
    {
        Vmcb* vmcb = StateOf(vp);
        // Not written, and so 0, by processors that do not have the feature.
        ulong next = vmcb->Control.NRIP;
        if (next == 0)
        {
            // The two that come here most often; the others' lengths are asked for behind a jump, so that nothing is saved for a call.
            uint length = vmcb->Control.EXITCODE == VMEXIT_MSR ? 2u : vmcb->Control.EXITCODE == VMEXIT_VMMCALL ? 3u : 0;
            if (length == 0)
            {
                CompleteByLength(vp);
                return;
            }
            next = vmcb->Save.RIP + length;
        }
        SetRip(vp, next);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CompleteByLength(VirtualProcessor* vp) => SetRip(vp, StateOf(vp)->Save.RIP + GetInstructionLength(vp));

    /// <summary>The instruction in the shadow has been carried out. Bochs does not take what was offered meanwhile: it is looked at again.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void EndInterruptShadow(VirtualProcessor* vp)
    {
        VmcbControlArea* control = &StateOf(vp)->Control;
        if ((control->InterruptShadow & InterruptState.INTERRUPT_SHADOW) == 0)
            return;
        control->InterruptShadow &= ~InterruptState.INTERRUPT_SHADOW;
        if (Shared.IsBochs)
            vp->Work |= EntryWork.Interrupts;
    }

    public static void SetRip(VirtualProcessor* vp, ulong next)
    {
        Vmcb* vmcb = StateOf(vp);
        if ((vmcb->Save.EFER & EferLma) == 0)
            next = (uint)next;
        vmcb->Save.RIP = next;
        // Seldom: so that nothing is saved for a call on the way of every exit.
        if ((vmcb->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW) != 0 || (vmcb->Save.RFLAGS & RflagsTf) != 0)
            EndInstruction(vp);
    }

    private static void EndInstruction(VirtualProcessor* vp)
    {
        Vmcb* vmcb = StateOf(vp);
        EndInterruptShadow(vp);
        // The processor did not see the instruction end: its single-step trap is ours to deliver. SDM 3B, "Single-Step Exception Condition".
        if ((vmcb->Save.RFLAGS & RflagsTf) != 0)
        {
            vmcb->Save.DR6 |= Dr6Bs;
            InjectException(vp, Debug, false, 0);
        }
    }
}
