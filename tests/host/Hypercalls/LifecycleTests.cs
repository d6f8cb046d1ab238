// Partitions from creation to deletion: what they take comes back, whatever order things are done in.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Paging;
using Xunit;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class LifecycleTests(TestMachine machine)
{
    [Fact]
    public void StructuresFitTheirPages()
    {
        Assert.True(sizeof(VirtualProcessor) <= 4096, $"VirtualProcessor has {sizeof(VirtualProcessor)} bytes");
        Assert.True(sizeof(Partition) <= 4096, $"Partition has {sizeof(Partition)} bytes");
        Assert.True(sizeof(Lamina.Hypervisor.Synic.MessageBufferPool) <= 4096);
        Assert.Equal(48, sizeof(Lamina.Hypervisor.Hypercalls.PortEntry));
    }

    [Fact]
    public void TwoHundredCyclesLeaveEverythingAsItWas()
    {
        Cycle(); // the first one may split pages for good
        ulong account = machine.Root->Account.Count, core = CoreMemory.FreePages;
        for (int i = 0; i < 200; i++) Cycle();
        Assert.Equal((account, core), (machine.Root->Account.Count, CoreMemory.FreePages));
        for (ulong at = machine.Free; at < machine.Free + TestMachine.Large; at += TestMachine.Page)
        {
            Assert.True(FakeBackend.TryTranslateGpa(machine.Root, at, out ulong physical, out PagePermissions permissions, out PageSize size));
            Assert.Equal((at, PageSize.Page2M, true), (physical, size, permissions.Write));
        }
    }

    private void Cycle()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        machine.CreateVp(child, 1);
        Assert.True(machine.MapSmall(child, 0, machine.GuestMemory, 70).Status.IsSuccess);
        HypercallResult large = machine.Call<HvInputMapGpaPages, ulong>(HvCallMapGpaPages, new()
        {
            TargetPartitionId = new(child->Id), TargetGpaBase = 512, MapFlags = HvMapGpaFlags.HV_MAP_GPA_LARGE_PAGE | 0xF,
        }, [machine.GuestMemory / 4096, machine.GuestMemory / 4096 + 512]);
        Assert.True(large.Status.IsSuccess);
        Assert.True(machine.Call(HvCallInstallIntercept, new HvInputInstallIntercept
        {
            PartitionId = new(child->Id), AccessType = 3, InterceptType = HvInterceptType.HvInterceptTypeX64IoPort, InterceptParameters = new(0x3F8),
        }).IsSuccess);
        TestMachine.EnableSynic(vp, 0x1000, 0x2000);
        Intercepts<FakeBackend>.Msr(vp, 0x1234, 0);
        machine.Destroy(child);
        machine.TakeMessage(0, out _);
    }

    [Fact]
    public void ShortAccountsAreReportedAndRetried()
    {
        Assert.True(machine.Call(HvCallCreatePartition, default(HvInputCreatePartition), out HvOutputCreatePartition created).IsSuccess);
        ulong id = created.NewPartitionId.Value, next = machine.Free;
        Partitions.TryFind(id, out Partition* child);
        Retry(HvCallInitializePartition, new HvInputInitializePartition { PartitionId = new(id) });
        for (uint i = 0; i < 3; i++) Retry(HvCallCreateVp, new HvInputCreateVp { PartitionId = new(id), VpIndex = new(i) });
        Retry(HvCallInstallIntercept, new HvInputInstallIntercept { PartitionId = new(id), AccessType = 3, InterceptType = HvInterceptType.HvInterceptTypeX64IoPortRange, InterceptParameters = HvInterceptParameters.IoPortRange(0x7000, 0x9000) });
        Retry(HvCallCreatePort, new HvInputCreatePort { PortPartition = new(id), PortId = 1, ConnectionPartition = PartitionId.Self, PortInfo = new HvPortInfo { PortType = HvPortType.HvPortTypeMessage, TargetSint = 3, TargetVp = VpIndex.Any } });
        Assert.Equal(0UL, child->Account.Count);
        machine.Destroy(child);

        void Retry<T>(ushort code, T input) where T : unmanaged
        {
            HvStatus status;
            while ((status = machine.Call(code, input)) == HvStatus.HV_STATUS_INSUFFICIENT_MEMORY)
            {
                Assert.True(machine.Deposit(id, next, 1).Status.IsSuccess);
                next += 4096;
            }
            Assert.Equal(HvStatus.HV_STATUS_SUCCESS.Value, status.Value);
        }
    }

    [Fact]
    public void MappingGoesOnWhereMemoryRanOut()
    {
        Partition* child = machine.CreateChild(3);
        HypercallResult result = machine.MapSmall(child, 0x100000, machine.GuestMemory, 100);
        Assert.Equal((HvStatus.HV_STATUS_INSUFFICIENT_MEMORY.Value, 0u), (result.Status.Value, result.RepsCompleted));
        Assert.True(machine.Deposit(child->Id, machine.Free + 0x100000, 10).Status.IsSuccess);
        result = machine.MapSmall(child, 0x100000, machine.GuestMemory, 100);
        Assert.Equal((HvStatus.HV_STATUS_SUCCESS.Value, 100u), (result.Status.Value, result.RepsCompleted));
        Assert.Equal(2, machine.Entries);
        Assert.True(GuestPages<FakeBackend>.TryGetPointer(child, 0x100063123, true, out byte* page));
        Assert.Equal(machine.GuestMemory + 99 * 4096, PhysicalMap.ToPhysical(page));
        *TestMachine.At<HvInputUnmapGpaPages>(machine.InputGpa) = new() { TargetPartitionId = new(child->Id), TargetGpaBase = 0x100000 };
        result = machine.Call(machine.RootVp, HypercallInput.Rep(HvCallUnmapGpaPages, 300).Value, machine.InputGpa, 0);
        Assert.Equal((HvStatus.HV_STATUS_SUCCESS.Value, 300u), (result.Status.Value, result.RepsCompleted));
        Assert.False(GuestPages<FakeBackend>.TryGetPointer(child, 0x100063000, false, out _));
        machine.Destroy(child);
    }

    [Fact]
    public void DepositsAreRamOfTheCallersAndOnlyOnce()
    {
        Partition* child = machine.CreateChild(4);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARAMETER.Value, machine.Deposit(child->Id, machine.Free, 1).Status.Value);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARAMETER.Value, machine.Deposit(child->Id, machine.Memory + 4096, 1).Status.Value);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARAMETER.Value, machine.Deposit(child->Id, machine.Memory + TestMachine.Size, 1).Status.Value);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARAMETER.Value, machine.Deposit(child->Id, ulong.MaxValue & ~4095UL, 1).Status.Value);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARAMETER.Value, machine.Deposit(child->Id, machine.InputGpa, 1).Status.Value);
        HypercallResult mixed = machine.Call<HvInputDepositMemory, ulong>(HvCallDepositMemory, new() { PartitionId = new(child->Id) },
            [machine.Free / 4096 + 10, machine.Free / 4096 + 11, machine.Free / 4096 + 10]);
        Assert.Equal((HvStatus.HV_STATUS_INVALID_PARAMETER.Value, 2u), (mixed.Status.Value, mixed.RepsCompleted));
        // What is deposited can neither be mapped into a child nor be used for parameters.
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARAMETER.Value, machine.MapSmall(child, 0, machine.Free, 1).Status.Value);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_ALIGNMENT.Value, machine.Call(machine.RootVp, HvCallCreatePartition, machine.Free, machine.OutputGpa).Status.Value);
        // Not even when the core has seen parameters there before.
        ulong page = machine.Free + 0x100000;
        *TestMachine.At<HvInputGetMemoryBalance>(page) = new() { PartitionId = new(child->Id) };
        Assert.True(machine.Call(machine.RootVp, HvCallGetMemoryBalance, page, machine.OutputGpa).Status.IsSuccess);
        *TestMachine.At<HvInputDepositMemory>(machine.Scratch(0)) = new() { PartitionId = new(child->Id) };
        TestMachine.At<ulong>(machine.Scratch(0))[1] = page / 4096;
        ulong* parameters = TestMachine.At<ulong>(page);
        parameters[0] = child->Id;
        parameters[1] = page / 4096;
        HypercallInput one = HypercallInput.Rep(HvCallDepositMemory, 1);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARAMETER.Value, machine.Call(machine.RootVp, one.Value, page, 0).Status.Value); // its own list
        Assert.True(machine.Call(machine.RootVp, one.Value, machine.Scratch(0), 0).Status.IsSuccess);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_ALIGNMENT.Value, machine.Call(machine.RootVp, HvCallGetMemoryBalance, page, machine.OutputGpa).Status.Value);
        machine.Destroy(child);
    }

    [Fact]
    public void TheRootsAccountKeepsTheCoresPages()
    {
        ulong before = machine.Root->Account.Count;
        Assert.True(machine.Deposit(Partition.RootId, machine.Free, 70).Status.IsSuccess);
        Assert.Equal(2, machine.Entries);
        ulong back = machine.WithdrawAll(Partition.RootId);
        // One of them may have become the table that splitting the root's own map took.
        Assert.True(back is 69 or 70, $"{back} pages came back");
        Assert.Equal(before, machine.Root->Account.Count);
        Assert.True(machine.Call(HvCallGetMemoryBalance, new HvInputGetMemoryBalance { PartitionId = PartitionId.Self }, out HvOutputGetMemoryBalance balance).IsSuccess);
        Assert.Equal(machine.Root->Account.Count, balance.PagesAvailable.Value);
    }

    [Fact]
    public void OrderOfLife()
    {
        Assert.True(machine.Call(HvCallCreatePartition, default(HvInputCreatePartition), out HvOutputCreatePartition created).IsSuccess);
        PartitionId id = created.NewPartitionId;
        Assert.True(machine.Deposit(id.Value, machine.Free, 20).Status.IsSuccess);
        HvStatus state = HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        Assert.True(machine.Call(HvCallCreateVp, new HvInputCreateVp { PartitionId = id }) == state);
        Assert.True(machine.Call(HvCallFinalizePartition, new HvInputFinalizePartition { PartitionId = id }) == state);
        Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = id }) == state);
        Assert.True(machine.Call(HvCallInitializePartition, new HvInputInitializePartition { PartitionId = id }).IsSuccess);
        Assert.True(machine.Call(HvCallInitializePartition, new HvInputInitializePartition { PartitionId = id }) == state);
        Assert.True(machine.Call(HvCallCreateVp, new HvInputCreateVp { PartitionId = id }).IsSuccess);
        Assert.True(machine.Call(HvCallCreateVp, new HvInputCreateVp { PartitionId = id }) == HvStatus.HV_STATUS_OBJECT_IN_USE);
        Assert.True(machine.Call(HvCallCreateVp, new HvInputCreateVp { PartitionId = id, VpIndex = new(64) }) == HvStatus.HV_STATUS_INVALID_VP_INDEX);
        Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = id }) == state);
        Assert.True(machine.Call(HvCallFinalizePartition, new HvInputFinalizePartition { PartitionId = id }).IsSuccess);
        Assert.True(machine.Call(HvCallCreateVp, new HvInputCreateVp { PartitionId = id }) == state);
        Assert.True(machine.Deposit(id.Value, machine.Free + 0x100000, 1).Status == state);
        Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = id }) == state);
        Assert.Equal(20UL, machine.WithdrawAll(id.Value));
        Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = id }).IsSuccess);
        Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = id }) == HvStatus.HV_STATUS_INVALID_PARTITION_ID);
        // Nobody ends the root.
        Assert.True(machine.Call(HvCallFinalizePartition, new HvInputFinalizePartition { PartitionId = PartitionId.Self }) == HvStatus.HV_STATUS_ACCESS_DENIED);
    }

    [Fact]
    public void ChildrenAreListedInOrder()
    {
        Partition* first = machine.CreateChild(3);
        ulong firstId = first->Id;
        Assert.True(machine.Call(HvCallCreatePartition, default(HvInputCreatePartition), out HvOutputCreatePartition second).IsSuccess);
        Assert.True(Next(0) == firstId && Next(firstId) == second.NewPartitionId.Value && Next(second.NewPartitionId.Value) == 0);
        Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = second.NewPartitionId }).IsSuccess);
        machine.Destroy(first);

        ulong Next(ulong previous)
        {
            Assert.True(machine.Call(HvCallGetNextChildPartition, new HvInputGetNextChildPartition { ParentId = PartitionId.Self, PreviousChildId = new(previous) }, out HvOutputGetNextChildPartition next).IsSuccess);
            return next.NextChildId.Value;
        }
    }
}
