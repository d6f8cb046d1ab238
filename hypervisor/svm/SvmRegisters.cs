// Guest registers in the control block, by their TLFS names. Values that VMRUN would refuse are refused here. APM 2, "Canonicalization and Consistency Checks".
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using static Lamina.Abi.HvRegisterName;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend
{
    private const ulong EferValid = 1 << 0 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 14 | 1 << 15; // SCE LME LMA NXE LMSLE FFXSR TCE
    private const ulong EferLme = 1 << 8, EferLma = 1 << 10;
    private const ulong Cr0Pe = 1, Cr0Et = 1 << 4, Cr0Nw = 1 << 29, Cr0Cd = 1 << 30, Cr0Pg = 1UL << 31, Cr4Pae = 1 << 5;
    private const ulong ResetPat = 0x0007040600070406;

    public static ulong GetRip(VirtualProcessor* vp) => StateOf(vp)->Save.RIP;
    public static ulong GetRflags(VirtualProcessor* vp) => StateOf(vp)->Save.RFLAGS;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetCr0(VirtualProcessor* vp) => StateOf(vp)->Save.CR0;
    public static ulong GetCr3(VirtualProcessor* vp) => StateOf(vp)->Save.CR3;
    public static ulong GetCr4(VirtualProcessor* vp) => StateOf(vp)->Save.CR4;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetEfer(VirtualProcessor* vp) => StateOf(vp)->Save.EFER & ~EferSvme;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte GetCpl(VirtualProcessor* vp) => StateOf(vp)->Save.CPL;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Is64Bit(VirtualProcessor* vp) => (StateOf(vp)->Save.EFER & EferLma) != 0 && (StateOf(vp)->Save.CS.Attrib.Value & 1 << 9) != 0;
    public static ulong GetRsp(VirtualProcessor* vp) => StateOf(vp)->Save.RSP;

    public static void GetFetchState(VirtualProcessor* vp, FetchState* state)
    {
        VmcbStateSaveArea* save = &StateOf(vp)->Save;
        state->Rip = save->RIP;
        state->CodeBase = save->CS.Base;
        state->Cr3 = save->CR3;
        state->Set(save->CR0, save->CR4, save->EFER, save->RFLAGS, save->CPL, (uint)save->CS.Attrib.Value >> 9);
    }

    /// <summary>State after RESET and INIT. SDM 3A, "Processor State After Reset".</summary>
    public static void ResetVp(VirtualProcessor* vp)
    {
        // What the processor holds would be written over the new state.
        BringHome(vp);
        VmcbStateSaveArea* save = &StateOf(vp)->Save;
        for (int i = 0; i < 16; i++) vp->Gpr[i] = 0;
        for (int i = 0; i < 4; i++) vp->DebugAddress[i] = 0;
        vp->Gpr[Gpr.Rdx] = 0x600;
        SetSegment(&save->CS, 0xF000, 0xFFFF0000, 0xFFFF, 0x9B);
        SetSegment(&save->DS, 0, 0, 0xFFFF, 0x93);
        SetSegment(&save->ES, 0, 0, 0xFFFF, 0x93);
        SetSegment(&save->FS, 0, 0, 0xFFFF, 0x93);
        SetSegment(&save->GS, 0, 0, 0xFFFF, 0x93);
        SetSegment(&save->SS, 0, 0, 0xFFFF, 0x93);
        SetSegment(&save->TR, 0, 0, 0xFFFF, 0x8B);
        SetSegment(&save->LDTR, 0, 0, 0xFFFF, 0x82);
        SetSegment(&save->GDTR, 0, 0, 0xFFFF, 0);
        SetSegment(&save->IDTR, 0, 0, 0xFFFF, 0);
        save->CPL = 0;
        save->EFER = EferSvme;
        save->CR0 = Cr0Et | Cr0Nw | Cr0Cd;
        save->CR2 = save->CR3 = save->CR4 = 0;
        save->DR6 = 0xFFFF0FF0;
        save->DR7 = 0x400;
        save->RFLAGS = 2;
        save->RIP = 0xFFF0;
        save->RSP = save->RAX = 0;
        save->G_PAT = ResetPat;
        vp->Pat = ResetPat;
        VmcbControlArea* control = &StateOf(vp)->Control;
        control->EVENTINJ = EventInjection.None;
        control->InterruptShadow = 0;
        control->V_INTR = new VirtualInterruptControl(0).WithV_INTR_MASKING(true);
        control->Intercept1 &= ~(VmcbIntercept1.VINTR | VmcbIntercept1.IRET);
        vp->OfferedVector = 0;
        vp->NmiPending = false;
        if (vp->Stepping != SteppingReason.None)
        {
            vp->Stepping = SteppingReason.None;
            UpdateExceptionIntercepts(vp);
        }
        SendBack(vp);
    }

    /// <summary>Real mode at page <paramref name="vector"/>.</summary>
    public static void SetStartup(VirtualProcessor* vp, byte vector)
    {
        VmcbStateSaveArea* save = &StateOf(vp)->Save;
        SetSegment(&save->CS, (ushort)(vector << 8), (ulong)vector << 12, 0xFFFF, 0x9B);
        save->RIP = 0;
    }

    private static void SetSegment(VmcbSegment* segment, ushort selector, ulong segmentBase, uint limit, ushort descriptorAttributes)
    {
        segment->Selector = selector;
        segment->Base = segmentBase;
        segment->Limit = limit;
        segment->Attrib = SegmentAttributes.FromDescriptor(descriptorAttributes);
    }

    private static VmcbSegment* SegmentOf(VmcbStateSaveArea* save, uint name) => name switch
    {
        HvX64RegisterEs => &save->ES,
        HvX64RegisterCs => &save->CS,
        HvX64RegisterSs => &save->SS,
        HvX64RegisterDs => &save->DS,
        HvX64RegisterFs => &save->FS,
        HvX64RegisterGs => &save->GS,
        HvX64RegisterLdtr => &save->LDTR,
        HvX64RegisterTr => &save->TR,
        HvX64RegisterGdtr => &save->GDTR,
        HvX64RegisterIdtr => &save->IDTR,
        _ => null,
    };

    /// <summary>Registers that VMLOAD and VMSAVE exchange are in the processor while the virtual processor was the last to run.</summary>
    private static void BringHome(VirtualProcessor* vp)
    {
        if (LogicalProcessor.Current->Loaded != vp)
            return;
        VmSave(vp->BackendStatePhysical);
        Leave(vp);
    }

    /// <summary>Whether the processor may hold the register instead of the control block. APM 2, "VMSAVE and VMLOAD Instructions".</summary>
    private static bool IsExchanged(uint name) => name is HvX64RegisterFs or HvX64RegisterGs or HvX64RegisterTr or HvX64RegisterLdtr
        or HvX64RegisterKernelGsBase or (>= HvX64RegisterDr0 and < HvX64RegisterDr0 + 4) or HvX64RegisterStar or HvX64RegisterLstar or HvX64RegisterCstar
        or HvX64RegisterSfmask or HvX64RegisterSysenterCs or HvX64RegisterSysenterEip or HvX64RegisterSysenterEsp or HvX64RegisterTscAux;

    private static void SendBack(VirtualProcessor* vp)
    {
        if (LogicalProcessor.Current->Loaded != vp)
            return;
        VmLoad(vp->BackendStatePhysical);
        Enter(vp);
    }

    private static ulong* PlainRegister(VirtualProcessor* vp, uint name)
    {
        VmcbStateSaveArea* save = &StateOf(vp)->Save;
        switch (name)
        {
            case HvX64RegisterRsp: return &save->RSP;
            case HvX64RegisterRip: return &save->RIP;
            case HvX64RegisterRflags: return &save->RFLAGS;
            case HvX64RegisterCr0: return &save->CR0;
            case HvX64RegisterCr2: return &save->CR2;
            case HvX64RegisterCr3: return &save->CR3;
            case HvX64RegisterCr4: return &save->CR4;
            case HvX64RegisterDr6: return &save->DR6;
            case HvX64RegisterDr7: return &save->DR7;
            case HvX64RegisterEfer: return &save->EFER;
            case HvX64RegisterPat: return &save->G_PAT;
            case HvX64RegisterStar: return &save->STAR;
            case HvX64RegisterLstar: return &save->LSTAR;
            case HvX64RegisterCstar: return &save->CSTAR;
            case HvX64RegisterSfmask: return &save->SFMASK;
            case HvX64RegisterKernelGsBase: return &save->KernelGsBase;
            case HvX64RegisterSysenterCs: return &save->SYSENTER_CS;
            case HvX64RegisterSysenterEsp: return &save->SYSENTER_ESP;
            case HvX64RegisterSysenterEip: return &save->SYSENTER_EIP;
            case HvX64RegisterTscAux: return &vp->TscAux;
            case HvX64RegisterXfem: return &vp->Xcr0;
        }
        // TLFS orders the general registers as instructions encode them.
        uint index = name - HvX64RegisterRax;
        return index < 16 ? &vp->Gpr[index] : null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void GetCodeSegment(VirtualProcessor* vp, HvX64SegmentRegister* value)
    {
        VmcbSegment* segment = &StateOf(vp)->Save.CS;
        value->Base = segment->Base;
        value->Limit = segment->Limit;
        *(uint*)&value->Selector = SegmentAttributes.ToWire(*(uint*)&segment->Selector);
    }

    public static HvStatus GetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        if (IsExchanged(name))
            BringHome(vp);
        VmcbSegment* segment = SegmentOf(&StateOf(vp)->Save, name);
        value->Reg64 = 0;
        value->High64 = 0;
        if (segment != null && name is HvX64RegisterGdtr or HvX64RegisterIdtr)
        {
            value->Table.Limit = (ushort)segment->Limit;
            value->Table.Base = segment->Base;
        }
        else if (segment != null)
        {
            value->Segment.Base = segment->Base;
            value->Segment.Limit = segment->Limit;
            value->Segment.Selector = segment->Selector;
            value->Segment.Attributes = segment->Attrib.ToWire();
        }
        else if (name == HvX64RegisterCr8)
            value->Reg64 = (ulong)GetTaskPriority(vp) >> 4;
        else if (name is >= HvX64RegisterDr0 and < HvX64RegisterDr0 + 4)
            value->Reg64 = vp->DebugAddress[name - HvX64RegisterDr0];
        else if (name == HvRegisterInterruptState)
            value->Reg64 = new HvX64InterruptStateRegister(0)
                .WithInterruptShadow((StateOf(vp)->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW) != 0)
                .WithNmiMasked((StateOf(vp)->Control.Intercept1 & VmcbIntercept1.IRET) != 0).Value;
        else if (name == HvRegisterPendingInterruption)
            value->Reg64 = PendingInterruption(StateOf(vp)->Control.EVENTINJ);
        else
        {
            ulong* register = PlainRegister(vp, name);
            if (register == null)
                return HvStatus.HV_STATUS_INVALID_PARAMETER;
            value->Reg64 = name == HvX64RegisterEfer ? *register & ~EferSvme : *register;
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static ulong PendingInterruption(EventInjection pending) => !pending.Valid ? 0 : new HvX64PendingInterruptionRegister(0)
        .WithInterruptionPending(true).WithInterruptionType(pending.TYPE).WithDeliverErrorCode(pending.ErrorValid)
        .WithInterruptionVector(pending.VECTOR).WithErrorCode(pending.ERRORCODE).Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ContinueAt(VirtualProcessor* vp, ulong rip)
    {
        Vmcb* vmcb = StateOf(vp);
        vmcb->Save.RIP = rip;
        if ((vmcb->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW) != 0)
            EndInterruptShadow(vp);
    }

    public static HvStatus SetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        if (!IsExchanged(name))
            return SetAtHome(vp, name, value);
        BringHome(vp);
        HvStatus status = SetAtHome(vp, name, value);
        SendBack(vp);
        return status;
    }

    private static HvStatus SetAtHome(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        ulong number = value->Reg64;
        VmcbSegment* segment = SegmentOf(&StateOf(vp)->Save, name);
        if (segment != null)
        {
            if (name is HvX64RegisterGdtr or HvX64RegisterIdtr)
            {
                segment->Limit = value->Table.Limit;
                segment->Base = value->Table.Base;
            }
            else
            {
                segment->Base = value->Segment.Base;
                segment->Limit = value->Segment.Limit;
                segment->Selector = value->Segment.Selector;
                segment->Attrib = SegmentAttributes.FromWire(value->Segment.Attributes);
                // The processor takes CPL from its own field, not from SS or CS.
                if (name == HvX64RegisterSs)
                    StateOf(vp)->Save.CPL = segment->Attrib.Dpl;
            }
            return HvStatus.HV_STATUS_SUCCESS;
        }
        switch (name)
        {
            case HvX64RegisterRip:
                ContinueAt(vp, number);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr8:
                SetTaskPriority(vp, (byte)(number << 4));
                return HvStatus.HV_STATUS_SUCCESS;
            case >= HvX64RegisterDr0 and < HvX64RegisterDr0 + 4:
                UseDebugAddresses(vp);
                vp->DebugAddress[name - HvX64RegisterDr0] = number;
                return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterInterruptState:
                StateOf(vp)->Control.InterruptShadow = new HvX64InterruptStateRegister(number).InterruptShadow ? InterruptState.INTERRUPT_SHADOW : 0;
                return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterPendingInterruption:
                return SetPendingInterruption(vp, new HvX64PendingInterruptionRegister(number));
        }
        ulong* register = PlainRegister(vp, name);
        if (register == null || !IsEnterable(vp, name, number))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        *register = name switch
        {
            HvX64RegisterEfer => number | EferSvme,
            HvX64RegisterRflags => number & 0x3F7FD7 | 2,
            HvX64RegisterCr0 => number | Cr0Et,
            _ => number,
        };
        if (name == HvX64RegisterPat)
            vp->Pat = number;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static HvStatus SetPendingInterruption(VirtualProcessor* vp, HvX64PendingInterruptionRegister pending)
    {
        byte type = pending.InterruptionType;
        if (pending.InterruptionPending && (type == 1 || type > EventInjection.SoftwareInterrupt
            || type == EventInjection.Exception && (pending.InterruptionVector > 31 || pending.InterruptionVector == 2)))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        StateOf(vp)->Control.EVENTINJ = !pending.InterruptionPending ? EventInjection.None
            : new EventInjection(pending.InterruptionVector & 0xFFu | (ulong)type << 8 | (pending.DeliverErrorCode ? 1UL << 11 : 0) | 1UL << 31 | (ulong)pending.ErrorCode << 32);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>The single-register part of VMRUN's consistency checks.</summary>
    private static bool IsEnterable(VirtualProcessor* vp, uint name, ulong value) => name switch
    {
        HvX64RegisterCr0 => value >> 32 == 0 && ((value & Cr0Nw) == 0 || (value & Cr0Cd) != 0) && ((value & Cr0Pg) == 0 || (value & Cr0Pe) != 0),
        HvX64RegisterCr4 => (value & ~CpuidPolicy.GuestCr4Mask) == 0,
        HvX64RegisterEfer => (value & ~EferValid) == 0,
        // WRMSR of the last would raise #GP in the core.
        HvX64RegisterDr6 or HvX64RegisterDr7 or HvX64RegisterTscAux => value >> 32 == 0,
        HvX64RegisterPat => MsrPolicy.IsValidPat(value),
        HvX64RegisterXfem => CpuidPolicy.IsValidXcr0(value),
        _ => true,
    };
}
