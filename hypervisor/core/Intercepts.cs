// What a child does that its parent must answer: a message to the parent's SINT 0, and the virtual processor waits. TLFS, "Intercepts".
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Hypervisor.Synic;
using Lamina.Text;

namespace Lamina.Hypervisor.Core;

public static unsafe class Intercepts<TBackend> where TBackend : struct, IBackend
{
    private const uint Sint = SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX;
    private const ulong Cr0Pe = 1, Cr0Am = 1 << 18, EferLma = 1 << 10;

    /// <summary>The parent's virtual processor that intercept messages go to.</summary>
    private static VirtualProcessor* Parent => Partitions.Root->GetVp(0);

    /// <summary>
    /// Starts a message: where the parent will read it, or, while the parent has another, in the virtual processor's own. Its common header is filled, the rest
    /// zeroed. Under the lock of the parent's SynIC until <see cref="Send"/>.
    /// </summary>
    private static T* Begin<T>(VirtualProcessor* vp, byte accessType, byte instructionLength) where T : unmanaged => (T*)Begin(vp, sizeof(T), accessType, instructionLength);

    private static ulong* Begin(VirtualProcessor* vp, int payloadSize, byte accessType, byte instructionLength)
    {
        if (vp->Intercept.IsQueued)
            Withdraw(vp);
        VirtualProcessor* parent = Parent;
        parent->SynicLock.Acquire(LockRank.Synic);
        HvMessage* message = parent->Synic.TryClaim((int)Sint);
        if (message == null)
            message = &vp->InterceptMessage;
        // The common header is filled whole.
        for (int i = sizeof(HvX64InterceptMessageHeader) / 8; i < payloadSize + 7 >> 3; i++) message->Payload[i] = 0;
        message->Header.PayloadSize = (byte)payloadSize;
        message->Header.SenderOrPort = vp->Partition->Id;
        HvX64InterceptMessageHeader* header = (HvX64InterceptMessageHeader*)message->Payload;
        header->VpIndex = new VpIndex(vp->Index);
        header->InstructionLengthAndCr8 = (byte)(instructionLength & 0xF | TBackend.GetTaskPriority(vp) & 0xF0);
        header->InterceptAccessType = accessType;
        ulong cr0 = TBackend.GetCr0(vp);
        header->ExecutionState = HvX64VpExecutionState.Of(TBackend.GetCpl(vp), (cr0 & Cr0Pe) != 0, (cr0 & Cr0Am) != 0, (TBackend.GetEfer(vp) & EferLma) != 0,
            TBackend.HasPendingInjection(vp));
        TBackend.GetCodeSegment(vp, &header->CsSegment);
        header->Rip = TBackend.GetRip(vp);
        header->Rflags = TBackend.GetRflags(vp);
        return message->Payload;
    }

    private static void CopySegment(VirtualProcessor* vp, uint name, HvX64SegmentRegister* destination)
    {
        HvRegisterValue value;
        TBackend.GetRegister(vp, name, &value);
        ((ulong*)destination)[0] = value.Reg64;
        ((ulong*)destination)[1] = value.High64;
    }

    /// <summary>Suspends the virtual processor and sends its message. The root has no parent: what would be intercepted there stops the machine.</summary>
    /// <param name="payload">What <see cref="Begin"/> gave.</param>
    private static void Send(VirtualProcessor* vp, void* payload, uint messageType, uint counter = HvStatsVpCounters.VpOtherMessages)
    {
        HvMessage* message = (HvMessage*)((byte*)payload - sizeof(HvMessageHeader));
        if (vp->Partition->IsRoot)
            StopRoot(vp, message, messageType);
        vp->Count(counter);
        // First: a parent elsewhere may answer at once.
        Scheduler<TBackend>.Suspend(vp, SuspendReason.Intercept);
        VirtualProcessor* parent = Parent;
        byte vector;
        if (message != &vp->InterceptMessage)
            vector = parent->Synic.Publish((int)Sint, message, messageType);
        else
        {
            message->Header.MessageType = messageType;
            vector = parent->Synic.Enqueue((int)Sint, &vp->Intercept);
        }
        parent->SynicLock.Release(LockRank.Synic);
        Messages<TBackend>.AssertSint(parent, vector);
    }

    /// <summary>Takes back a message that still waits for the parent's slot.</summary>
    public static void Withdraw(VirtualProcessor* vp)
    {
        if (!vp->Intercept.IsQueued)
            return;
        VirtualProcessor* parent = Parent;
        parent->SynicLock.Acquire(LockRank.Synic);
        // It may have been delivered meanwhile.
        if (vp->Intercept.IsQueued)
            parent->Synic.Withdraw(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX, &vp->Intercept);
        parent->SynicLock.Release(LockRank.Synic);
    }

    /// <summary>Takes back all notices of EOIs of a virtual processor that goes away.</summary>
    public static void WithdrawEoi(VirtualProcessor* vp)
    {
        VirtualProcessor* parent = Parent;
        parent->SynicLock.Acquire(LockRank.Synic);
        if (vp->EoiNotice.IsQueued)
            parent->Synic.Withdraw(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX, &vp->EoiNotice);
        parent->SynicLock.Release(LockRank.Synic);
    }

    private static void StopRoot(VirtualProcessor* vp, HvMessage* message, uint messageType)
    {
        byte* buffer = stackalloc byte[200];
        TextWriter line = new(buffer, 200);
        line.Text("the root partition cannot go on: message type "u8).Hex(messageType).Text(" rip "u8).Hex(TBackend.GetRip(vp))
            .Text(" cr2 "u8);
        HvRegisterValue cr2;
        TBackend.GetRegister(vp, HvRegisterName.HvX64RegisterCr2, &cr2);
        line.Hex(cr2.Reg64).Text(" detail "u8).Hex(message->Payload[6]).Text(" "u8).Hex(message->Payload[7]);
        Panic.Stop(line.Written);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void IoPort(VirtualProcessor* vp, ushort port, byte size, bool isIn, bool isString, bool hasRep, byte length)
    {
        // A single access has nothing to say behind RAX: that part is neither filled nor copied.
        HvX64IoPortInterceptMessage* message = (HvX64IoPortInterceptMessage*)Begin(vp,
            isString ? sizeof(HvX64IoPortInterceptMessage) : sizeof(HvX64InterceptMessageHeader) + 16,
            isIn ? HvInterceptAccessType.HvInterceptAccessRead : HvInterceptAccessType.HvInterceptAccessWrite, length);
        message->PortNumber = port;
        message->AccessInfo = new HvX64IoPortAccessInfo(size, isString, hasRep);
        message->Rax = vp->Gpr[Gpr.Rax];
        if (isString)
        {
            message->InstructionByteCount = (byte)GuestInstruction<TBackend>.Fetch(vp, message->InstructionBytes);
            CopySegment(vp, HvRegisterName.HvX64RegisterDs, &message->DsSegment);
            CopySegment(vp, HvRegisterName.HvX64RegisterEs, &message->EsSegment);
            message->Rcx = vp->Gpr[Gpr.Rcx];
            message->Rsi = vp->Gpr[Gpr.Rsi];
            message->Rdi = vp->Gpr[Gpr.Rdi];
        }
        Send(vp, message, HvMessageType.HvMessageTypeX64IoPortIntercept, HvStatsVpCounters.VpIoInterceptMessages);
    }

    public static void Memory(VirtualProcessor* vp, ulong gpa, byte accessType, bool unmapped, byte* bytes, int byteCount, byte length)
    {
        HvX64MemoryInterceptMessage* message = Begin<HvX64MemoryInterceptMessage>(vp, accessType, length);
        message->CacheType = HvCacheType.HvCacheTypeWriteBack;
        message->GuestPhysicalAddress = new GuestPhysicalAddress(gpa);
        message->TprPriority = TBackend.GetTaskPriority(vp);
        message->InstructionByteCount = (byte)byteCount;
        for (int i = 0; i < byteCount; i++) message->InstructionBytes[i] = bytes[i];
        Send(vp, message, unmapped ? HvMessageType.HvMessageTypeUnmappedGpa : HvMessageType.HvMessageTypeGpaIntercept, HvStatsVpCounters.VpMemoryInterceptMessages);
    }

    public static void Msr(VirtualProcessor* vp, uint msr, byte accessType)
    {
        HvX64MsrInterceptMessage* message = Begin<HvX64MsrInterceptMessage>(vp, accessType, TBackend.GetInstructionLength(vp));
        message->MsrNumber = msr;
        message->Rax = vp->Gpr[Gpr.Rax];
        message->Rdx = vp->Gpr[Gpr.Rdx];
        Send(vp, message, HvMessageType.HvMessageTypeMsrIntercept);
    }

    /// <param name="result">What the core would have answered: EAX, EBX, ECX, EDX.</param>
    public static void Cpuid(VirtualProcessor* vp, uint* result)
    {
        HvX64CpuidInterceptMessage* message = Begin<HvX64CpuidInterceptMessage>(vp, HvInterceptAccessType.HvInterceptAccessExecute, TBackend.GetInstructionLength(vp));
        message->Rax = vp->Gpr[Gpr.Rax];
        message->Rcx = vp->Gpr[Gpr.Rcx];
        message->Rdx = vp->Gpr[Gpr.Rdx];
        message->Rbx = vp->Gpr[Gpr.Rbx];
        message->DefaultResultRax = result[0];
        message->DefaultResultRbx = result[1];
        message->DefaultResultRcx = result[2];
        message->DefaultResultRdx = result[3];
        Send(vp, message, HvMessageType.HvMessageTypeX64CpuidIntercept);
    }

    public static void Exception(VirtualProcessor* vp, byte vector, uint errorCode, ulong parameter)
    {
        if ((vp->Partition->ExceptionIntercepts & 1u << vector) == 0)
        {
            // Only #MC is intercepted without being asked for: a broken machine is nobody's guest.
            Panic.Stop("machine check"u8);
            return;
        }
        HvX64ExceptionInterceptMessage* message = Begin<HvX64ExceptionInterceptMessage>(vp, HvInterceptAccessType.HvInterceptAccessExecute, 0);
        message->ExceptionVector = vector;
        message->ErrorCode = errorCode;
        message->ExceptionParameter = parameter;
        ulong* registers = &message->Rax;
        for (int i = 0; i < 16; i++) registers[MessageOrder[i]] = vp->Gpr[i];
        HvRegisterValue rsp;
        TBackend.GetRegister(vp, HvRegisterName.HvX64RegisterRsp, &rsp);
        message->Rsp = rsp.Reg64;
        CopySegment(vp, HvRegisterName.HvX64RegisterDs, &message->DsSegment);
        CopySegment(vp, HvRegisterName.HvX64RegisterSs, &message->SsSegment);
        Send(vp, message, HvMessageType.HvMessageTypeExceptionIntercept);
    }

    // The message lists RAX RCX RDX RBX RSP RBP RSI RDI R8 … R15: the order of instructions.
    private static System.ReadOnlySpan<byte> MessageOrder => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    /// <summary>Triple fault.</summary>
    public static void UnrecoverableException(VirtualProcessor* vp)
    {
        Send(vp, Begin<HvX64UnrecoverableExceptionMessage>(vp, HvInterceptAccessType.HvInterceptAccessExecute, 0), HvMessageType.HvMessageTypeUnrecoverableException);
    }

    /// <summary>The processor refused the state that its parent or the guest itself made: the virtual machine ends, not the machine.</summary>
    public static void InvalidState(VirtualProcessor* vp)
    {
        Send(vp, Begin<HvX64UnrecoverableExceptionMessage>(vp, HvInterceptAccessType.HvInterceptAccessExecute, 0), HvMessageType.HvMessageTypeInvalidVpRegisterValue);
    }

    /// <summary>A level-triggered vector was ended: the parent's I/O APIC may have its line asserted still. The virtual processor runs on.</summary>
    public static void ApicEoi(VirtualProcessor* vp, byte vector)
    {
        VirtualProcessor* parent = Parent;
        parent->SynicLock.Acquire(LockRank.Synic);
        vp->PendingEoi[vector >> 6] |= 1UL << vector;
        bool isDelivered = TrySendEois(parent, vp);
        parent->SynicLock.Release(LockRank.Synic);
        if (isDelivered)
            Messages<TBackend>.AssertSint(parent, parent->Synic.GetInterruptVector(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX));
    }

    /// <summary>
    /// Sends the notices that wait: one may be in the parent's slot and one in its queue, the others wait here for the parent's EOM. Under the
    /// lock of the parent's SynIC. True: the slot was filled.
    /// </summary>
    private static bool TrySendEois(VirtualProcessor* parent, VirtualProcessor* vp)
    {
        bool isDelivered = false;
        for (int word = 0; word < 4; word++)
        {
            while (vp->PendingEoi[word] != 0)
            {
                if (vp->EoiNotice.IsQueued)
                {
                    EoiBacklog.IsAny = true;
                    return isDelivered;
                }
                ulong bits = vp->PendingEoi[word];
                vp->PendingEoi[word] = bits & (bits - 1);
                isDelivered |= TrySendEoi(parent, vp, (uint)(word * 64 + System.Numerics.BitOperations.TrailingZeroCount(bits)));
            }
        }
        return isDelivered;
    }

    private static bool TrySendEoi(VirtualProcessor* parent, VirtualProcessor* vp, uint vector)
    {
        HvMessage* message = &vp->EoiMessage;
        message->Header.MessageType = HvMessageType.HvMessageTypeX64ApicEoi;
        message->Header.PayloadSize = (byte)sizeof(HvX64ApicEoiMessage);
        message->Header.SenderOrPort = vp->Partition->Id;
        HvX64ApicEoiMessage* payload = (HvX64ApicEoiMessage*)message->Payload;
        payload->VpIndex = new VpIndex(vp->Index);
        payload->InterruptVector = vector;
        vp->Count(HvStatsVpCounters.VpOtherMessages);
        parent->Synic.Enqueue((int)Sint, &vp->EoiNotice);
        // A parent that polls has no vector to tell by. Behind another's message it is found when that is taken.
        return !vp->EoiNotice.IsQueued;
    }

    /// <summary>The parent made room: notices that had to wait go out now. Under the lock of its SynIC. True: the slot was filled.</summary>
    public static bool SendWaitingEois()
    {
        bool isDelivered = false;
        EoiBacklog.IsAny = false;
        for (int slot = 0; slot < Partitions.Maximum; slot++)
        {
            Partition* partition = Partitions.At(slot);
            if (partition == null || partition->IsRoot)
                continue;
            for (uint i = 0; i < Partition.MaximumVps; i++)
                if (partition->GetVp(i) != null) isDelivered |= TrySendEois(Parent, partition->GetVp(i));
        }
        return isDelivered;
    }
}

/// <summary>Whether some virtual processor has EOI notices that could not be sent yet. Guarded by the lock of the parent's SynIC.</summary>
internal static class EoiBacklog
{
    internal static bool IsAny;
}
