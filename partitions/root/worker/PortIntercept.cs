// Port instructions of a guest: IN, OUT, INS and OUTS, given to the VM's devices. TLFS, "HV_X64_IO_PORT_INTERCEPT_MESSAGE".
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.X64.Decode;

namespace Lamina.Root.Worker;

internal static unsafe class PortIntercept
{
    /// <summary>Elements that one intercept moves at most: the rest comes back, so that nobody waits long for the executor.</summary>
    private const int ElementsPerIntercept = 4096;

    /// <summary>Answers one message. Here and in <see cref="Complete"/> is what most of them need, and nothing for which registers would be saved.</summary>
    public static VmEnd Handle(Vm* vm, HvX64IoPortInterceptMessage* message)
    {
        vm->Machine->Counters.Port++;
        int length = message->Header.InstructionLength;
        // IN and OUT without a prefix, of which the core says all: the access information is the size alone.
        return message->AccessInfo.Value is 1 or 2 or 4 && length != 0
            ? Complete(vm, message, message->AccessInfo.Value, length) : HandleUncommon(vm, message);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static VmEnd HandleUncommon(Vm* vm, HvX64IoPortInterceptMessage* message)
    {
        if (message->AccessInfo.AccessSize is not (1 or 2 or 4))
        {
            VmLog.LineHex(vm, "the core reported a port access of a size that does not exist, port "u8, message->PortNumber);
            return VmEnd.Failed;
        }
        if (message->AccessInfo.StringOp) return HandleString(vm, message);
        int length = message->Header.InstructionLength;
        if (length == 0 && !TryLength(vm, message, out length)) return UnknownInstruction(vm, message);
        return Complete(vm, message, message->AccessInfo.AccessSize, length);
    }

    private static bool IsInput(HvX64IoPortInterceptMessage* message) => message->Header.InterceptAccessType == HvInterceptAccessType.HvInterceptAccessRead;

    /// <summary>IN or OUT of <paramref name="size"/> bytes, by an instruction of <paramref name="length"/> bytes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static VmEnd Complete(Vm* vm, HvX64IoPortInterceptMessage* message, int size, int length)
    {
        if (!IsInput(message)) return Output(vm, message, size, length);
        return VmDevices.TryReadQuietly(vm, message->PortNumber, size, out uint value)
            ? CompleteInput(vm, message, size, length, value) : Input(vm, message, size, length);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static VmEnd Input(Vm* vm, HvX64IoPortInterceptMessage* message, int size, int length) =>
        CompleteInput(vm, message, size, length, VmDevices.ReadPort(vm, message->PortNumber, size));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static VmEnd CompleteInput(Vm* vm, HvX64IoPortInterceptMessage* message, int size, int length, uint value)
    {
        var completion = new Completion(vm->Machine, &message->Header);
        completion.Set(HvRegisterName.HvX64RegisterRax, PortInstruction.MergeInput(message->Rax, size, value));
        return completion.Finish(length);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static VmEnd Output(Vm* vm, HvX64IoPortInterceptMessage* message, int size, int length)
    {
        VmEnd end = VmDevices.WritePort(vm, message->PortNumber, size, PortInstruction.OutputValue(message->Rax, size));
        return end != VmEnd.None ? end : new Completion(vm->Machine, &message->Header).Finish(length);
    }

    private static VmEnd HandleString(Vm* vm, HvX64IoPortInterceptMessage* message)
    {
        bool isInput = IsInput(message);
        if (!TryDecode(vm, message, out IoInstruction instruction)) return UnknownInstruction(vm, message);
        bool is64 = InterceptMode.Is64(message->Header);
        if (!TrySegmentBase(vm, message, instruction.Segment, is64, out ulong segmentBase)) return VmEnd.Failed;
        var walk = new StringPortWalk(message->AccessInfo.AccessSize, message->AccessInfo.RepPrefix, instruction.AddressSize, !is64,
            (message->Header.Rflags & 1 << 10) != 0, isInput ? message->Rdi : message->Rsi, message->Rcx, segmentBase);
        var memory = new GuestVirtual(vm->Machine, message->Header);
        VmEnd end = Move(vm, message->PortNumber, isInput, ref walk, ref memory);
        if (end != VmEnd.None) return end;

        var completion = new Completion(vm->Machine, &message->Header);
        completion.Set(isInput ? HvRegisterName.HvX64RegisterRdi : HvRegisterName.HvX64RegisterRsi, walk.Index);
        completion.Set(HvRegisterName.HvX64RegisterRcx, walk.Count);
        if (walk.IsDone || walk.IsCountZero) return completion.Finish(instruction.Length);
        if (memory.Fault.IsRaised) completion.InjectPageFault(memory.Fault);
        return completion.Commit();
    }

    /// <summary>Moves elements until the count, the budget, or a fault ends it. A fault takes nothing from the device.</summary>
    private static VmEnd Move(Vm* vm, ushort port, bool isInput, ref StringPortWalk walk, ref GuestVirtual memory)
    {
        byte* element = stackalloc byte[4];
        for (int moved = 0; moved < ElementsPerIntercept && !walk.IsDone && !walk.IsCountZero; moved++)
        {
            if (isInput)
            {
                if (!memory.TryProbeWrite(walk.Linear, walk.Size)) return VmEnd.None;
                *(uint*)element = VmDevices.ReadPort(vm, port, walk.Size);
                if (!memory.TryWrite(walk.Linear, new ReadOnlySpan<byte>(element, walk.Size))) return VmEnd.None;
            }
            else
            {
                *(uint*)element = 0;
                if (!memory.TryRead(walk.Linear, new Span<byte>(element, walk.Size))) return VmEnd.None;
                VmEnd end = VmDevices.WritePort(vm, port, walk.Size, *(uint*)element);
                if (end != VmEnd.None) return end;
            }
            walk.Advance();
        }
        return VmEnd.None;
    }

    /// <summary>The base that the string's addresses count from. Only FS and GS have one in 64-bit mode.</summary>
    private static bool TrySegmentBase(Vm* vm, HvX64IoPortInterceptMessage* message, SegmentRegister segment, bool is64, out ulong segmentBase)
    {
        segmentBase = 0;
        if (is64 && segment is not (SegmentRegister.FS or SegmentRegister.GS)) return true;
        switch (segment)
        {
            case SegmentRegister.ES: segmentBase = message->EsSegment.Base; return true;
            case SegmentRegister.DS: segmentBase = message->DsSegment.Base; return true;
            case SegmentRegister.CS: segmentBase = message->Header.CsSegment.Base; return true;
            default: return MemoryIntercept.TryReadSegmentBase(vm, message->Header.VpIndex, segment, out segmentBase);
        }
    }

    private static bool TryLength(Vm* vm, HvX64IoPortInterceptMessage* message, out int length)
    {
        bool known = TryDecode(vm, message, out IoInstruction instruction);
        length = instruction.Length;
        return known;
    }

    private static bool TryDecode(Vm* vm, HvX64IoPortInterceptMessage* message, out IoInstruction instruction)
    {
        byte* fetched = stackalloc byte[16];
        byte* bytes = message->InstructionBytes;
        int count = Math.Min((int)message->InstructionByteCount, 16);
        if (count == 0)
        {
            var memory = new GuestVirtual(vm->Machine, message->Header);
            count = memory.ReadInstruction(message->Header, new Span<byte>(fetched, 15));
            bytes = fetched;
        }
        return IoInstruction.TryDecode(new ReadOnlySpan<byte>(bytes, count), InterceptMode.Of(message->Header), out instruction);
    }

    private static VmEnd UnknownInstruction(Vm* vm, HvX64IoPortInterceptMessage* message)
    {
        VmLog.LineHex(vm, "a port instruction that cannot be decoded at RIP "u8, message->Header.Rip);
        return VmEnd.Failed;
    }
}
