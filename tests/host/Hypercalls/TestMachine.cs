// A machine of 64 MiB with a core and a root partition, on the heap; hypercalls are made as a guest makes them.
using System;
using System.Runtime.InteropServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Hypercalls;

/// <summary>The core's state is static: one machine for all of these tests, which therefore do not run side by side.</summary>
[CollectionDefinition("core")]
public sealed class CoreCollection : ICollectionFixture<TestMachine> { }

public sealed unsafe class TestMachine
{
    public const ulong Page = 4096, Large = 512 * Page, Size = 64 << 20, CoreSize = 4 << 20, AccountPages = 64;

    public readonly ulong Memory;
    public readonly Partition* Root;
    public readonly VirtualProcessor* RootVp;

    // Where the root keeps things. The first 2 MiB behind the core's are for parameters.
    private ulong Parameters => Memory + CoreSize;
    public ulong InputGpa => Parameters;
    public ulong OutputGpa => Parameters + Page;
    public ulong MessagePage => Parameters + 2 * Page;
    public ulong EventPage => Parameters + 3 * Page;
    public ulong Scratch(ulong index) => Parameters + (8 + index) * Page;
    /// <summary>RAM that nobody uses, 2 MiB aligned.</summary>
    public ulong Free => Memory + CoreSize + Large;

    public TestMachine()
    {
        byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)Size, (nuint)Large);
        new Span<byte>(memory, (int)Size).Clear();
        Memory = PhysicalMap.ToPhysical(memory);
        MemoryRange range = new() { Base = Memory, Length = Size, Type = MemoryRangeType.Usable };
        PhysicalMemoryRanges.Initialize(&range, 1);
        CoreMemory.Initialize(Memory, CoreSize, Page, Page);
        CpuidPolicy.Initialize();
        DeviceInterrupts.Initialize();
        Scheduler<FakeBackend>.Initialize(LogicalProcessor.Current);

        Assert.True(CoreMemory.TryTakePage(out ulong page));
        Root = Partitions.Install(page, Partition.RootId);
        Root->IsRoot = true;
        Root->CpuReserve = SchedulerEntity.Precedence;
        Root->State = PartitionState.Active;
        Root->Time.TryInitialize(Clock.TscHz, Clock.Now);
        for (ulong i = 0; i < AccountPages; i++)
        {
            Assert.True(CoreMemory.TryTakePage(out page));
            Root->Account.AddZeroed(page);
        }
        Root->DepositedPages = AccountPages;
        Assert.True(FakeBackend.InitializeSecondStage(Root).IsSuccess);
        ulong start = Memory + CoreSize;
        Assert.True(FakeBackend.MapGpa(Root, start, start, (Size - CoreSize) / Page, PagePermissions.ReadWriteExecute, PageSize.Page1G).Succeeded);
        Assert.True(VirtualProcessors<FakeBackend>.Create(Root, 0, out RootVp).IsSuccess);
        RootVp->SuspendReasons = 0;
        LogicalProcessor.Current->Running = RootVp;
        LogicalProcessor.Current->Loaded = RootVp;
        EnterLongMode(RootVp);
        EnableHypercalls(RootVp);
        EnableSynic(RootVp, MessagePage, EventPage);
    }

    public static T* At<T>(ulong physical) where T : unmanaged => (T*)PhysicalMap.ToPointer(physical);

    public static void EnterLongMode(VirtualProcessor* vp)
    {
        FakeState* state = FakeBackend.State(vp);
        state->Cr0 = 0x80000001;
        state->Efer = 1 << 8 | 1 << 10;
        state->Cr4 = 1 << 5;
        state->Is64Bit = true;
    }

    public void EnableHypercalls(VirtualProcessor* vp)
    {
        vp->Partition->GuestOsId = 1;
        vp->Partition->HypercallMsr = 1;
    }

    public static void EnableSynic(VirtualProcessor* vp, ulong messages, ulong events)
    {
        Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_SIMP, messages | 1));
        Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_SIEFP, events | 1));
        for (uint sint = 0; sint < 16; sint++) Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_SINT0 + sint, 0x40 + sint));
        Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_SCONTROL, 1));
    }

    /// <summary>Entries that the last call took.</summary>
    public int Entries;

    /// <summary>A hypercall to its end.</summary>
    public HypercallResult Call(VirtualProcessor* vp, ulong control, ulong input, ulong output)
    {
        ulong rip = FakeBackend.State(vp)->Rip;
        vp->Gpr[Gpr.Rcx] = control;
        vp->Gpr[Gpr.Rdx] = input;
        vp->Gpr[Gpr.R8] = output;
        for (Entries = 1; ; Entries++)
        {
            HypercallDispatch<FakeBackend>.Handle(vp);
            if (FakeBackend.State(vp)->Rip != rip) break;
            Assert.False(FakeBackend.State(vp)->ExceptionPending);
            Assert.True(Entries < 5000);
        }
        Assert.Equal(rip + 3, FakeBackend.State(vp)->Rip);
        return new HypercallResult(vp->Gpr[Gpr.Rax]);
    }

    /// <summary>A simple call of the root with parameters and result as structures.</summary>
    public HvStatus Call<T>(ushort code, T input) where T : unmanaged
    {
        *At<T>(InputGpa) = input;
        return Call(RootVp, code, InputGpa, OutputGpa).Status;
    }

    public HvStatus Call<T, TOutput>(ushort code, T input, out TOutput output) where T : unmanaged where TOutput : unmanaged
    {
        HvStatus status = Call(code, input);
        output = *At<TOutput>(OutputGpa);
        return status;
    }

    /// <summary>A rep call of the root.</summary>
    public HypercallResult Call<T, TElement>(ushort code, T input, ReadOnlySpan<TElement> elements) where T : unmanaged where TElement : unmanaged
    {
        *At<T>(InputGpa) = input;
        elements.CopyTo(new Span<TElement>(At<byte>(InputGpa) + sizeof(T), elements.Length));
        return Call(RootVp, HypercallInput.Rep(code, (uint)elements.Length).Value, InputGpa, OutputGpa);
    }

    public HypercallResult Deposit(ulong partition, ulong start, uint count)
    {
        ulong[] pages = new ulong[count];
        for (uint i = 0; i < count; i++) pages[i] = start / Page + i;
        return Call<HvInputDepositMemory, ulong>(HypercallCode.HvCallDepositMemory, new() { PartitionId = new(partition) }, pages);
    }

    /// <summary>Withdraws until nothing comes any more; how many came.</summary>
    public ulong WithdrawAll(ulong partition)
    {
        ulong total = 0;
        while (true)
        {
            *At<HvInputWithdrawMemory>(InputGpa) = new() { PartitionId = new(partition) };
            HypercallResult result = Call(RootVp, HypercallInput.Rep(HypercallCode.HvCallWithdrawMemory, 100).Value, InputGpa, OutputGpa);
            for (uint i = 0; i < result.RepsCompleted; i++)
            {
                ulong page = At<ulong>(OutputGpa)[i] * Page;
                Assert.True(page >= Memory + CoreSize && page < Memory + Size);
                Assert.True(new Span<byte>(At<byte>(page), (int)Page).IndexOfAnyExcept((byte)0) < 0);
            }
            total += result.RepsCompleted;
            if (result.Status == HvStatus.HV_STATUS_NO_RESOURCES) return total;
            Assert.True(result.Status.IsSuccess);
        }
    }

    /// <summary>A child in state Active with memory in its account.</summary>
    public Partition* CreateChild(uint pages = 100)
    {
        Assert.True(Call(HypercallCode.HvCallCreatePartition, default(HvInputCreatePartition), out HvOutputCreatePartition created).IsSuccess);
        ulong id = created.NewPartitionId.Value;
        Assert.True(Partitions.TryFind(id, out Partition* child));
        HypercallResult deposit = Deposit(id, Free, pages);
        Assert.Equal((HvStatus.HV_STATUS_SUCCESS.Value, pages), (deposit.Status.Value, deposit.RepsCompleted));
        Assert.True(Call(HypercallCode.HvCallInitializePartition, new HvInputInitializePartition { PartitionId = new(id) }).IsSuccess);
        return child;
    }

    public VirtualProcessor* CreateVp(Partition* child, uint index = 0)
    {
        Assert.True(Call(HypercallCode.HvCallCreateVp, new HvInputCreateVp { PartitionId = new(child->Id), VpIndex = new(index) }).IsSuccess);
        VirtualProcessor* vp = child->GetVp(index);
        EnterLongMode(vp);
        return vp;
    }

    /// <summary>Maps RAM of the root's, from the middle of the machine on, at the child's address 0.</summary>
    public ulong GuestMemory => Memory + Size / 2;

    public HypercallResult MapSmall(Partition* child, ulong targetPage, ulong start, uint count, uint flags = 0xF)
    {
        ulong[] pages = new ulong[count];
        for (uint i = 0; i < count; i++) pages[i] = start / Page + i;
        return Call<HvInputMapGpaPages, ulong>(HypercallCode.HvCallMapGpaPages,
            new() { TargetPartitionId = new(child->Id), TargetGpaBase = targetPage, MapFlags = flags }, pages);
    }

    /// <summary>Ends a child; all that was deposited must come back.</summary>
    public void Destroy(Partition* child)
    {
        ulong id = child->Id, deposited = child->DepositedPages;
        Assert.True(Call(HypercallCode.HvCallFinalizePartition, new HvInputFinalizePartition { PartitionId = new(id) }).IsSuccess);
        Assert.Equal(deposited, WithdrawAll(id));
        Assert.True(Call(HypercallCode.HvCallDeletePartition, new HvInputDeletePartition { PartitionId = new(id) }).IsSuccess);
        Assert.False(Partitions.TryFind(id, out _));
        RootVp->SuspendReasons = 0;
    }

    /// <summary>Takes the message out of the root's slot, with EOM when more wait; false when there is none.</summary>
    public bool TakeMessage(int sint, out HvMessage message)
    {
        HvMessage* slot = At<HvMessage>(MessagePage) + sint;
        message = *slot;
        if (message.Header.MessageType == HvMessageType.HvMessageTypeNone) return false;
        slot->Header.MessageType = HvMessageType.HvMessageTypeNone;
        if ((slot->Header.MessageFlags & HvMessageHeader.MessagePending) != 0)
            Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(RootVp, HvMsr.HV_X64_MSR_EOM, 0));
        return true;
    }
}
