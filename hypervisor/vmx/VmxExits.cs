// From a VM exit to the core's own handlers, and what VMX needs done around them. SDM 3C, "VM Exits"; SDM 3D, "VMX Basic Exit Reasons".
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.X64;
using Lamina.X64.Decode;
using static Lamina.Abi.HvStatsVpCounters;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    private const byte Debug = 1, InvalidOpcode = 6, GeneralProtection = 13, AlignmentCheck = 17;
    private const ulong RflagsTf = 1 << 8, Dr6Bs = 1 << 14, Dr7Gd = 1 << 13;

    /// <summary>Called by the world switch (vmx.asm) after every exit that was not a short one; the virtual processor to enter next.</summary>
    [RuntimeExport("vmx_handle_exit")]
    private static VirtualProcessor* HandleExit(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        state->Valid = CachedField.Persistent | CachedField.OfInstruction;
        state->PendingEvent = 0;
        state->IsOffer = false;
        state->IsApicStale = true;
        // A failed entry writes neither, and what stands there is of the exit before.
        if ((int)state->IdtVectoringInformation < 0 && (int)state->ExitReason >= 0)
            TakeCutOffEvent(vp, state);

        // With bit 31: a failed entry is none of the first few.
        switch ((uint)state->ExitReason & VmxExitReason.Compared)
        {
            case VmxExitReason.CPUID:
                CpuidPolicy.Execute<VmxBackend>(vp);
                break;
            case VmxExitReason.RDMSR:
                MsrExits<VmxBackend>.Read(vp);
                break;
            case VmxExitReason.WRMSR:
                MsrExits<VmxBackend>.Write(vp);
                break;
            case VmxExitReason.VMCALL:
                ReadMode(state);
                state->Valid |= CachedField.OfMode;
                HypercallDispatch<VmxBackend>.Handle(vp);
                break;
            case VmxExitReason.HLT:
                vp->Count(VpHltInstructionsCount);
                CompleteInstruction(vp);
                // A single-step trap behind it comes first, and ends the halt.
                if (!HasPendingInjection(vp))
                    Scheduler<VmxBackend>.Halt(vp);
                break;
            case VmxExitReason.ExternalInterrupt:
                vp->Count(VpExternalInterruptsCount);
                state->Valid = CachedField.Persistent;
                OpenInterruptWindow();
                break;
            default:
                if (((uint)state->ExitReason & VmxExitReason.Compared) == VmxExitReason.EptViolation)
                    HandleEptViolation(vp);
                else
                    HandleRareExit(vp, state);
                if ((state->Fields[CachedField.Interruptibility] & InterruptibilityState.Shadow) != 0)
                    KeepPendingTrap(vp);
                break;
        }

        if (vp->Work != 0)
            return ChooseNext(vp);
        PrepareEntry(vp);
        return vp;
    }

    private static VirtualProcessor* ChooseNext(VirtualProcessor* vp)
    {
        vp = Scheduler<VmxBackend>.PrepareEntry(vp);
        if (vp != null)
            PrepareEntry(vp);
        return vp;
    }

    /// <summary>Called by the world switch when no virtual processor's state is in the processor; whom to enter.</summary>
    [RuntimeExport("vmx_park")]
    private static VirtualProcessor* Park()
    {
        VirtualProcessor* vp = Scheduler<VmxBackend>.Park();
        PrepareEntry(vp);
        return vp;
    }

    /// <summary>Last thing before an entry: translations that are no more are gone, and the VMCS is up to date.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrepareEntry(VirtualProcessor* vp)
    {
        if (vp->SecondStageGeneration != vp->Partition->SecondStageGeneration)
            DropTranslations(vp);
        WriteBack(vp);
    }

    private static void HandleEptViolation(VirtualProcessor* vp)
    {
        EptViolationQualification violation = new(Read(vp, CachedField.ExitQualification));
        if (violation.NmiUnblockingDueToIret)
            BlockNmisAgain(vp);
        MemoryExits<VmxBackend>.Handle(vp, Read(vp, CachedField.GuestPhysicalAddress), violation.Write, violation.InstructionFetch, violation.InGuestPageTable);
    }

    private static void HandleRareExit(VirtualProcessor* vp, VmxState* state)
    {
        uint reason = (uint)state->ExitReason & VmxExitReason.Compared;
        if (reason != VmxExitReason.IoInstruction)
            vp->Count(CounterOf(reason));
        switch (reason)
        {
            case VmxExitReason.IoInstruction:
                IoInstructionQualification io = new(Read(vp, CachedField.ExitQualification));
                PortExits<VmxBackend>.Handle(vp, io.Port, io.Access, io.IsIn, (uint)state->Fields[CachedField.InstructionLength]);
                break;
            case VmxExitReason.InterruptWindow:
            case VmxExitReason.TprBelowThreshold:
                vp->Work |= EntryWork.Interrupts;
                break;
            case VmxExitReason.NmiWindow:
                SetPrimaryControl(vp, PrimaryControls.NmiWindowExiting, false);
                vp->Work |= EntryWork.Nmi;
                break;
            case VmxExitReason.ExceptionOrNmi:
                HandleVectoredEvent(vp);
                break;
            case VmxExitReason.ControlRegisterAccesses:
                HandleControlRegister(vp, new ControlRegisterQualification(Read(vp, CachedField.ExitQualification)));
                break;
            case VmxExitReason.MovDr:
                // A read or a write, of whichever: done again, without an exit this time.
                UseDebugAddresses(vp);
                break;
            case VmxExitReason.TripleFault:
                Intercepts<VmxBackend>.UnrecoverableException(vp);
                break;
            case VmxExitReason.XSETBV:
                XsetbvExits<VmxBackend>.Handle(vp);
                break;
            case VmxExitReason.INVD:
            case VmxExitReason.WBINVD:
                // Caches are coherent and the guest drives no device that is not: nothing need be written back for it.
                CompleteInstruction(vp);
                break;
            case VmxExitReason.VirtualizedEoi:
                HandleVirtualizedEoi(vp, (byte)Read(vp, CachedField.ExitQualification));
                break;
            case VmxExitReason.ApicWrite:
                HandleApicWrite(vp, (uint)Read(vp, CachedField.ExitQualification) & 0xFFF);
                break;
            case VmxExitReason.VmxPreemptionTimerExpired:
                // Exits for other reasons save what is left of it: a guest that exits again and again has its turn, too.
                MakeCurrent(vp);
                VmWrite(VmcsField.VmxPreemptionTimerValue, VmxFeatures.PreemptionTicks);
                OpenInterruptWindow();
                break;
            case VmxExitReason.InitSignal:
            case VmxExitReason.StartupIpi:
                break;
            case VmxExitReason.RDPMC:
                InjectException(vp, GeneralProtection, true, 0);
                break;
            case VmxExitReason.TaskSwitch:
                Refuse(vp, "vmx: a task switch, which is not emulated; selector and source "u8, Read(vp, CachedField.ExitQualification));
                break;
            case VmxExitReason.EptMisconfiguration:
                Refuse(vp, "vmx: EPT misconfiguration at guest-physical address "u8, Read(vp, CachedField.GuestPhysicalAddress));
                break;
            case >= VmxExitReason.EntryFailure:
                HandleEntryFailure(vp, state);
                break;
            case VmxExitReason.GETSEC or VmxExitReason.MWAIT or VmxExitReason.MONITOR or (>= VmxExitReason.VMCLEAR and <= VmxExitReason.VMXON)
                or VmxExitReason.INVEPT or VmxExitReason.INVVPID or VmxExitReason.VMFUNC or VmxExitReason.ENCLS:
                // Guests have no such feature.
                InjectException(vp, InvalidOpcode, false, 0);
                break;
            default:
                Refuse(vp, "vmx: an exit that no control asks for, reason "u8, reason);
                break;
        }
    }

    /// <summary>The counter of a rare exit that is carried out in the backend. Those of ports and second-stage faults are counted above the vendor line.</summary>
    private static uint CounterOf(uint reason) => reason switch
    {
        VmxExitReason.ControlRegisterAccesses => VpControlRegisterAccessesCount,
        VmxExitReason.MovDr => VpDebugRegisterAccessesCount,
        VmxExitReason.VirtualizedEoi => VpApicEoiAccesses,
        VmxExitReason.ApicWrite => VpApicSelfIpisSent,
        VmxExitReason.InterruptWindow or VmxExitReason.TprBelowThreshold => VpPendingInterruptsCount,
        VmxExitReason.InitSignal or VmxExitReason.VmxPreemptionTimerExpired => VpExternalInterruptsCount,
        VmxExitReason.MONITOR or VmxExitReason.MWAIT => VpMwaitInstructionsCount,
        _ => VpOtherInterceptsCount,
    };

    /// <summary>An exception that is intercepted, or an NMI of the machine's.</summary>
    private static void HandleVectoredEvent(VirtualProcessor* vp)
    {
        // Interrupts that came through behind an event that was cut off may have asked for another's fields.
        MakeCurrent(vp);
        InterruptionInformation information = new(VmRead(VmcsField.VmExitInterruptionInformation));
        if (information.Type == InterruptionInformation.Nmi)
        {
            TakeNmi();
            OpenInterruptWindow();
            return;
        }
        if (information.NmiUnblockingDueToIret && information.Vector != DoubleFault)
            BlockNmisAgain(vp);
        byte vector = information.Vector;
        ulong qualification = Read(vp, CachedField.ExitQualification);
        bool isAskedFor = (vp->Partition->ExceptionIntercepts & 1u << vector) != 0;
        if (!isAskedFor && vector is Debug or AlignmentCheck)
            PassOn(vp, information, qualification);
        else
            Intercepts<VmxBackend>.Exception(vp, vector, information.DeliverErrorCode ? (uint)VmRead(VmcsField.VmExitInterruptionErrorCode) : 0, qualification);
    }

    /// <summary>#DB and #AC that nobody asked for: see <see cref="RecursiveExceptions"/>.</summary>
    private static void PassOn(VirtualProcessor* vp, InterruptionInformation information, ulong qualification)
    {
        if (information.Vector == AlignmentCheck)
        {
            InjectException(vp, AlignmentCheck, true, 0);
            return;
        }
        // What the processor does as it delivers #DB, and has not done before the exit. SDM 3C, "Basic VM-Exit Information".
        SetDr6(vp, new DebugExceptionQualification(qualification).Apply(GetDr6(vp)));
        ulong dr7 = Read(vp, CachedField.Dr7);
        if ((dr7 & Dr7Gd) != 0)
            Write(vp, CachedField.Dr7, dr7 & ~Dr7Gd);
        InjectException(vp, Debug, false, 0);
        if (information.Type != InterruptionInformation.PrivilegedSoftwareException || new InterruptionInformation(StateOf(vp)->PendingEvent).Vector != Debug)
            return;
        // INT1: a trap of its own, whose handler returns behind it.
        StateOf(vp)->PendingEvent = 1UL << 31 | (ulong)InterruptionInformation.PrivilegedSoftwareException << 8 | Debug;
        StateOf(vp)->PendingLength = (uint)Read(vp, CachedField.InstructionLength);
    }

    private static void HandleControlRegister(VirtualProcessor* vp, ControlRegisterQualification access)
    {
        if (access.AccessType == ControlRegisterQualification.MovToCr && access.Register is 0 or 4)
        {
            ulong value = access.GeneralRegister == Gpr.Rsp ? Read(vp, CachedField.Rsp) : vp->Gpr[access.GeneralRegister];
            if (!Is64Bit(vp))
                value = (uint)value;
            if (access.Register == 0)
                WriteCr0(vp, value);
            else
                WriteCr4(vp, value);
        }
        else
            Refuse(vp, "vmx: an access to a control register that no mask asks for, qualification "u8, access.Value);
    }

    public static byte GetInstructionLength(VirtualProcessor* vp)
    {
        uint reason = (uint)StateOf(vp)->ExitReason & VmxExitReason.Compared;
        // Undefined for what is no instruction's own exit. SDM 3C, "Information for VM Exits Due to Instruction Execution".
        if (reason is not (VmxExitReason.EptViolation or VmxExitReason.ExceptionOrNmi or VmxExitReason.ExternalInterrupt))
            return (byte)Read(vp, CachedField.InstructionLength);
        byte* bytes = stackalloc byte[16];
        int count = GuestInstruction<VmxBackend>.Fetch(vp, bytes);
        return InstructionLength.TryGet(new ReadOnlySpan<byte>(bytes, count), GuestInstruction<VmxBackend>.ModeOf(vp), out int decoded) ? (byte)decoded : (byte)0;
    }

    /// Called for the exit of an instruction only, before the guest is entered again: the world switch has read what is needed.
    public static void CompleteInstruction(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        ulong rip = state->Fields[CachedField.Rip], next = rip + state->Fields[CachedField.InstructionLength];
        if (((next ^ rip) >> 32 | state->Fields[CachedField.Interruptibility] & InterruptibilityState.Shadow | state->Fields[CachedField.Rflags] & RflagsTf) != 0)
        {
            SetRip(vp, next);
            return;
        }
        state->Fields[CachedField.Rip] = next;
        state->Dirty |= 1UL << CachedField.Rip;
    }

    public static void ContinueAt(VirtualProcessor* vp, ulong rip)
    {
        EndShadow(vp);
        Write(vp, CachedField.Rip, rip);
    }

    private static void EndShadow(VirtualProcessor* vp)
    {
        ulong interruptibility = Read(vp, CachedField.Interruptibility);
        if ((interruptibility & InterruptibilityState.Shadow) != 0)
            Write(vp, CachedField.Interruptibility, interruptibility & ~(ulong)InterruptibilityState.Shadow);
    }

    public static void SetRip(VirtualProcessor* vp, ulong next)
    {
        // Only 64-bit code has upper halves, and only at 4 GiB does a lower one change into an upper.
        if ((next ^ Read(vp, CachedField.Rip)) >> 32 != 0 && !Is64Bit(vp))
            next = (uint)next;
        Write(vp, CachedField.Rip, next);
        EndShadow(vp);
        // The processor did not see the instruction end: its single-step trap is ours to deliver. SDM 3B, "Single-Step Exception Condition".
        if ((Read(vp, CachedField.Rflags) & RflagsTf) != 0)
        {
            SetDr6(vp, GetDr6(vp) | Dr6Bs);
            InjectException(vp, Debug, false, 0);
        }
    }
}
