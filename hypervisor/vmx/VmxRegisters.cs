// Guest registers in the VMCS, by their TLFS names. Single values that an entry would refuse are refused here. SDM 3C, "Checks on the Guest State Area".
using System.Numerics;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64;
using static Lamina.Abi.HvRegisterName;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    private const ulong ResetPat = 0x0007040600070406, ResetDr6 = 0xFFFF0FF0, ResetDr7 = 0x400;
    private const ulong EferValid = EferSce | EferLme | EferLma | EferNxe;

    public static ulong GetRip(VirtualProcessor* vp) => Read(vp, CachedField.Rip);
    public static ulong GetRflags(VirtualProcessor* vp) => Read(vp, CachedField.Rflags);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte GetCpl(VirtualProcessor* vp) => new SegmentAccessRights((uint)Read(vp, CachedField.SsAccessRights)).Dpl;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Is64Bit(VirtualProcessor* vp) =>
        (Read(vp, CachedField.Efer) & EferLma) != 0 && new SegmentAccessRights((uint)Read(vp, CachedField.CsAccessRights)).Long;
    public static ulong GetRsp(VirtualProcessor* vp) => Read(vp, CachedField.Rsp);

    public static void GetFetchState(VirtualProcessor* vp, FetchState* state)
    {
        const int codeBase = CachedField.Base + SegmentIndex.Cs;
        const ulong needed = CachedField.OfInstruction | CachedField.OfMode | CachedField.Persistent | 1UL << CachedField.Cr3 | 1UL << CachedField.Cr4 | 1UL << codeBase;
        VmxState* from = StateOf(vp);
        // Which of them have been read depends on the exit: all of the others here, not one by one.
        ulong missing = needed & ~from->Valid;
        if ((missing & CachedField.OfMode) == CachedField.OfMode)
        {
            MakeCurrent(vp);
            ReadMode(from);
            from->Valid |= CachedField.OfMode;
            missing &= ~CachedField.OfMode;
        }
        for (; missing != 0; missing &= missing - 1)
            ReadMissing(vp, BitOperations.TrailingZeroCount(missing));
        state->Rip = from->Fields[CachedField.Rip];
        state->CodeBase = from->Fields[codeBase];
        state->Cr3 = from->Fields[CachedField.Cr3];
        state->Set(GuestCr0(from), GuestCr4(from), from->Fields[CachedField.Efer], from->Fields[CachedField.Rflags],
            new SegmentAccessRights((uint)from->Fields[CachedField.SsAccessRights]).Dpl, (uint)from->Fields[CachedField.CsAccessRights] >> 13);
    }

    /// <summary>State after RESET and INIT. SDM 3A, "Processor State After Reset".</summary>
    public static void ResetVp(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        for (int i = 0; i < 16; i++) vp->Gpr[i] = 0;
        vp->Gpr[Gpr.Rdx] = 0x600;
        for (int i = SegmentIndex.Es; i <= SegmentIndex.Gs; i++)
            SetSegment(vp, i, 0, 0, 0xFFFF, 0x93);
        SetSegment(vp, SegmentIndex.Cs, 0xF000, 0xFFFF0000, 0xFFFF, 0x9B);
        SetSegment(vp, SegmentIndex.Tr, 0, 0, 0xFFFF, 0x8B);
        SetSegment(vp, SegmentIndex.Ldtr, 0, 0, 0xFFFF, 0x82);
        Write(vp, CachedField.GdtrBase, 0);
        Write(vp, CachedField.GdtrLimit, 0xFFFF);
        Write(vp, CachedField.IdtrBase, 0);
        Write(vp, CachedField.IdtrLimit, 0xFFFF);
        SetCr0(vp, Cr0Et | Cr0Nw | Cr0Cd);
        SetCr4(vp, 0);
        SetEfer(vp, 0);
        Write(vp, CachedField.Cr3, 0);
        Write(vp, CachedField.Dr7, ResetDr7);
        Write(vp, CachedField.Rflags, 2);
        Write(vp, CachedField.Rip, 0xFFF0);
        Write(vp, CachedField.Rsp, 0);
        Write(vp, CachedField.Pat, ResetPat);
        Write(vp, CachedField.SysenterCs, 0);
        Write(vp, CachedField.SysenterEsp, 0);
        Write(vp, CachedField.SysenterEip, 0);
        Write(vp, CachedField.Interruptibility, 0);
        Write(vp, CachedField.PendingDebugExceptions, 0);
        SetExchanged(vp, HvX64RegisterCr2, 0);
        for (uint i = 0; i < 4; i++)
            SetExchanged(vp, HvX64RegisterDr0 + i, 0);
        SetDr6(vp, ResetDr6);
        vp->Pat = ResetPat;
        state->PendingEvent = 0;
        state->IsOffer = false;
        state->NmiWaitsForInterruptWindow = false;
        SetPrimaryControl(vp, PrimaryControls.InterruptWindowExiting | PrimaryControls.NmiWindowExiting, false);
        SetTprThreshold(vp, 0);
        vp->OfferedVector = 0;
        vp->NmiPending = false;
    }

    /// <summary>Real mode at page <paramref name="vector"/>.</summary>
    public static void SetStartup(VirtualProcessor* vp, byte vector)
    {
        SetSegment(vp, SegmentIndex.Cs, (ushort)(vector << 8), (ulong)vector << 12, 0xFFFF, 0x9B);
        Write(vp, CachedField.Rip, 0);
    }

    private static void SetSegment(VirtualProcessor* vp, int segment, ushort selector, ulong segmentBase, uint limit, uint accessRights)
    {
        Write(vp, CachedField.Selector + segment, selector);
        Write(vp, CachedField.Base + segment, segmentBase);
        Write(vp, CachedField.Limit + segment, limit);
        Write(vp, CachedField.AccessRightsOf(segment), accessRights);
    }

    /// <summary>Registers that stay in the processor when a virtual processor is left, and so are its own while it was the last to run.</summary>
    private static ulong* HomeOfExchanged(VirtualProcessor* vp, uint name)
    {
        VmxState* state = StateOf(vp);
        return name switch
        {
            HvX64RegisterStar => &state->Star,
            HvX64RegisterLstar => &state->Lstar,
            HvX64RegisterCstar => &state->Cstar,
            HvX64RegisterSfmask => &state->Sfmask,
            HvX64RegisterKernelGsBase => &state->KernelGsBase,
            HvX64RegisterCr2 => &state->Cr2,
            HvX64RegisterDr6 => &state->Dr6,
            HvX64RegisterTscAux => &vp->TscAux,
            >= HvX64RegisterDr0 and < HvX64RegisterDr0 + 4 => &vp->DebugAddress[name - HvX64RegisterDr0],
            _ => null,
        };
    }

    private static void SetExchanged(VirtualProcessor* vp, uint name, ulong value)
    {
        bool isLoaded = LogicalProcessor.Current->Loaded == vp;
        if (isLoaded)
            Leave(vp);
        if (name is >= HvX64RegisterDr0 and < HvX64RegisterDr0 + 4 && value != 0)
            UseDebugAddresses(vp);
        *HomeOfExchanged(vp, name) = value;
        if (isLoaded)
            Enter(vp);
    }

    private static ulong GetDr6(VirtualProcessor* vp) => LogicalProcessor.Current->Loaded == vp ? Instructions.ReadDr6() : StateOf(vp)->Dr6;

    private static void SetDr6(VirtualProcessor* vp, ulong value)
    {
        if (LogicalProcessor.Current->Loaded == vp)
            Instructions.WriteDr6(value);
        else
            StateOf(vp)->Dr6 = value;
    }

    /// <summary>The copy that holds a plain register; -1 for what is none.</summary>
    private static int PlainField(uint name) => name switch
    {
        HvX64RegisterRsp => CachedField.Rsp,
        HvX64RegisterRip => CachedField.Rip,
        HvX64RegisterRflags => CachedField.Rflags,
        HvX64RegisterCr3 => CachedField.Cr3,
        HvX64RegisterDr7 => CachedField.Dr7,
        HvX64RegisterPat => CachedField.Pat,
        HvX64RegisterSysenterCs => CachedField.SysenterCs,
        HvX64RegisterSysenterEsp => CachedField.SysenterEsp,
        HvX64RegisterSysenterEip => CachedField.SysenterEip,
        _ => -1,
    };

    private static bool IsSegment(uint name) => name is >= HvX64RegisterEs and <= HvX64RegisterTr;

    public static void GetCodeSegment(VirtualProcessor* vp, HvX64SegmentRegister* value)
    {
        value->Base = Read(vp, CachedField.Base + SegmentIndex.Cs);
        value->Limit = (uint)Read(vp, CachedField.Limit + SegmentIndex.Cs);
        value->Selector = (ushort)Read(vp, CachedField.Selector + SegmentIndex.Cs);
        value->Attributes = new SegmentAccessRights((uint)Read(vp, CachedField.CsAccessRights)).ToWire();
    }

    public static HvStatus GetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        value->Reg64 = 0;
        value->High64 = 0;
        if (IsSegment(name))
        {
            int segment = (int)(name - HvX64RegisterEs);
            value->Segment.Base = Read(vp, CachedField.Base + segment);
            value->Segment.Limit = (uint)Read(vp, CachedField.Limit + segment);
            value->Segment.Selector = (ushort)Read(vp, CachedField.Selector + segment);
            value->Segment.Attributes = new SegmentAccessRights((uint)Read(vp, CachedField.AccessRightsOf(segment))).ToWire();
            return HvStatus.HV_STATUS_SUCCESS;
        }
        switch (name)
        {
            case HvX64RegisterGdtr:
            case HvX64RegisterIdtr:
                int table = name == HvX64RegisterGdtr ? CachedField.GdtrBase : CachedField.IdtrBase;
                value->Table.Base = Read(vp, table);
                value->Table.Limit = (ushort)Read(vp, table + 1);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr0: value->Reg64 = GetCr0(vp); return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr4: value->Reg64 = GetCr4(vp); return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr8: value->Reg64 = (ulong)GetTaskPriority(vp) >> 4; return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterEfer: value->Reg64 = GetEfer(vp); return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterXfem: value->Reg64 = vp->Xcr0; return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterInterruptState:
                if (VmxFeatures.LeaksNmiBlocking)
                    DropForeignNmiBlocking(vp, StateOf(vp));
                ulong interruptibility = Read(vp, CachedField.Interruptibility);
                value->Reg64 = new HvX64InterruptStateRegister(0).WithInterruptShadow((interruptibility & InterruptibilityState.Shadow) != 0)
                    .WithNmiMasked((interruptibility & InterruptibilityState.BlockingByNmi) != 0).Value;
                return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterPendingInterruption:
                value->Reg64 = PendingInterruption(StateOf(vp));
                return HvStatus.HV_STATUS_SUCCESS;
        }
        return GetPlain(vp, name, value);
    }

    private static HvStatus GetPlain(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        int field = PlainField(name);
        ulong* home = HomeOfExchanged(vp, name);
        // TLFS orders the general registers as instructions encode them.
        uint general = name - HvX64RegisterRax;
        if (field >= 0)
            value->Reg64 = Read(vp, field);
        else if (home != null)
        {
            if (LogicalProcessor.Current->Loaded == vp)
                Leave(vp);
            value->Reg64 = *home;
        }
        else if (general < 16)
            value->Reg64 = vp->Gpr[general];
        else
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static ulong PendingInterruption(VmxState* state)
    {
        InterruptionInformation pending = new(state->PendingEvent);
        return !pending.Valid || state->IsOffer ? 0 : new HvX64PendingInterruptionRegister(0).WithInterruptionPending(true).WithInterruptionType(pending.Type)
            .WithDeliverErrorCode(pending.DeliverErrorCode).WithInstructionLength(pending.IsOfInstruction ? (byte)state->PendingLength : (byte)0)
            .WithInterruptionVector(pending.Vector).WithErrorCode(pending.ErrorCode).Value;
    }

    public static HvStatus SetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        ulong number = value->Reg64;
        if (IsSegment(name))
            return SetSegment(vp, (int)(name - HvX64RegisterEs), value->Segment.Selector, value->Segment.Base, value->Segment.Limit, value->Segment.Attributes);
        if (!IsEnterable(name, number))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        switch (name)
        {
            case HvX64RegisterGdtr:
            case HvX64RegisterIdtr:
                if (!Canonical.Is(value->Table.Base))
                    return HvStatus.HV_STATUS_INVALID_PARAMETER;
                int table = name == HvX64RegisterGdtr ? CachedField.GdtrBase : CachedField.IdtrBase;
                Write(vp, table, value->Table.Base);
                Write(vp, table + 1, value->Table.Limit);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr0: SetCr0(vp, number); return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr4: SetCr4(vp, number); return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr8: SetTaskPriority(vp, (byte)(number << 4)); return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterEfer: SetEfer(vp, number); return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterXfem: vp->Xcr0 = number; return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterRflags:
                Write(vp, CachedField.Rflags, number & 0x3F7FD7 | 2);
                SetInterruptibility(vp, Read(vp, CachedField.Interruptibility));
                return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterInterruptState:
                HvX64InterruptStateRegister interruptState = new(number);
                StateOf(vp)->MayBlockNmis = interruptState.NmiMasked;
                SetInterruptibility(vp, (interruptState.InterruptShadow ? InterruptibilityState.BlockingBySti : 0)
                    | (interruptState.NmiMasked ? InterruptibilityState.BlockingByNmi : 0));
                return HvStatus.HV_STATUS_SUCCESS;
            case HvRegisterPendingInterruption:
                return SetPendingInterruption(vp, new HvX64PendingInterruptionRegister(number));
            case HvX64RegisterRip:
                ContinueAt(vp, number);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvX64RegisterCr3:
                StateOf(vp)->PdptesStale = true;
                break;
            case HvX64RegisterPat:
                vp->Pat = number;
                break;
        }
        return SetPlain(vp, name, number);
    }

    private static void SetInterruptibility(VirtualProcessor* vp, ulong state)
    {
        state = InterruptibilityState.ForFlags(state, (Read(vp, CachedField.Rflags) & RflagsIf) != 0);
        if (state != Read(vp, CachedField.Interruptibility))
            Write(vp, CachedField.Interruptibility, state);
    }

    private static HvStatus SetPlain(VirtualProcessor* vp, uint name, ulong number)
    {
        int field = PlainField(name);
        uint general = name - HvX64RegisterRax;
        if (field >= 0)
            Write(vp, field, number);
        else if (HomeOfExchanged(vp, name) != null)
            SetExchanged(vp, name, number);
        else if (general < 16)
            vp->Gpr[general] = number;
        else
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static HvStatus SetSegment(VirtualProcessor* vp, int segment, ushort selector, ulong segmentBase, uint limit, HvX64SegmentAttributes attributes)
    {
        if (!SegmentRules.TryMakeEnterable(segment, segmentBase, limit, SegmentAccessRights.FromWire(attributes), out SegmentAccessRights accessRights))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        SetSegment(vp, segment, selector, segmentBase, limit, accessRights.Value);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static HvStatus SetPendingInterruption(VirtualProcessor* vp, HvX64PendingInterruptionRegister pending)
    {
        VmxState* state = StateOf(vp);
        byte type = pending.InterruptionType;
        InterruptionInformation information = new(pending.InterruptionVector & 0xFFu | (uint)type << 8 | (pending.DeliverErrorCode ? 1u << 11 : 0) | 1u << 31, pending.ErrorCode);
        if (pending.InterruptionPending && !information.IsInjectable)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        // An instruction that raised it is at least a byte long, and at most 15.
        if (pending.InterruptionPending && information.IsOfInstruction && pending.InstructionLength is 0 or > 15)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        state->IsOffer = false;
        state->PendingEvent = pending.InterruptionPending ? information.Value : 0;
        state->PendingLength = pending.InstructionLength;
        state->MayBlockNmis |= pending.InterruptionPending && information.Type == InterruptionInformation.Nmi;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>What can be said of one register alone; and what the WRMSRs of <see cref="Enter"/> would raise #GP for, inside the core.</summary>
    private static bool IsEnterable(uint name, ulong value) => name switch
    {
        HvX64RegisterCr0 => value >> 32 == 0 && ((value & Cr0Nw) == 0 || (value & Cr0Cd) != 0) && ((value & Cr0Pg) == 0 || (value & Cr0Pe) != 0)
            && (value & ~0xE005003FUL) == 0,
        HvX64RegisterCr3 => value >> GuestTableLimits.AddressBits == 0,
        HvX64RegisterCr4 => (value & (Cr4Hidden | ~Instructions.RdMsr(Msr.IA32_VMX_CR4_FIXED1))) == 0,
        HvX64RegisterEfer => (value & ~EferValid) == 0,
        HvX64RegisterDr6 or HvX64RegisterDr7 or HvX64RegisterSfmask or HvX64RegisterTscAux or HvX64RegisterSysenterCs => value >> 32 == 0,
        HvX64RegisterLstar or HvX64RegisterCstar or HvX64RegisterKernelGsBase or HvX64RegisterSysenterEsp or HvX64RegisterSysenterEip => Canonical.Is(value),
        HvX64RegisterPat => MsrPolicy.IsValidPat(value),
        HvX64RegisterXfem => CpuidPolicy.IsValidXcr0(value),
        _ => true,
    };
}
