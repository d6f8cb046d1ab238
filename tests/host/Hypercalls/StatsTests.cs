// Counters: each exit once and under its name, and their page where the root may look at it and nobody else.
using System;
using System.Linq;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.Hypervisor.Memory;
using Lamina.X64.Paging;
using Xunit;
using static Lamina.Abi.HvStatsVpCounters;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class StatsTests(TestMachine machine)
{
    internal static HvInputMapStatsPage Page(ulong partition, uint vp) => new()
    {
        Type = HvStatsObjectType.HvStatsObjectVp,
        Identity = new HvStatsObjectIdentity { PartitionId = new(partition), VpIndex = new(vp) },
    };

    private HvStatus Map(ulong partition, uint vp, out ulong page)
    {
        HvStatus status = machine.Call(HvCallMapStatsPage, Page(partition, vp), out HvOutputMapStatsPage output);
        page = output.MapLocation;
        return status;
    }

    private HvStatus Unmap(ulong partition, uint vp) => machine.Call(HvCallUnmapStatsPage, Page(partition, vp));

    private bool RootSees(ulong page, out PagePermissions permissions)
    {
        bool seen = FakeBackend.TryTranslateGpa(machine.Root, page * TestMachine.Page, out ulong physical, out permissions);
        Assert.True(!seen || physical == page * TestMachine.Page);
        return seen;
    }

    [Fact]
    public void ThePageIsReadOnlyAtItsOwnAddressAsLongAsItIsMapped()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        CpuidPolicy.Execute<FakeBackend>(vp);
        Assert.True(Map(child->Id, 0, out ulong page).IsSuccess);
        Assert.Equal(PhysicalMap.ToPhysical(vp->Stats), page * TestMachine.Page);
        Assert.True(RootSees(page, out PagePermissions permissions));
        Assert.Equal((true, false, false), (permissions.Read, permissions.Write, permissions.Execute));
        Assert.Equal(1UL, TestMachine.At<HvStatsPage>(page * TestMachine.Page)->Counters[VpCpuidInstructionsCount]);

        Assert.True(Map(child->Id, 0, out ulong again).IsSuccess && again == page);
        Assert.True(Unmap(child->Id, 0).IsSuccess && RootSees(page, out _));
        uint generation = machine.Root->SecondStageGeneration;
        Assert.True(Unmap(child->Id, 0).IsSuccess && !RootSees(page, out _));
        Assert.NotEqual(generation, machine.Root->SecondStageGeneration);
        Assert.True(Unmap(child->Id, 0) == HvStatus.HV_STATUS_INVALID_VP_STATE);
        Assert.Equal(1UL, vp->Stats->Counters[VpCpuidInstructionsCount]);
        machine.Destroy(child);
    }

    [Fact]
    public void OnlyVirtualProcessorsAndOnlyTheirOwnArea()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        HvStatus parameter = HvStatus.HV_STATUS_INVALID_PARAMETER;
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Type = HvStatsObjectType.HvStatsObjectHypervisor);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Type = HvStatsObjectType.HvStatsObjectLogicalProcessor);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Type = HvStatsObjectType.HvStatsObjectPartition);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Type = 0);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Padding = 1);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Identity.Flags = 1);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Identity.Reserved = 1);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Identity.StatsAreaType = HvStatsAreaType.HvStatsAreaParent);
        Refused(parameter, (ref HvInputMapStatsPage p) => p.Identity.StatsAreaType = HvStatsAreaType.HvStatsAreaInternal);
        Refused(HvStatus.HV_STATUS_INVALID_VP_INDEX, (ref HvInputMapStatsPage p) => p.Identity.VpIndex = new(1));
        Refused(HvStatus.HV_STATUS_INVALID_VP_INDEX, (ref HvInputMapStatsPage p) => p.Identity.VpIndex = VpIndex.Self);
        Refused(HvStatus.HV_STATUS_INVALID_PARTITION_ID, (ref HvInputMapStatsPage p) => p.Identity.PartitionId = new(0x7777));
        Assert.Equal(0UL, vp->StatsMappings);

        machine.EnableHypercalls(vp);
        foreach (ushort code in new[] { HvCallMapStatsPage, HvCallUnmapStatsPage })
            Assert.True(machine.Call(vp, code, 0x10, 0x10).Status == HvStatus.HV_STATUS_ACCESS_DENIED);
        machine.Destroy(child);

        void Refused(HvStatus status, Change change)
        {
            HvInputMapStatsPage input = Page(child->Id, 0);
            change(ref input);
            Assert.Equal(status.Value, machine.Call(HvCallMapStatsPage, input).Value);
            Assert.Equal(status.Value, machine.Call(HvCallUnmapStatsPage, input).Value);
        }
    }

    private delegate void Change(ref HvInputMapStatsPage input);

    [Fact]
    public void TheRootCannotDoMoreThanLook()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        Assert.True(Map(child->Id, 0, out ulong page).IsSuccess);
        ulong gpa = page * TestMachine.Page;
        Assert.True(machine.Deposit(child->Id, gpa, 1).Status == HvStatus.HV_STATUS_INVALID_PARAMETER);
        // Not even for reading: the child would see whatever the page becomes.
        Assert.True(machine.MapSmall(child, 0, gpa, 1, HvMapGpaFlags.HV_MAP_GPA_READABLE).Status == HvStatus.HV_STATUS_INVALID_PARAMETER);
        Assert.True(machine.Call(machine.RootVp, HvCallGetPartitionId, machine.InputGpa, gpa).Status == HvStatus.HV_STATUS_INVALID_ALIGNMENT);
        Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_SIMP, gpa | 1));
        Assert.False(machine.RootVp->Synic.AcceptsMessages);
        Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_SIMP, machine.MessagePage | 1));
        Assert.True(machine.RootVp->Synic.AcceptsMessages);
        for (uint i = 0; i < HvStatsPage.CounterCount; i++) Assert.Equal(0UL, vp->Stats->Counters[i]);
        machine.Destroy(child);
    }

    [Theory]
    [InlineData(HvCallDeleteVp)]
    [InlineData(HvCallFinalizePartition)]
    public void WhatGoesAwayTakesItsPageOutOfTheRoot(ushort code)
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        for (int i = 0; i < 3; i++) Assert.True(Map(child->Id, 0, out _).IsSuccess);
        Assert.True(Map(child->Id, 0, out ulong page).IsSuccess);
        // The core may remember that page as one of parameters.
        HvStatsPage* stats = TestMachine.At<HvStatsPage>(page * TestMachine.Page);
        stats->Counters[0] = child->Id;
        Assert.True(machine.Call(machine.RootVp, HvCallGetMemoryBalance, page * TestMachine.Page, machine.OutputGpa).Status.IsSuccess);
        Assert.True(machine.Call(code, new HvInputDeleteVp { PartitionId = new(child->Id) }).IsSuccess);
        Assert.False(RootSees(page, out _));
        Assert.True(machine.Call(machine.RootVp, HvCallGetMemoryBalance, page * TestMachine.Page, machine.OutputGpa).Status == HvStatus.HV_STATUS_INVALID_ALIGNMENT);
        // Its account has it, with nothing in it but the link to the next.
        Assert.True(new Span<byte>((byte*)stats + 8, 4088).IndexOfAnyExcept((byte)0) < 0);
        if (code == HvCallDeleteVp)
        {
            vp = machine.CreateVp(child);
            Assert.Equal(0UL, vp->StatsMappings);
            for (uint i = 0; i < HvStatsPage.CounterCount; i++) Assert.Equal(0UL, vp->Stats->Counters[i]);
            Assert.False(RootSees(PhysicalMap.ToPhysical(vp->Stats) / TestMachine.Page, out _));
            machine.Destroy(child);
            return;
        }
        Assert.Equal(child->DepositedPages, machine.WithdrawAll(child->Id));
        Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = new(child->Id) }).IsSuccess);
        Assert.True(RootSees(page, out PagePermissions permissions) && permissions.Write && permissions.Execute);
    }

    /// <summary>Its page is the core's own, where the root has no table yet.</summary>
    [Fact]
    public void TheRootLooksAtItselfAndPaysForTheTable()
    {
        PagePool<PhysicalMap> kept = default;
        machine.Root->Account.MoveAllTo(ref kept);
        Assert.True(Map(ulong.MaxValue, 0, out _) == HvStatus.HV_STATUS_INSUFFICIENT_MEMORY);
        Assert.Equal(0UL, machine.RootVp->StatsMappings);
        kept.MoveAllTo(ref machine.Root->Account);
        ulong before = machine.RootVp->Stats->Counters[VpHypercallsCount];
        Assert.True(Map(ulong.MaxValue, uint.MaxValue - 1, out ulong page).IsSuccess);
        Assert.True(RootSees(page, out PagePermissions permissions) && !permissions.Write);
        Assert.Equal(before + 1, TestMachine.At<HvStatsPage>(page * TestMachine.Page)->Counters[VpHypercallsCount]);
        Assert.False(GuestPages<FakeBackend>.TryGetPointer(machine.Root, page * TestMachine.Page, false, out _));
        Assert.True(Unmap(Partition.RootId, 0).IsSuccess && !RootSees(page, out _));
    }

    [Fact]
    public void EachExitIsCountedOnceUnderItsName()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        Assert.True(machine.MapSmall(child, 0, machine.GuestMemory, 8).Status.IsSuccess);
        machine.EnableHypercalls(vp);
        TestMachine.EnableSynic(vp, 0x1000, 0x2000);
        ulong[] expected = new ulong[HvStatsPage.CounterCount];

        Exit(VpCpuidInstructionsCount, () => CpuidPolicy.Execute<FakeBackend>(child->GetVp(0)));
        Exit(VpHypercallsCount, () => machine.Call(child->GetVp(0), 0xBEEF, 0, 0));
        Exit(VpIoInstructionsCount, () => PortExits<FakeBackend>.Handle(child->GetVp(0), 0x80, new(1, false, false), true, 1));
        Exit(VpMsrAccessesCount, () => MsrExits<FakeBackend>.Read(child->GetVp(0)));
        WriteMsr(VpMsrAccessesCount, 0xC0000103, 1);
        WriteMsr(VpMsrAccessesCount, HvMsr.HV_X64_MSR_GUEST_OS_ID, 1);
        WriteMsr(VpApicEoiAccesses, HvMsr.HV_X64_MSR_EOI, 0);
        WriteMsr(VpApicTprAccesses, HvMsr.HV_X64_MSR_TPR, 0);
        WriteMsr(VpApicIpisSent, HvMsr.HV_X64_MSR_ICR, 0x4031);

        ApicPage(VpApicMmioAccesses, 0x030, false);
        ApicPage(VpApicMmioAccesses, 0x0F0, true, 0x1FF);
        ApicPage(VpApicEoiAccesses, 0x0B0, true);
        ApicPage(VpApicTprAccesses, 0x080, true);
        ApicPage(VpApicIpisSent, 0x300, true, 0x4031);
        ApicPage(VpApicMmioAccesses, 0x304, true, 0x4031);
        // An event whose delivery touched the page: no access of an instruction's.
        FakeBackend.State(vp)->ExceptionPending = true;
        ApicPage(VpNestedPageFaultInterceptsCount, 0x0B0, true);
        *TestMachine.At<ushort>(machine.GuestMemory + 0x5000) = 0x0B0F; // UD2
        Exit(VpApicMmioAccesses, () => MemoryExits<FakeBackend>.Handle(child->GetVp(0), 0xFEE00300, true, false, false));

        // What the parent is told of is counted as a message, too.
        expected[VpMemoryInterceptMessages]++;
        Exit(VpNestedPageFaultInterceptsCount, () => MemoryExits<FakeBackend>.Handle(child->GetVp(0), 0xD0000000, true, false, false));
        Assert.True(machine.TakeMessage(0, out _));
        expected[VpIoInterceptMessages]++;
        Exit(VpIoInstructionsCount, () => PortExits<FakeBackend>.Handle(child->GetVp(0), 0x80, new(1, true, false), true, 1));
        Assert.True(machine.TakeMessage(0, out _));
        child->MsrInterceptInstalled = true;
        expected[VpOtherMessages]++;
        WriteMsr(VpMsrAccessesCount, 0x12345, 0);
        Assert.True(machine.TakeMessage(0, out _));
        machine.Destroy(child);

        void Exit(uint counter, Action exit)
        {
            VirtualProcessor* guest = child->GetVp(0);
            expected[counter]++;
            exit();
            FakeBackend.State(guest)->ExceptionPending = false;
            for (uint i = 0; i < HvStatsPage.CounterCount; i++)
                Assert.True(expected[i] == guest->Stats->Counters[i], $"{NameOf(counter)}: counter {i} ({NameOf(i)}) is {guest->Stats->Counters[i]}, not {expected[i]}");
        }

        void WriteMsr(uint counter, uint msr, uint value)
        {
            vp->Gpr[Gpr.Rcx] = msr;
            vp->Gpr[Gpr.Rax] = value;
            vp->Gpr[Gpr.Rdx] = 0;
            Exit(counter, () => MsrExits<FakeBackend>.Write(child->GetVp(0)));
        }

        void ApicPage(uint counter, uint offset, bool write, uint value = 0)
        {
            // 32-bit code without paging: MOV [EBX], EAX or MOV EAX, [EBX].
            FakeState* state = FakeBackend.State(vp);
            state->Cr0 = 1;
            state->Efer = 0;
            state->Cs = new HvX64SegmentRegister { Attributes = new HvX64SegmentAttributes(0xC09B) };
            state->Rip = 0x5000;
            vp->Gpr[Gpr.Rax] = value;
            *TestMachine.At<ushort>(machine.GuestMemory + 0x5000) = (ushort)(write ? 0x0389 : 0x038B);
            Exit(counter, () => MemoryExits<FakeBackend>.Handle(child->GetVp(0), 0xFEE00000 + offset, write, false, false));
            state->Rip = 0x5000;
        }
    }

    private static string NameOf(uint counter) =>
        typeof(HvStatsVpCounters).GetFields().SingleOrDefault(field => Convert.ToUInt32(field.GetRawConstantValue()) == counter)?.Name ?? "?";

    [Fact]
    public void InterruptsAreCountedWhenTheGuestTakesThem()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        Assert.True(machine.MapSmall(child, 0, machine.GuestMemory, 8).Status.IsSuccess);
        TestMachine.EnableSynic(vp, 0x1000, 0x2000);
        Assert.True(vp->Apic.TryWriteMmio(0xF0, 0x1FF, 0, out _));
        Interrupts<FakeBackend>.Assert(vp, 0x50, false);
        Interrupts<FakeBackend>.PrepareEntry(vp);
        Assert.Equal(0UL, vp->Stats->Counters[VpVirtualInterrupts]);
        FakeBackend.State(vp)->OfferTaken = true;
        Interrupts<FakeBackend>.Synchronize(vp);
        Interrupts<FakeBackend>.Synchronize(vp);
        Assert.Equal(1UL, vp->Stats->Counters[VpVirtualInterrupts]);

        // One that needs no EOI is injected, not offered.
        Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_SINT0 + 2, 0x60 | 1 << 17));
        FakeBackend.State(vp)->Rflags |= 1 << 9;
        Interrupts<FakeBackend>.Assert(vp, 0x60, false);
        Interrupts<FakeBackend>.PrepareEntry(vp);
        Assert.Equal(2UL, vp->Stats->Counters[VpVirtualInterrupts]);
        machine.Destroy(child);
    }
}
