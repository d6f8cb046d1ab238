// Calls as guests make them: conventions, refusals, registers, interrupts, ports.
using System;
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.X64.Paging;
using Xunit;
using static Lamina.Abi.HypercallCode;
using static Lamina.Abi.HvRegisterName;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe partial class CallTests(TestMachine machine)
{
    private const ulong Fast = 1 << 16;

    /// <summary>A child with one processor, 70 pages of memory, SynIC pages and the hypercall interface.</summary>
    private Partition* Guest(out VirtualProcessor* vp)
    {
        Partition* child = machine.CreateChild(60);
        vp = machine.CreateVp(child);
        new Span<byte>(TestMachine.At<byte>(machine.GuestMemory), 70 * 4096).Clear();
        Assert.True(machine.MapSmall(child, 0, machine.GuestMemory, 70).Status.IsSuccess);
        machine.EnableHypercalls(vp);
        TestMachine.EnableSynic(vp, 0x1000, 0x2000);
        Assert.True(vp->Apic.TryWriteMmio(0xF0, 0x1FF, 0, out _));
        return child;
    }

    private HvStatus Set(Partition* child, uint vp, params (uint Name, ulong Value)[] registers)
    {
        var elements = new HvRegisterAssoc[registers.Length];
        for (int i = 0; i < registers.Length; i++) elements[i] = new HvRegisterAssoc(registers[i].Name, registers[i].Value);
        return machine.Call<HvInputSetVpRegisters, HvRegisterAssoc>(HvCallSetVpRegisters, new() { PartitionId = new(child->Id), VpIndex = new(vp) }, elements).Status;
    }

    private ulong Get(Partition* child, uint vp, uint name)
    {
        Assert.True(machine.Call<HvInputGetVpRegisters, uint>(HvCallGetVpRegisters, new() { PartitionId = new(child->Id), VpIndex = new(vp) }, [name]).Status.IsSuccess);
        return TestMachine.At<HvRegisterValue>(machine.OutputGpa)->Reg64;
    }

    [Fact]
    public void WhoMayNotCallGetsInvalidOpcode()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        FakeState* state = FakeBackend.State(vp);
        Refused(() => state->Cpl = 3, () => state->Cpl = 0);
        Refused(() => state->Cr0 = 0, () => state->Cr0 = 0x80000001);
        Refused(() => child->HypercallMsr = 0, () => child->HypercallMsr = 1);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE.Value, machine.Call(vp, 0xBEEF, 0, 0).Status.Value);
        machine.Destroy(child);

        void Refused(Action make, Action unmake)
        {
            VirtualProcessor* caller = child->GetVp(0);
            ulong rip = state->Rip;
            make();
            HypercallDispatch<FakeBackend>.Handle(caller);
            Assert.Equal((true, 6, rip), (state->ExceptionPending, (int)state->Exception, state->Rip));
            state->ExceptionPending = false;
            unmake();
        }
    }

    [Fact]
    public void PrivilegesComeBeforeParameters()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        for (uint code = 0; code < 0x200; code++)
        {
            HypercallResult result = machine.Call(vp, code, 0x10, 0x10);
            bool known = HypercallTable.TryGet((ushort)code, out HypercallDescriptor call);
            if (!known) Assert.Equal(HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE.Value, result.Status.Value);
            else Assert.Equal(child->Privileges.Includes(call.Privilege), result.Status != HvStatus.HV_STATUS_ACCESS_DENIED);
        }
        machine.Destroy(child);
    }

    [Fact]
    public void RegistersOf32BitCallers()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        FakeBackend.State(vp)->Is64Bit = false;
        ulong control = HypercallInput.Rep(HvCallFlushVirtualAddressList, 3).Value;
        vp->Gpr[Gpr.Rdx] = 0xDEAD_0000_0000_0000 | control >> 32;
        vp->Gpr[Gpr.Rax] = 0xDEAD_0000_0000_0000 | (uint)control;
        vp->Gpr[Gpr.Rbx] = 0;
        vp->Gpr[Gpr.Rcx] = 0x5000;
        TestMachine.At<HvInputFlushVirtualAddressSpace>(machine.GuestMemory + 0x5000)->Flags = HvFlushFlags.HV_FLUSH_ALL_PROCESSORS;
        HypercallDispatch<FakeBackend>.Handle(vp);
        Assert.Equal((3UL, 0UL), (vp->Gpr[Gpr.Rdx], vp->Gpr[Gpr.Rax]));
        Assert.NotEqual(child->SecondStageGeneration, vp->SecondStageGeneration);
        machine.Destroy(child);
    }

    [Fact]
    public void LongRepCallsAreContinued()
    {
        Partition* child = machine.CreateChild(3);
        ulong deposited = child->DepositedPages;
        *TestMachine.At<HvInputDepositMemory>(machine.InputGpa) = new() { PartitionId = new(child->Id) };
        for (uint i = 0; i < 200; i++) TestMachine.At<ulong>(machine.InputGpa)[1 + i] = machine.Free / 4096 + 100 + i;
        VirtualProcessor* root = machine.RootVp;
        ulong rip = FakeBackend.State(root)->Rip, control = HypercallInput.Rep(HvCallDepositMemory, 200).Value;
        root->Gpr[Gpr.Rcx] = control;
        root->Gpr[Gpr.Rdx] = machine.InputGpa;
        HypercallDispatch<FakeBackend>.Handle(root);
        Assert.Equal(rip, FakeBackend.State(root)->Rip);
        Assert.Equal((64u, 200u), (new HypercallInput(root->Gpr[Gpr.Rcx]).RepStartIndex, new HypercallInput(root->Gpr[Gpr.Rcx]).RepCount));
        Assert.Equal(64UL, child->DepositedPages - deposited);
        for (int i = 0; i < 3; i++) HypercallDispatch<FakeBackend>.Handle(root);
        Assert.Equal((rip + 3, 200UL), (FakeBackend.State(root)->Rip, child->DepositedPages - deposited));
        Assert.Equal(200u, new HypercallResult(root->Gpr[Gpr.Rax]).RepsCompleted);
        machine.Destroy(child);
    }

    [Fact]
    public void RegistersAreReadAndWritten()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        Assert.True(Set(child, 0, (HvX64RegisterRbx, 0x1122), (HvX64RegisterRip, 0x8000), (HvX64RegisterCr3, 0x3000), (HvX64RegisterCr2, 5)).IsSuccess);
        Assert.Equal((0x1122UL, 0x8000UL, 0x3000UL), (Get(child, 0, HvX64RegisterRbx), Get(child, 0, HvX64RegisterRip), Get(child, 0, HvX64RegisterCr3)));
        Assert.NotEqual(child->SecondStageGeneration, vp->SecondStageGeneration);
        Assert.Equal(0x1001UL, Get(child, 0, HvRegisterSipp));
        Assert.Equal(0x2001UL, Get(child, 0, HvRegisterSifp));
        Assert.Equal(0x42UL, Get(child, 0, HvRegisterSint2));
        Assert.Equal(0x1FFUL, Get(child, 0, HvX64RegisterApicSpurious));
        Assert.True(Set(child, 0, (HvX64RegisterApicLvtTimer, 0x10055)).IsSuccess);
        Assert.Equal(0x10055UL, Get(child, 0, HvX64RegisterApicLvtTimer));
        Assert.Equal(0UL, Get(child, 0, HvRegisterVpIndex));
        Assert.Equal(0xFEE00900UL, Get(child, 0, HvX64RegisterApicBase));
        child->CrashParameters[3] = 77;
        Assert.Equal(77UL, Get(child, 0, HvRegisterGuestCrashP3));
        Assert.True(Set(child, 0, (0xDEADBEEF, 1)) == HvStatus.HV_STATUS_INVALID_PARAMETER);
        Assert.True(Set(child, 5, (HvX64RegisterRbx, 1)) == HvStatus.HV_STATUS_INVALID_VP_INDEX);
        // In order, up to the one that is refused.
        Assert.True(Set(child, 0, (HvX64RegisterRax, 9), (0xDEADBEEF, 1), (HvX64RegisterRax, 10)) == HvStatus.HV_STATUS_INVALID_PARAMETER);
        Assert.Equal(9UL, Get(child, 0, HvX64RegisterRax));
        machine.Destroy(child);
    }

    [Fact]
    public void SuspensionStopsAndResumes()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        Assert.Equal(1UL, Get(child, 0, HvRegisterExplicitSuspend));
        Assert.True(Set(child, 0, (HvRegisterExplicitSuspend, 0)).IsSuccess);
        Assert.True(vp->IsRunnable && vp->Scheduling.IsQueued);
        Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
        Assert.False(vp->Scheduling.IsQueued);
        Assert.Equal(1UL, Get(child, 0, HvRegisterInterceptSuspend));
        Assert.True(machine.TakeMessage(0, out HvMessage message));
        Assert.Equal((HvMessageType.HvMessageTypeMsrIntercept, child->Id), (message.Header.MessageType, message.Header.SenderOrPort));
        Assert.True(Set(child, 0, (HvX64RegisterRip, 0x9000), (HvX64RegisterRax, 1), (HvRegisterInterceptSuspend, 0)).IsSuccess);
        Assert.True(vp->IsRunnable && vp->Scheduling.IsQueued);
        Assert.True(Set(child, 0, (HvRegisterInternalActivityState, 2)).IsSuccess);
        Assert.Equal(2UL, Get(child, 0, HvRegisterInternalActivityState));
        Assert.True(Set(child, 0, (HvRegisterInternalActivityState, 0)).IsSuccess);
        Assert.True(vp->IsRunnable);
        Assert.True(Set(child, 0, (HvRegisterExplicitSuspend, 1)).IsSuccess);
        Assert.False(vp->Scheduling.IsQueued);
        machine.Destroy(child);
    }

    [Fact]
    public void InterruptsReachWhomTheyAddress()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        VirtualProcessor* second = machine.CreateVp(child, 1);
        Assert.True(second->Apic.TryWriteMmio(0xF0, 0x1FF, 0, out _));
        Assert.True(Raise(HvInterruptType.HvX64InterruptTypeFixed, 1, 0x61).IsSuccess);
        Assert.True(!vp->Apic.IsRequested(0x61) && second->Apic.IsRequested(0x61) && !second->Apic.IsLevelTriggered(0x61));
        Assert.True(Raise(HvInterruptType.HvX64InterruptTypeFixed, 0xFF, 0x62, level: true).IsSuccess);
        Assert.True(vp->Apic.IsRequested(0x62) && second->Apic.IsRequested(0x62) && vp->Apic.IsLevelTriggered(0x62));
        Assert.True(Raise(HvInterruptType.HvX64InterruptTypeNmi, 0, 0).IsSuccess);
        Assert.True(vp->NmiPending && !second->NmiPending);
        Assert.True((second->SuspendReasons & SuspendReason.Startup) != 0);
        Assert.True(Raise(HvInterruptType.HvX64InterruptTypeSipi, 1, 0x9A).IsSuccess);
        Assert.Equal((0u, 0x9A000UL), (second->SuspendReasons & SuspendReason.Startup, FakeBackend.State(second)->Rip));
        Assert.True(Raise(HvInterruptType.HvX64InterruptTypeInit, 1, 0).IsSuccess);
        Assert.True((second->SuspendReasons & SuspendReason.Startup) != 0);
        Assert.True(Raise(HvInterruptType.HvX64InterruptTypeFixed, 0, 0xF) == HvStatus.HV_STATUS_INVALID_PARAMETER);
        Assert.True(Raise(HvInterruptType.HvX64InterruptTypeExtInt, 0, 0x20) == HvStatus.HV_STATUS_INVALID_PARAMETER);
        // Clusters of the guest's own.
        Assert.True(machine.Call(vp, HvCallSendSyntheticClusterIpi | Fast, 0x77, 3).Status.IsSuccess);
        Assert.True(vp->Apic.IsRequested(0x77));
        machine.Destroy(child);

        HvStatus Raise(uint type, ulong destination, uint vector, bool level = false) => machine.Call(HvCallAssertVirtualInterrupt,
            new HvInputAssertVirtualInterrupt { TargetPartition = new(child->Id), InterruptControl = new(type, level, false), DestinationAddress = destination, RequestedVector = vector });
    }

    [Fact]
    public void EveryEoiIsTold()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        byte[] vectors = [0x31, 0x32, 0x51, 0x81, 0x82, 0xC3, 0xFE];
        foreach (byte vector in vectors) Intercepts<FakeBackend>.ApicEoi(vp, vector);
        ulong seen = 0;
        int count = 0;
        while (machine.TakeMessage(0, out HvMessage message))
        {
            Assert.Equal(HvMessageType.HvMessageTypeX64ApicEoi, message.Header.MessageType);
            seen |= 1UL << Array.IndexOf(vectors, (byte)((HvX64ApicEoiMessage*)message.Payload)->InterruptVector);
            count++;
        }
        Assert.Equal((vectors.Length, (1UL << vectors.Length) - 1), (count, seen));
        Assert.Equal(SuspendReason.Explicit, vp->SuspendReasons);
        machine.Destroy(child);
    }

    [Fact]
    public void MessagesGoThroughPorts()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        ulong free = child->Account.Count;
        Assert.True(machine.Call(HvCallCreatePort, Port(child, 7, PartitionId.Self, HvPortType.HvPortTypeMessage, 5)).IsSuccess);
        Assert.True(machine.Call(HvCallCreatePort, Port(child, 7, PartitionId.Self, HvPortType.HvPortTypeMessage, 5)) == HvStatus.HV_STATUS_INVALID_PORT_ID);
        Assert.True(machine.Call(HvCallConnectPort, Connection(child, 9, child->Id, 8, HvPortType.HvPortTypeMessage)) == HvStatus.HV_STATUS_INVALID_PORT_ID);
        Assert.True(machine.Call(HvCallConnectPort, Connection(child, 9, child->Id, 7, HvPortType.HvPortTypeEvent)) == HvStatus.HV_STATUS_INVALID_PARAMETER);
        Assert.True(machine.Call(HvCallConnectPort, Connection(child, 9, child->Id, 7, HvPortType.HvPortTypeMessage)).IsSuccess);

        HvInputPostMessage* post = TestMachine.At<HvInputPostMessage>(machine.GuestMemory + 0x3000);
        *post = new() { ConnectionId = 9, MessageType = 1, PayloadSize = 8 };
        // One fills the slot, sixteen wait.
        for (ulong i = 0; i < 17; i++)
        {
            post->Payload[0] = i;
            Assert.True(Post().IsSuccess);
        }
        Assert.True(Post() == HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS);
        HvMessage* slot = TestMachine.At<HvMessage>(machine.GuestMemory + 0x1000) + 5;
        for (ulong i = 0; i < 10; i++)
        {
            Assert.Equal((1u, 7UL, 8, i), (slot->Header.MessageType, slot->Header.SenderOrPort, (int)slot->Header.PayloadSize, slot->Payload[0]));
            slot->Header.MessageType = 0;
            Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_EOM, 0));
        }
        Assert.True(vp->Apic.IsRequested(0x45));
        post->PayloadSize = 241;
        Assert.True(Post() == HvStatus.HV_STATUS_INVALID_PARAMETER);
        *post = new() { ConnectionId = 9, MessageType = 0x80000001 };
        Assert.True(Post() == HvStatus.HV_STATUS_INVALID_PARAMETER);
        *post = new() { ConnectionId = 10, MessageType = 1 };
        Assert.True(Post() == HvStatus.HV_STATUS_INVALID_CONNECTION_ID);

        // With the port go its messages; the connection leads nowhere.
        Assert.NotEqual(0u, vp->Synic.QueuedSints);
        Assert.True(machine.Call(HvCallDeletePort, new HvInputDeletePort { PortPartition = new(child->Id), PortId = 7 }).IsSuccess);
        Assert.Equal(0u, vp->Synic.QueuedSints);
        *post = new() { ConnectionId = 9, MessageType = 1 };
        Assert.True(Post() == HvStatus.HV_STATUS_INVALID_PORT_ID);
        Assert.True(machine.Call(HvCallDisconnectPort, new HvInputDisconnectPort { ConnectionPartition = new(child->Id), ConnectionId = 9 }).IsSuccess);
        Assert.Equal(free - 1, child->Account.Count); // the table's page stays
        machine.Destroy(child);

        HvStatus Post() => machine.Call(child->GetVp(0), HvCallPostMessage, 0x3000, 0).Status;
    }

    [Fact]
    public void EventsGoThroughPortsBothWays()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        HvInputCreatePort toChild = Port(child, 3, new PartitionId(Partition.RootId), HvPortType.HvPortTypeEvent, 6);
        toChild.PortInfo.BaseFlagNumber = 100;
        toChild.PortInfo.FlagCount = 4;
        Assert.True(machine.Call(HvCallCreatePort, toChild).IsSuccess);
        Assert.True(machine.Call(HvCallConnectPort, Connection(machine.Root, 1, child->Id, 3, HvPortType.HvPortTypeEvent)).IsSuccess);
        Assert.True(machine.Call(machine.RootVp, HvCallSignalEvent | Fast, 1 | 2UL << 32, 0).Status.IsSuccess);
        Assert.True((TestMachine.At<byte>(machine.GuestMemory + 0x2000 + 6 * 256)[102 / 8] & 1 << 102 % 8) != 0);
        Assert.True(vp->Apic.IsRequested(0x46));
        Assert.True(machine.Call(machine.RootVp, HvCallSignalEvent | Fast, 1 | 4UL << 32, 0).Status == HvStatus.HV_STATUS_INVALID_PARAMETER);

        Assert.True(machine.Call(HvCallCreatePort, EventPort(machine.Root, 3, new PartitionId(child->Id), 4)).IsSuccess);
        Assert.True(machine.Call(HvCallConnectPort, Connection(child, 1, Partition.RootId, 3, HvPortType.HvPortTypeEvent)).IsSuccess);
        *TestMachine.At<ulong>(machine.GuestMemory + 0x3000) = 1;
        Assert.True(machine.Call(vp, HvCallSignalEvent, 0x3000, 0).Status.IsSuccess);
        Assert.True((TestMachine.At<byte>(machine.EventPage + 4 * 256)[0] & 1) != 0);
        TestMachine.At<byte>(machine.EventPage + 4 * 256)[0] = 0;
        // Nobody else may use the port that was made for the child.
        Assert.True(machine.Call(HvCallConnectPort, Connection(machine.Root, 2, Partition.RootId, 3, HvPortType.HvPortTypeEvent)) == HvStatus.HV_STATUS_INVALID_PORT_ID);

        Assert.True(machine.Call(HvCallSignalEventDirect, new HvInputSignalEventDirect { TargetPartition = new(child->Id), TargetSint = 9, FlagNumber = 1500 }, out ulong newly).IsSuccess);
        Assert.Equal(1UL, newly);
        Assert.True(machine.Call(HvCallSignalEventDirect, new HvInputSignalEventDirect { TargetPartition = new(child->Id), TargetSint = 9, FlagNumber = 1500 }, out newly).IsSuccess);
        Assert.Equal(0UL, newly);
        var direct = new HvInputPostMessageDirect { PartitionId = new(child->Id), SintIndex = 2 };
        direct.Message.Header.MessageType = 5;
        Assert.True(machine.Call(HvCallPostMessageDirect, direct).IsSuccess);
        Assert.True(machine.Call(HvCallPostMessageDirect, direct) == HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS);

        Assert.True(machine.Call(HvCallDisconnectPort, new HvInputDisconnectPort { ConnectionPartition = PartitionId.Self, ConnectionId = 1 }).IsSuccess);
        Assert.True(machine.Call(HvCallDeletePort, new HvInputDeletePort { PortPartition = PartitionId.Self, PortId = 3 }).IsSuccess);
        Assert.True(machine.Call(vp, HvCallSignalEvent, 0x3000, 0).Status == HvStatus.HV_STATUS_INVALID_PORT_ID);
        machine.Destroy(child);
    }

    private static HvInputCreatePort Port(Partition* owner, uint id, PartitionId sender, uint type, uint sint) => new()
    {
        PortPartition = new(owner->Id), PortId = id, ConnectionPartition = sender.IsSelf ? new(owner->Id) : sender,
        PortInfo = new HvPortInfo { PortType = type, TargetSint = sint, TargetVp = VpIndex.Any },
    };

    private static HvInputCreatePort EventPort(Partition* owner, uint id, PartitionId sender, uint sint)
    {
        HvInputCreatePort port = Port(owner, id, sender, HvPortType.HvPortTypeEvent, sint);
        port.PortInfo.FlagCount = 1;
        return port;
    }

    private static HvInputConnectPort Connection(Partition* sender, uint id, ulong owner, uint port, uint type) => new()
    {
        ConnectionPartition = new(sender->Id), ConnectionId = id, PortPartition = new(owner), PortId = port, ConnectionInfo = new HvConnectionInfo { PortType = type },
    };

    [Fact]
    public void DeviceInterruptsAreMappedAndMoved()
    {
        Assert.True(machine.RootVp->Apic.TryWriteMmio(0xF0, 0x1FF, 0, out _));
        HvInputMapDeviceInterrupt map = new()
        {
            PartitionId = PartitionId.Self, DeviceId = HvDeviceId.IoApic(2), BaseIrtIdx = 11,
            LogicalInterruptEntry = new() { InterruptSource = HvInterruptSource.HvInterruptSourceIoApic, IoApicRte = 0xA055 },
            InterruptDescriptor = new() { TriggerMode = 1, VectorCount = 1, Target = new() { Vector = 0x55, VpMaskOrFormat = 1 } },
        };
        Assert.True(machine.Call(HvCallMapDeviceInterrupt, map, out HvOutputMapDeviceInterrupt given).IsSuccess);
        Assert.Equal((uint)given.InterruptEntry.IoApicRte, Lamina.X64.Mmio.IoApic[0x10 + 2 * 11]);
        Assert.Equal(0xA000u, (uint)given.InterruptEntry.IoApicRte & 0x1FF00);
        Assert.True(machine.Call(HvCallMapDeviceInterrupt, map) == HvStatus.HV_STATUS_OBJECT_IN_USE);
        int physical = (byte)given.InterruptEntry.IoApicRte;
        Assert.True(machine.Call(HvCallRetargetDeviceInterrupt, new HvInputRetargetDeviceInterrupt { PartitionId = PartitionId.Self, InterruptEntry = given.InterruptEntry, InterruptTarget = new() { Vector = 0x66, VpMaskOrFormat = 1 } }).IsSuccess);
        Assert.True(DeviceInterrupts.TryAccept(physical, out VirtualProcessor* target, out byte vector, out bool level));
        Assert.True(target == machine.RootVp && vector == 0x66 && level);
        Assert.True(machine.Call(HvCallUnmapDeviceInterrupt, new HvInputUnmapDeviceInterrupt { PartitionId = PartitionId.Self, DeviceId = HvDeviceId.IoApic(2), InterruptEntry = given.InterruptEntry }).IsSuccess);
        Assert.NotEqual(0u, Lamina.X64.Mmio.IoApic[0x10 + 2 * 11] & 1 << 16);
        map.InterruptDescriptor.Target.VpMaskOrFormat = 2;
        Assert.True(machine.Call(HvCallMapDeviceInterrupt, map) == HvStatus.HV_STATUS_INVALID_VP_INDEX);

        HvInputMapDeviceInterrupt message = new()
        {
            PartitionId = PartitionId.Self, DeviceId = HvDeviceId.Pci(0, 0x18),
            LogicalInterruptEntry = new() { InterruptSource = HvInterruptSource.HvInterruptSourceMsi },
            InterruptDescriptor = new() { VectorCount = 1, Target = new() { Vector = 0x44, VpMaskOrFormat = 1 } },
        };
        Assert.True(machine.Call(HvCallMapDeviceInterrupt, message, out given).IsSuccess);
        Assert.Equal(0xFEE00000u, given.InterruptEntry.MsiAddress & 0xFFF00000);
        HvInputUnmapDeviceInterrupt unmap = new() { PartitionId = PartitionId.Self, DeviceId = HvDeviceId.Pci(0, 0x18), InterruptEntry = given.InterruptEntry };
        Assert.True(machine.Call(HvCallUnmapDeviceInterrupt, unmap).IsSuccess);
        Assert.True(machine.Call(HvCallUnmapDeviceInterrupt, unmap) == HvStatus.HV_STATUS_NOT_FOUND);
    }

    [Fact]
    public void GuestAddressesAreTranslated()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        ulong tables = machine.GuestMemory + 0x10000;
        *TestMachine.At<ulong>(tables) = 0x11007;
        *TestMachine.At<ulong>(tables + 0x1000) = 0x12007;
        *TestMachine.At<ulong>(tables + 0x2000) = 0x13007;
        TestMachine.At<ulong>(tables + 0x3000)[4] = 0x20003;  // supervisor, writable
        TestMachine.At<ulong>(tables + 0x3000)[5] = 0x21001;  // read-only
        TestMachine.At<ulong>(tables + 0x3000)[6] = 0x70003;  // no memory there
        FakeBackend.State(vp)->Cr3 = 0x10000;
        FakeBackend.State(vp)->Cr0 |= 1 << 16;
        const ulong set = HvTranslateGvaControlFlags.HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS;
        Assert.Equal((0u, 0x20UL), Translate(4, 2 | set));
        Assert.Equal((0x11027UL, 0x20063UL), (*TestMachine.At<ulong>(tables), TestMachine.At<ulong>(tables + 0x3000)[4]));
        Assert.Equal((0u, 0x21UL), Translate(5, 1 | set));
        Assert.Equal(0x21021UL, TestMachine.At<ulong>(tables + 0x3000)[5]);
        Assert.Equal(HvTranslateGvaResultCode.HvTranslateGvaPrivilegeViolation, Translate(5, 2).Item1);
        Assert.Equal(HvTranslateGvaResultCode.HvTranslateGvaPrivilegeViolation, Translate(4, 1 | HvTranslateGvaControlFlags.HV_TRANSLATE_GVA_USER_ACCESS).Item1);
        Assert.Equal(HvTranslateGvaResultCode.HvTranslateGvaPageNotPresent, Translate(7, 1).Item1);
        Assert.Equal((HvTranslateGvaResultCode.HvTranslateGvaGpaUnmapped, 0x70UL), Translate(6, 1));
        machine.Destroy(child);

        (uint, ulong) Translate(ulong page, ulong flags)
        {
            Assert.True(machine.Call(HvCallTranslateVirtualAddress, new HvInputTranslateVirtualAddress { PartitionId = new(child->Id), ControlFlags = flags, GvaPage = page }, out HvOutputTranslateVirtualAddress result).IsSuccess);
            return (result.ResultCode, result.GpaPage);
        }
    }

    [Fact]
    public void InterceptsAreInstalledAndRemoved()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        Assert.True(Install(HvInterceptType.HvInterceptTypeX64IoPortRange, 3, HvInterceptParameters.IoPortRange(0x7FFE, 0x8001)).IsSuccess);
        Assert.Equal(0xC0, PhysicalMap.ToPointer(child->PortIntercepts[0])[0xFFF]);
        Assert.Equal(0x03, PhysicalMap.ToPointer(child->PortIntercepts[1])[0]);
        Assert.True(Install(HvInterceptType.HvInterceptTypeX64IoPort, 0, new(0x8000)).IsSuccess);
        Assert.Equal(0x02, PhysicalMap.ToPointer(child->PortIntercepts[1])[0]);
        Assert.True(Install(HvInterceptType.HvInterceptTypeException, 4, new(6)).IsSuccess);
        Assert.Equal(1u << 6, FakeBackend.State(vp)->ExceptionIntercepts);
        Assert.True(Install(HvInterceptType.HvInterceptTypeException, 0, new(6)).IsSuccess);
        Assert.Equal(0u, FakeBackend.State(vp)->ExceptionIntercepts);
        Assert.True(Install(HvInterceptType.HvInterceptTypeException, 4, new(18)) == HvStatus.HV_STATUS_INVALID_PARAMETER);
        Assert.True(Install(HvInterceptType.HvInterceptTypeException, 4, new(32)) == HvStatus.HV_STATUS_INVALID_PARAMETER);
        Assert.True(Install(HvInterceptType.HvInterceptTypeX64Msr, 3, default).IsSuccess && child->MsrInterceptInstalled);
        vp->Gpr[Gpr.Rcx] = 0x12345;
        MsrExits<FakeBackend>.Read(vp);
        Assert.True(machine.TakeMessage(0, out HvMessage message));
        Assert.Equal((HvMessageType.HvMessageTypeMsrIntercept, 0x12345u), (message.Header.MessageType, ((HvX64MsrInterceptMessage*)message.Payload)->MsrNumber));

        for (uint leaf = 0; leaf < 8; leaf++) Assert.True(Install(HvInterceptType.HvInterceptTypeX64Cpuid, 4, new(0x40000000 + leaf)).IsSuccess);
        Assert.True(Install(HvInterceptType.HvInterceptTypeX64Cpuid, 4, new(0x80000000)) == HvStatus.HV_STATUS_NO_RESOURCES);
        Assert.True(Install(HvInterceptType.HvInterceptTypeX64Cpuid, 0, new(0x40000003)).IsSuccess);
        Assert.True(!child->InterceptsCpuid(0x40000003) && child->InterceptsCpuid(0x40000007) && child->InterceptsCpuid(0x40000000));
        vp->Gpr[Gpr.Rax] = 0x40000000;
        CpuidPolicy.Execute<FakeBackend>(vp);
        Assert.True(machine.TakeMessage(0, out message));
        HvX64CpuidInterceptMessage* cpuid = (HvX64CpuidInterceptMessage*)message.Payload;
        Assert.Equal((HvMessageType.HvMessageTypeX64CpuidIntercept, 0x40000000UL, 0x7263694DUL), (message.Header.MessageType, cpuid->Rax, cpuid->DefaultResultRbx));
        machine.Destroy(child);

        HvStatus Install(uint type, uint access, HvInterceptParameters parameters) => machine.Call(HvCallInstallIntercept,
            new HvInputInstallIntercept { PartitionId = new(child->Id), AccessType = access, InterceptType = type, InterceptParameters = parameters });
    }

    [Fact]
    public void FrozenTimeStandsStillAndGoesOnFromThere()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        Assert.True(Set(child, 0, (HvRegisterExplicitSuspend, 0)).IsSuccess);
        Assert.True(Freeze(1) == HvStatus.HV_STATUS_INVALID_PARTITION_STATE);
        Assert.True(Set(child, 0, (HvRegisterExplicitSuspend, 1)).IsSuccess);
        Assert.True(Set(child, 0, (HvRegisterStimer0Config, 0x1000 | 0x55 << 4)).IsSuccess);
        Assert.True(Set(child, 0, (HvRegisterStimer0Count, Time() + 1_000_000), (HvRegisterStimer0Config, 0x1000 | 0x55 << 4 | 1)).IsSuccess);
        Assert.True(vp->Timer.IsArmed);
        Assert.True(Freeze(1).IsSuccess);
        ulong frozen = Time();
        ulong guestTsc = child->FrozenSince + vp->TscOffset;
        Assert.False(vp->Timer.IsArmed);
        Lamina.X64.Instructions.Tsc += 10_000_000_000;
        Assert.Equal(frozen, Time());
        Assert.True(Freeze(1).IsSuccess);
        Assert.Equal(frozen, Time());
        Assert.True(Freeze(0).IsSuccess);
        Assert.InRange(Time(), frozen, frozen + 100);
        Assert.InRange(Lamina.X64.Instructions.RdTsc() + vp->TscOffset, guestTsc, guestTsc + 100_000);
        Assert.Equal(vp->TscOffset, FakeBackend.State(vp)->TscOffset);
        Assert.True(vp->Timer.IsArmed);
        Assert.True(Freeze(2) == HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
        machine.Destroy(child);

        HvStatus Freeze(ulong value) => machine.Call(HvCallSetPartitionProperty,
            new HvInputSetPartitionProperty { PartitionId = new(child->Id), PropertyCode = HvPartitionPropertyCode.HvPartitionPropertyTimeFreeze, PropertyValue = value });
        ulong Time() => PartitionTime<FakeBackend>.Now(child);
    }

    [Fact]
    public void PropertiesHaveTheirRanges()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuWeight, 500).IsSuccess);
        Assert.Equal((500u, 500UL), (vp->Scheduling.Weight, GetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuWeight)));
        Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuWeight, 10001) == HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
        Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuWeight, 0) == HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
        Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuCap, 0x4000).IsSuccess);
        Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuReserve, 0x2000).IsSuccess);
        Assert.Equal((500u, 0x4000u, 0x2000u), (vp->Scheduling.Weight, vp->Scheduling.Cap, vp->Scheduling.Reserve));
        Assert.Equal((0x4000UL, 0x2000UL), (GetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuCap), GetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuReserve)));
        foreach (ulong wrong in new ulong[] { 0x10001, 0x1_0000_4000, ulong.MaxValue })
        {
            Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuCap, wrong) == HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
            Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyCpuReserve, wrong) == HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
        }
        Assert.Equal((0x4000u, 0x2000u), (vp->Scheduling.Cap, vp->Scheduling.Reserve));
        ulong privileges = GetProperty(HvPartitionPropertyCode.HvPartitionPropertyPrivilegeFlags);
        Assert.Equal(DefaultPrivileges.Child.Value, privileges);
        Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyPrivilegeFlags, privileges | PartitionPrivileges.CreatePartitions.Value) == HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
        Assert.True(SetProperty(HvPartitionPropertyCode.HvPartitionPropertyPrivilegeFlags, privileges & ~PartitionPrivileges.SignalEvents.Value).IsSuccess);
        Assert.True(machine.Call(vp, HvCallSignalEvent | Fast, 1, 0).Status == HvStatus.HV_STATUS_ACCESS_DENIED);
        Assert.True(SetProperty(0x12345, 0) == HvStatus.HV_STATUS_UNKNOWN_PROPERTY);
        machine.Destroy(child);

        HvStatus SetProperty(uint code, ulong value) => machine.Call(HvCallSetPartitionProperty, new HvInputSetPartitionProperty { PartitionId = new(child->Id), PropertyCode = code, PropertyValue = value });
        ulong GetProperty(uint code)
        {
            Assert.True(machine.Call(HvCallGetPartitionProperty, new HvInputGetPartitionProperty { PartitionId = new(child->Id), PropertyCode = code }, out HvOutputGetPartitionProperty value).IsSuccess);
            return value.PropertyValue;
        }
    }
}
