// The way of a hypercall: who may call at all, where its parameters are, which handler it has, how its result gets back. TLFS, "Hypercall Interface".
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Hypervisor.Hypercalls;

public static unsafe class HypercallDispatch<TBackend> where TBackend : struct, IBackend
{
    private const byte InvalidOpcode = 6;
    private const ulong Cr0Pe = 1;
    private const ulong FastBit = 1 << 16;

    /// <summary>Reps done at one go. Then the call is left to be continued, so that interrupts and other guests are not kept waiting.</summary>
    private const uint RepsPerEntry = 64;

    /// <summary>Whether an input value asks for a code beyond all that the table has.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsBeyondAll(ulong control) => (ushort)control > HypercallTable.HighestCode;

    /// <summary>
    /// A call that <see cref="IsBeyondAll"/>, on the short way (<see cref="ShortExits{TBackend}"/>): HV_STATUS_INVALID_HYPERCALL_CODE, and nothing else is looked
    /// at. False: nothing was done, <see cref="Handle"/> carries it out.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRefuse(VirtualProcessor* vp)
    {
        if (!MayCall(vp))
            return false;
        bool is64Bit = TBackend.Is64Bit(vp);
        if (!IsBeyondAll(is64Bit ? vp->Gpr[Gpr.Rcx] : vp->Gpr[Gpr.Rax]))
            return false;
        vp->Count(HvStatsVpCounters.VpHypercallsCount);
        vp->Gpr[Gpr.Rax] = HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE.Value;
        if (!is64Bit)
            vp->Gpr[Gpr.Rdx] = 0;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool MayCall(VirtualProcessor* vp) =>
        TBackend.GetCpl(vp) == 0 && (TBackend.GetCr0(vp) & Cr0Pe) != 0 && new HypercallMsr(vp->Partition->HypercallMsr).Enable;

    /// <summary>A VMCALL or VMMCALL.</summary>
    // Each way is jumped to, and has a frame of its own: this one has none.
    public static void Handle(VirtualProcessor* vp)
    {
        vp->Count(HvStatsVpCounters.VpHypercallsCount);
        if (!MayCall(vp))
        {
            TBackend.InjectException(vp, InvalidOpcode, false, 0);
            return;
        }
        if (!TBackend.Is64Bit(vp))
        {
            Handle32(vp);
            return;
        }
        ulong control = vp->Gpr[Gpr.Rcx];
        if (control == (HvCallSignalEvent | FastBit) && vp->Partition->Privileges.Includes(PartitionPrivileges.SignalEvents))
            HandleSignalEvent(vp);
        // Not fast, no variable header, from the first rep on.
        else if ((uint)control == HvCallSetVpRegisters)
            RegisterCalls<TBackend>.SetOfChild(vp, control);
        else
            HandleAny(vp, control);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void HandleSignalEvent(VirtualProcessor* vp)
    {
        vp->Gpr[Gpr.Rax] = MessageCalls<TBackend>.SignalEvent(vp, vp->Gpr[Gpr.Rdx]).Value;
        TBackend.CompleteInstruction(vp);
    }

    /// <summary>Any call from 64-bit code.</summary>
    [MethodImpl(MethodImplOptions.NoInlining), SkipLocalsInit]
    internal static void HandleAny(VirtualProcessor* vp, ulong control)
    {
        if (!Execute(vp, ref control, vp->Gpr[Gpr.Rdx], vp->Gpr[Gpr.R8], out ulong result))
        {
            // RIP stays on the call, which will be found to start further on.
            vp->Gpr[Gpr.Rcx] = control;
            return;
        }
        vp->Gpr[Gpr.Rax] = result;
        TBackend.CompleteInstruction(vp);
    }

    // EDX:EAX control, EBX:ECX input, EDI:ESI output, EDX:EAX result. TLFS, "Hypercall Inputs".
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Handle32(VirtualProcessor* vp)
    {
        ulong control = Join(vp->Gpr[Gpr.Rdx], vp->Gpr[Gpr.Rax]);
        bool done = Execute(vp, ref control, Join(vp->Gpr[Gpr.Rbx], vp->Gpr[Gpr.Rcx]), Join(vp->Gpr[Gpr.Rdi], vp->Gpr[Gpr.Rsi]), out ulong result);
        ulong value = done ? result : control;
        vp->Gpr[Gpr.Rdx] = value >> 32;
        vp->Gpr[Gpr.Rax] = (uint)value;
        if (done)
            TBackend.CompleteInstruction(vp);
    }

    private static ulong Join(ulong high, ulong low) => high << 32 | (uint)low;

    /// <summary>Carries a call out. False: not to its end; <paramref name="control"/> says where it goes on.</summary>
    [SkipLocalsInit]
    private static bool Execute(VirtualProcessor* vp, ref ulong control, ulong first, ulong second, out ulong result)
    {
        HypercallInput input = new(control);
        if (!HypercallTable.TryGet(input.CallCode, out HypercallDescriptor descriptor))
        {
            result = HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE.Value;
            return true;
        }
        if (!vp->Partition->Privileges.Includes(descriptor.Privilege))
        {
            result = HvStatus.HV_STATUS_ACCESS_DENIED.Value;
            return true;
        }
        HvStatus status = HypercallRules.Check(input, descriptor, first, second, out HypercallShape shape);
        if (!status.IsSuccess)
        {
            result = new HypercallResult(status, input.RepStartIndex).Value;
            return true;
        }
        HypercallCall call;
        call.Caller = vp;
        call.Rep = input.RepStartIndex;
        call.RepCount = input.RepCount;
        call.RepLimit = System.Math.Min(input.RepCount, input.RepStartIndex + RepsPerEntry);
        call.VariableCount = input.VariableHeaderSize;
        status = Perform(&call, input, descriptor, shape, first, second);
        if (status.IsSuccess && call.Rep < call.RepCount)
        {
            control = input.WithRepStartIndex(call.Rep).Value;
            result = 0;
            return false;
        }
        result = new HypercallResult(status, call.Rep).Value;
        return true;
    }

    /// <summary>Brings the parameters in and calls the handler.</summary>
    [SkipLocalsInit]
    private static HvStatus Perform(HypercallCall* call, HypercallInput input, in HypercallDescriptor descriptor, in HypercallShape shape, ulong first, ulong second)
    {
        byte* header = stackalloc byte[(int)HypercallRules.MaximumHeaderBytes];
        call->Header = header;
        call->Variable = (ulong*)(header + descriptor.Input);
        call->Elements = header + shape.HeaderBytes;
        call->Output = null;
        if (input.IsFast)
        {
            ((ulong*)header)[0] = first;
            ((ulong*)header)[1] = second;
        }
        else
        {
            Partition* partition = call->Partition;
            if (shape.InputBytes != 0)
            {
                byte* page = FindParameters(call->Caller, first);
                if (page == null)
                    return HvStatus.HV_STATUS_INVALID_ALIGNMENT;
                byte* block = page + (first & 0xFFF);
                // SAFETY: one aligned block inside one page of the caller's; only the copy is looked at.
                GuestBytes.Copy(header, block, shape.HeaderBytes);
                call->Elements = block + shape.HeaderBytes;
            }
            if (shape.OutputBytes != 0)
            {
                if (!GuestPages<TBackend>.TryGetPointer(partition, second, true, out byte* page))
                    return HvStatus.HV_STATUS_INVALID_ALIGNMENT;
                call->Output = page + (second & 0xFFF);
            }
        }
        return Invoke(call, input.CallCode);
    }

    /// <summary>The page with the input at <paramref name="gpa"/>, or null. What was found before is as good while nothing present has left the partition's map.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte* FindParameters(VirtualProcessor* vp, ulong gpa) =>
        vp->ParameterEnd == (gpa | 0xFFF) && vp->ParameterGeneration == vp->Partition->SecondStageGeneration
            ? vp->ParameterPage : TranslateParameters(vp, gpa);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static byte* TranslateParameters(VirtualProcessor* vp, ulong gpa)
    {
        // As of before: what leaves the map meanwhile makes the finding void.
        uint generation = System.Threading.Volatile.Read(ref vp->Partition->SecondStageGeneration);
        if (!GuestPages<TBackend>.TryGetPointer(vp->Partition, gpa & ~0xFFFUL, false, out byte* page))
            return null;
        vp->ParameterEnd = gpa | 0xFFF;
        vp->ParameterPage = page;
        vp->ParameterGeneration = generation;
        return page;
    }

    private static HvStatus Invoke(HypercallCall* call, ushort code)
    {
        switch (code)
        {
            case HvCallFlushVirtualAddressSpace: return FlushCalls<TBackend>.FlushVirtualAddressSpace(call);
            case HvCallFlushVirtualAddressList: return FlushCalls<TBackend>.FlushVirtualAddressList(call);
            case HvCallFlushVirtualAddressSpaceEx: return FlushCalls<TBackend>.FlushVirtualAddressSpaceEx(call);
            case HvCallFlushVirtualAddressListEx: return FlushCalls<TBackend>.FlushVirtualAddressListEx(call);
            case HvCallNotifyLongSpinWait: return ProcessorCalls<TBackend>.NotifyLongSpinWait(call);
            case HvCallSendSyntheticClusterIpi: return FlushCalls<TBackend>.SendSyntheticClusterIpi(call);
            case HvCallSendSyntheticClusterIpiEx: return FlushCalls<TBackend>.SendSyntheticClusterIpiEx(call);
            case HvCallCreatePartition: return PartitionCalls<TBackend>.CreatePartition(call);
            case HvCallInitializePartition: return PartitionCalls<TBackend>.InitializePartition(call);
            case HvCallFinalizePartition: return PartitionCalls<TBackend>.FinalizePartition(call);
            case HvCallDeletePartition: return PartitionCalls<TBackend>.DeletePartition(call);
            case HvCallGetPartitionProperty: return PropertyCalls<TBackend>.GetPartitionProperty(call);
            case HvCallSetPartitionProperty: return PropertyCalls<TBackend>.SetPartitionProperty(call);
            case HvCallGetPartitionId: return PartitionCalls<TBackend>.GetPartitionId(call);
            case HvCallGetNextChildPartition: return PartitionCalls<TBackend>.GetNextChildPartition(call);
            case HvCallDepositMemory: return MemoryCalls<TBackend>.DepositMemory(call);
            case HvCallWithdrawMemory: return MemoryCalls<TBackend>.WithdrawMemory(call);
            case HvCallGetMemoryBalance: return MemoryCalls<TBackend>.GetMemoryBalance(call);
            case HvCallMapGpaPages: return MappingCalls<TBackend>.MapGpaPages(call);
            case HvCallUnmapGpaPages: return MappingCalls<TBackend>.UnmapGpaPages(call);
            case HvCallTranslateVirtualAddress: return TranslationCalls<TBackend>.TranslateVirtualAddress(call);
            case HvCallInstallIntercept: return InterceptCalls<TBackend>.InstallIntercept(call);
            case HvCallCreateVp: return ProcessorCalls<TBackend>.CreateVp(call);
            case HvCallDeleteVp: return ProcessorCalls<TBackend>.DeleteVp(call);
            case HvCallGetVpRegisters: return RegisterCalls<TBackend>.GetVpRegisters(call);
            case HvCallSetVpRegisters: return RegisterCalls<TBackend>.SetVpRegisters(call);
            case HvCallGetVpIndexFromApicId: return ProcessorCalls<TBackend>.GetVpIndexFromApicId(call);
            case HvCallAssertVirtualInterrupt: return InterruptCalls<TBackend>.AssertVirtualInterrupt(call);
            case HvCallClearVirtualInterrupt: return InterruptCalls<TBackend>.ClearVirtualInterrupt(call);
            case HvCallMapDeviceInterrupt: return DeviceCalls.MapDeviceInterrupt(call);
            case HvCallUnmapDeviceInterrupt: return DeviceCalls.UnmapDeviceInterrupt(call);
            case HvCallRetargetDeviceInterrupt: return DeviceCalls.RetargetDeviceInterrupt(call);
            case HvCallCreatePort: return PortCalls.CreatePort(call);
            case HvCallDeletePort: return PortCalls.DeletePort(call);
            case HvCallConnectPort: return PortCalls.ConnectPort(call);
            case HvCallDisconnectPort: return PortCalls.DisconnectPort(call);
            case HvCallPostMessage: return MessageCalls<TBackend>.PostMessage(call);
            case HvCallSignalEvent: return MessageCalls<TBackend>.SignalEvent(call->Caller, *(ulong*)call->Header);
            case HvCallPostMessageDirect: return MessageCalls<TBackend>.PostMessageDirect(call);
            case HvCallSignalEventDirect: return MessageCalls<TBackend>.SignalEventDirect(call);
            case HvCallMapStatsPage: return StatsCalls<TBackend>.MapStatsPage(call);
            case HvCallUnmapStatsPage: return StatsCalls<TBackend>.UnmapStatsPage(call);
            case HvCallGetSystemProperty: return PropertyCalls<TBackend>.GetSystemProperty(call);
            default: return HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE;
        }
    }
}
