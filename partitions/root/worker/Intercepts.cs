// Sorts intercept messages by their type. TLFS, "Intercept Message Formats".
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class Intercepts
{
    /// <summary>Handles one message of a running VM; other than <see cref="VmEnd.None"/>, the VM is to be ended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VmEnd Handle(Vm* vm, HvMessage* message) =>
        // The most frequent by far, and the one that guests poll with.
        message->Header.MessageType == HvMessageType.HvMessageTypeX64IoPortIntercept
            ? PortIntercept.Handle(vm, (HvX64IoPortInterceptMessage*)message->Payload) : HandleOther(vm, message);

    private static VmEnd HandleOther(Vm* vm, HvMessage* message)
    {
        void* payload = message->Payload;
        switch (message->Header.MessageType)
        {
            case HvMessageType.HvMessageTypeUnmappedGpa:
            case HvMessageType.HvMessageTypeGpaIntercept: return MemoryIntercept.Handle(vm, (HvX64MemoryInterceptMessage*)payload);
            case HvMessageType.HvMessageTypeMsrIntercept: return MsrIntercept.Handle(vm, (HvX64MsrInterceptMessage*)payload);
            case HvMessageType.HvMessageTypeX64ApicEoi:
                vm->Machine->Counters.Eoi++;
                VmDevices.EndOfInterrupt(vm, (byte)((HvX64ApicEoiMessage*)payload)->InterruptVector);
                return VmEnd.None;
        }
        vm->Machine->Counters.Other++;
        switch (message->Header.MessageType)
        {
            case HvMessageType.HvMessageTypeUnrecoverableException:
                vm->FaultRip = ((HvX64UnrecoverableExceptionMessage*)payload)->Header.Rip;
                return VmEnd.TripleFault;
            case HvMessageType.HvMessageTypeX64CpuidIntercept: return CompleteCpuid(vm, (HvX64CpuidInterceptMessage*)payload);
            case HvMessageType.HvMessageTypeInvalidVpRegisterValue:
                VmLog.Line(vm, "its processor's registers make no state that can run"u8);
                return VmEnd.Failed;
            default: return ReportUnknown(vm, message);
        }
    }

    /// <summary>None is installed: should one come all the same, the guest sees what the core would have shown.</summary>
    private static VmEnd CompleteCpuid(Vm* vm, HvX64CpuidInterceptMessage* message)
    {
        const int instructionLength = 2;
        var completion = new Completion(vm->Machine, &message->Header);
        completion.Set(HvRegisterName.HvX64RegisterRax, message->DefaultResultRax);
        completion.Set(HvRegisterName.HvX64RegisterRbx, message->DefaultResultRbx);
        completion.Set(HvRegisterName.HvX64RegisterRcx, message->DefaultResultRcx);
        completion.Set(HvRegisterName.HvX64RegisterRdx, message->DefaultResultRdx);
        int length = message->Header.InstructionLength;
        return completion.Finish(length == 0 ? instructionLength : length);
    }

    private static VmEnd ReportUnknown(Vm* vm, HvMessage* message)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("an intercept message of type "u8).Hex(message->Header.MessageType).Text(", which nobody asked for; RIP "u8)
            .Hex(((HvX64InterceptMessageHeader*)message->Payload)->Rip);
        ConsoleOutput.Line(line.Written);
        return VmEnd.Failed;
    }
}
