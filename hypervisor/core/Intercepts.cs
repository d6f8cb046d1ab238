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

    /// <summary>The parent's virtual processor that intercept messages go to.</summary>
    private static VirtualProcessor* Parent => Partitions.Root->GetVp(0);

    /// <summary>
    /// Starts a message: where the parent will read it, or, while the parent has another, in the virtual processor's own. Its common header is filled, the rest
    /// zeroed. Under the lock of the parent's SynIC until <see cref="Send"/>.
    /// </summary>
    private static T* Begin<T>(VirtualProcessor* vp, byte accessType, uint instructionLength) where T : unmanaged => (T*)Begin(vp, sizeof(T), accessType, instructionLength);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong* Begin(VirtualProcessor* vp, int payloadSize, byte accessType, uint instructionLength)
    {
        ulong* payload = Open(vp, payloadSize, accessType, instructionLength)->Payload;
        for (int i = HeaderWords; i < payloadSize + 7 >> 3; i++) payload[i] = 0;
        return payload;
    }

    /// <summary>Words of the payload that all intercepts have in common.</summary>
    private static int HeaderWords => sizeof(HvX64InterceptMessageHeader) / 8;

    /// <summary>The same, but that the rest is left to the caller. Together with <see cref="Close"/> in one frame, for the most frequent intercept.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static HvMessage* Open(VirtualProcessor* vp, int payloadSize, byte accessType, uint instructionLength)
    {
        if (vp->Intercept.IsQueued)
            Withdraw(vp);
        VirtualProcessor* parent = Parent;
        parent->SynicLock.Acquire(LockRank.Synic);
        HvMessage* message = parent->Synic.TryClaim((int)Sint);
        if (message == null)
            message = &vp->InterceptMessage;
        // All of it is read before the first is written: the compiler looks for the backend's state once then.
        HvX64VpExecutionState state = HvX64VpExecutionState.Of(TBackend.GetCpl(vp), TBackend.GetCr0(vp), TBackend.GetEfer(vp), TBackend.HasPendingInjection(vp));
        uint lengthAndCr8 = instructionLength & 0xF | TBackend.GetTaskPriority(vp) & 0xF0u;
        ulong rip = TBackend.GetRip(vp), rflags = TBackend.GetRflags(vp);
        // The size, no flags, and no type until it is sent.
        *(ulong*)&message->Header = (ulong)payloadSize << 32;
        message->Header.SenderOrPort = vp->Partition->Id;
        HvX64InterceptMessageHeader* header = (HvX64InterceptMessageHeader*)message->Payload;
        header->VpIndex = new VpIndex(vp->Index);
        header->InstructionLengthAndCr8 = (byte)lengthAndCr8;
        header->InterceptAccessType = accessType;
        header->ExecutionState = state;
        TBackend.GetCodeSegment(vp, &header->CsSegment);
        header->Rip = rip;
        header->Rflags = rflags;
        return message;
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
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Send(VirtualProcessor* vp, void* payload, uint messageType, uint counter = HvStatsVpCounters.VpOtherMessages)
    {
        byte vector = Close(vp, (HvMessage*)((byte*)payload - sizeof(HvMessageHeader)), messageType, counter, out VirtualProcessor* parent);
        Messages<TBackend>.AssertSint(parent, vector);
    }

    /// <returns>What to assert at the parent.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte Close(VirtualProcessor* vp, HvMessage* message, uint messageType, uint counter, out VirtualProcessor* parent)
    {
        if (vp->Partition->IsRoot)
            StopRoot(vp, message, messageType);
        vp->Count(counter);
        // First: a parent elsewhere may answer at once.
        Scheduler<TBackend>.Suspend(vp, SuspendReason.Intercept);
        parent = Parent;
        byte vector = message != &vp->InterceptMessage ? parent->Synic.Publish((int)Sint, message, messageType) : Enqueue(vp, parent, messageType);
        parent->SynicLock.Release(LockRank.Synic);
        return vector;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static byte Enqueue(VirtualProcessor* vp, VirtualProcessor* parent, uint messageType)
    {
        vp->InterceptMessage.Header.MessageType = messageType;
        return parent->Synic.Enqueue((int)Sint, &vp->Intercept);
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

    private static byte AccessType(bool isIn) => isIn ? HvInterceptAccessType.HvInterceptAccessRead : HvInterceptAccessType.HvInterceptAccessWrite;

    /// <summary>A single access.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void IoPort(VirtualProcessor* vp, ushort port, HvX64IoPortAccessInfo access, bool isIn, uint length)
    {
        // It has nothing to say behind RAX: that part is neither filled nor copied.
        HvMessage* message = Open(vp, sizeof(HvX64InterceptMessageHeader) + 16, AccessType(isIn), length);
        // PortNumber, AccessInfo, no instruction bytes.
        message->Payload[HeaderWords] = port | (uint)access.Value << 16;
        message->Payload[HeaderWords + 1] = vp->Gpr[Gpr.Rax];
        byte vector = Close(vp, message, HvMessageType.HvMessageTypeX64IoPortIntercept, HvStatsVpCounters.VpIoInterceptMessages, out VirtualProcessor* parent);
        Messages<TBackend>.AssertSint(parent, vector);
    }

    /// <summary>INS or OUTS.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void IoPortString(VirtualProcessor* vp, ushort port, HvX64IoPortAccessInfo access, bool isIn, uint length)
    {
        HvX64IoPortInterceptMessage* message = Begin<HvX64IoPortInterceptMessage>(vp, AccessType(isIn), length);
        message->PortNumber = port;
        message->AccessInfo = access;
        message->Rax = vp->Gpr[Gpr.Rax];
        message->InstructionByteCount = (byte)GuestInstruction<TBackend>.Fetch(vp, message->InstructionBytes);
        CopySegment(vp, HvRegisterName.HvX64RegisterDs, &message->DsSegment);
        CopySegment(vp, HvRegisterName.HvX64RegisterEs, &message->EsSegment);
        message->Rcx = vp->Gpr[Gpr.Rcx];
        message->Rsi = vp->Gpr[Gpr.Rsi];
        message->Rdi = vp->Gpr[Gpr.Rdi];
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
