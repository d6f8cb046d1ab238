// Carries out what a guest asks of the SynIC test device (guest-contract, "Test devices"), with the calls of the ABI.
using System;
using Lamina.Abi;
using Lamina.Root.Devices;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

/// <summary>What the device remembers. A connection and its port have the same number, both in the guest's own partition.</summary>
public unsafe struct SynicTestState
{
    /// <summary>
    /// To raise a SINT means an interrupt and nothing else; the ABI only has interrupts that come with a message or a flag. Flags of the
    /// upper half are used in turn: a guest that never clears them still gets an interrupt each time, until all are set.
    /// </summary>
    private const ushort FirstFlag = SynicLimits.HV_EVENT_FLAGS_COUNT / 2, FlagCount = SynicLimits.HV_EVENT_FLAGS_COUNT / 2;

    private ushort _nextFlag;

    internal void Execute(Vm* vm, SynicTestCommand command)
    {
        PartitionAccount* account = &vm->Machine->Account;
        var vp = new VpIndex(command.VpIndex);
        uint connection = command.Connection;
        switch (command.Kind)
        {
            // A route is QEMU's own notion: the SINT's register is all that this ABI needs.
            case SynicTestCommandKind.CreateSintRoute:
            case SynicTestCommandKind.DestroySintRoute:
                return;
            case SynicTestCommandKind.RaiseSint:
                ushort flag = (ushort)(FirstFlag + _nextFlag++ % FlagCount);
                Check(vm, "HvCallSignalEventDirect"u8, SynicCalls.SignalEventDirect(account, vp, command.Sint, flag));
                return;
            case SynicTestCommandKind.CreateMessageConnection:
                Connect(vm, connection, HvPortType.HvPortTypeMessage, command.Sint, vp);
                return;
            case SynicTestCommandKind.CreateEventConnection:
                Connect(vm, connection, HvPortType.HvPortTypeEvent, command.Sint, vp);
                return;
            case SynicTestCommandKind.DestroyMessageConnection:
            case SynicTestCommandKind.DestroyEventConnection:
                Check(vm, "HvCallDisconnectPort"u8, SynicCalls.DisconnectPort(account, connection));
                Check(vm, "HvCallDeletePort"u8, SynicCalls.DeletePort(account, connection));
                return;
        }
    }

    /// <summary>What the guest sends to the connection comes back to it; of an event port, as the flag that has the connection's number.</summary>
    private static void Connect(Vm* vm, uint connection, uint portType, byte sint, VpIndex vp)
    {
        PartitionAccount* account = &vm->Machine->Account;
        HvStatus status = SynicCalls.CreatePort(account, connection, account->Id, portType, sint, vp, (ushort)connection, 1);
        if (!Check(vm, "HvCallCreatePort"u8, status)) return;
        if (!Check(vm, "HvCallConnectPort"u8, SynicCalls.ConnectPort(account, connection, account->Id, connection, portType)))
            SynicCalls.DeletePort(account, connection);
    }

    private static bool Check(Vm* vm, ReadOnlySpan<byte> call, HvStatus status)
    {
        if (status.IsSuccess) return true;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("SynIC test device: "u8).Text(call).Text(": "u8).Status(status);
        ConsoleOutput.Line(line.Written);
        return false;
    }
}
