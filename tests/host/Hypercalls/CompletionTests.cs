// How a parent answers an intercept: by the short way of HvCallSetVpRegisters as by the general one, and asleep until the next if it wants.
using System;
using System.Linq;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.Hypervisor.Synic;
using Xunit;
using static Lamina.Abi.HvRegisterName;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class CompletionTests(TestMachine machine)
{
    private const uint Sint = SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX;
    private readonly Random random = new(17);

    private Partition* Guest(out VirtualProcessor* vp)
    {
        Partition* child = machine.CreateChild();
        vp = machine.CreateVp(child);
        Assert.True(Set(child->Id, 0, 0, (HvRegisterExplicitSuspend, 0)).Status.IsSuccess);
        return child;
    }

    private HypercallResult Set(ulong id, uint index, byte extension, params (uint Name, ulong Value)[] registers) =>
        machine.Call<HvInputSetVpRegisters, HvRegisterAssoc>(HypercallCode.HvCallSetVpRegisters,
            new() { PartitionId = new(id), VpIndex = new(index), Extension = extension }, registers.Select(r => new HvRegisterAssoc(r.Name, r.Value)).ToArray());

    private void Poll(bool on) => Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_SINT0 + Sint, 0x40 | (on ? 1UL << 18 : 0)));

    /// <summary>The root has said that it waits: what the world switch would do with it.</summary>
    private void Leave()
    {
        Assert.True((machine.RootVp->SuspendReasons & SuspendReason.Halt) != 0 && machine.RootVp->IdleWait);
        LogicalProcessor.Current->Running = null;
    }

    private void Return()
    {
        machine.RootVp->SuspendReasons = 0;
        machine.RootVp->IdleWait = false;
        LogicalProcessor.Current->Queue.Remove(&machine.RootVp->Scheduling, 0);
        LogicalProcessor.Current->Running = machine.RootVp;
        machine.RootVp->Work = 0;
    }

    // Three of a kind that the short way knows, others that it does not, bad names and bad values: the call with 17 registers is a general one.
    [Fact]
    public void TheShortWaySetsWhatTheGeneralOneDoes()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        uint[] names = [HvX64RegisterRax, HvX64RegisterRsp, HvX64RegisterR8 + 7, HvX64RegisterRip, HvX64RegisterRflags, HvX64RegisterCr3, HvX64RegisterPat, HvRegisterExplicitSuspend, 0x12345];
        for (int round = 0; round < 3000; round++)
        {
            (uint, ulong)[] registers = new (uint, ulong)[1 + random.Next(16)];
            for (int i = 0; i < registers.Length; i++) registers[i] = (names[random.Next(names.Length)], random.Next(3) == 0 ? 2 : (ulong)random.NextInt64());
            Clear(vp);
            HypercallResult shortResult = Set(child->Id, 0, 0, registers);
            ulong[] shortState = State(vp);
            Clear(vp);
            // Padded in front with a register that is then cleared again, so that it is more than the short way takes.
            var padded = Enumerable.Repeat((HvX64RegisterRbx, 0UL), 17).Concat(registers).ToArray();
            HypercallResult general = Set(child->Id, 0, 0, padded);
            Assert.Equal(shortState, State(vp));
            Assert.Equal(general.Status.Value, shortResult.Status.Value);
            Assert.Equal(general.RepsCompleted - 17, shortResult.RepsCompleted);
        }
        Clear(vp);
        machine.Destroy(child);

        static void Clear(VirtualProcessor* vp)
        {
            for (int i = 0; i < 16; i++) vp->Gpr[i] = 0;
            FakeState* state = FakeBackend.State(vp);
            state->Rip = state->Rflags = state->Cr3 = state->Pat = 0;
        }
        static ulong[] State(VirtualProcessor* vp)
        {
            FakeState* state = FakeBackend.State(vp);
            return [.. new ReadOnlySpan<ulong>(vp->Gpr, 16), state->Rip, state->Rflags, state->Cr3, state->Pat, vp->SuspendReasons];
        }
    }

    [Fact]
    public void NobodyIsReachedWhoIsNoChild()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        vp->Gpr[Gpr.Rax] = 7;
        Assert.Equal(HvStatus.HV_STATUS_INVALID_PARTITION_ID.Value, Set(child->Id + 1, 0, 0, (HvX64RegisterRax, 1)).Status.Value);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_VP_INDEX.Value, Set(child->Id, 1, 0, (HvX64RegisterRax, 1)).Status.Value);
        Assert.Equal(HvStatus.HV_STATUS_INVALID_VP_INDEX.Value, Set(child->Id, uint.MaxValue, 0, (HvX64RegisterRax, 1)).Status.Value);
        // The child itself may not even ask.
        machine.EnableHypercalls(vp);
        Assert.True(machine.MapSmall(child, 0, machine.GuestMemory, 4).Status.IsSuccess);
        *TestMachine.At<HvInputSetVpRegisters>(machine.GuestMemory) = new() { PartitionId = new(child->Id) };
        Assert.Equal(HvStatus.HV_STATUS_ACCESS_DENIED.Value, machine.Call(vp, HypercallInput.Rep(HypercallCode.HvCallSetVpRegisters, 1).Value, 0, 0).Status.Value);
        Assert.NotEqual(1UL, vp->Gpr[Gpr.Rax]);
        machine.Destroy(child);
    }

    [Fact]
    public void WhoWaitsForTheNextInterceptIsWokenByIt()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        Poll(true);
        Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
        Assert.True(machine.TakeMessage((int)Sint, out _));
        Assert.True(Set(child->Id, 0, HvInputSetVpRegisters.ThenIdle, (HvX64RegisterRip, 0x9000), (HvRegisterInterceptSuspend, 0)).Status.IsSuccess);
        Assert.True(vp->IsRunnable && vp->Scheduling.IsQueued);
        Leave();
        Intercepts<FakeBackend>.Msr(vp, 0x1C, 1);
        Assert.True(machine.RootVp->IsRunnable && machine.RootVp->Scheduling.IsQueued && !machine.RootVp->IdleWait);
        // And by no vector.
        Assert.False(machine.RootVp->Apic.TryGetCandidate(out _));
        Return();
        Assert.True(machine.TakeMessage((int)Sint, out HvMessage message));
        Assert.Equal(0x1Cu, ((HvX64MsrInterceptMessage*)message.Payload)->MsrNumber);
        Poll(false);
        machine.Destroy(child);
    }

    [Fact]
    public void NobodySleepsOverAMessageOrAnInterrupt()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        VirtualProcessor* other = machine.CreateVp(child, 1);
        Poll(true);
        Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
        Assert.True(machine.TakeMessage((int)Sint, out _));
        // Another one's lies in the slot already.
        Intercepts<FakeBackend>.Msr(other, 0x1D, 1);
        Assert.True(Set(child->Id, 0, HvInputSetVpRegisters.ThenIdle, (HvRegisterInterceptSuspend, 0)).Status.IsSuccess);
        Assert.True(machine.RootVp->IsRunnable);
        Assert.True(machine.TakeMessage((int)Sint, out _));
        // An interrupt is requested.
        Interrupts<FakeBackend>.Assert(machine.RootVp, 0x77, false);
        Assert.True(Set(child->Id, 1, HvInputSetVpRegisters.ThenIdle, (HvRegisterInterceptSuspend, 0)).Status.IsSuccess);
        Assert.True(machine.RootVp->IsRunnable);
        machine.RootVp->Apic.Acknowledge(0x77);
        machine.RootVp->Apic.EndOfInterrupt();
        // What failed is to be heard of.
        Assert.False(Set(child->Id, 1, HvInputSetVpRegisters.ThenIdle, (0x12345, 0)).Status.IsSuccess);
        Assert.True(machine.RootVp->IsRunnable);
        Poll(false);
        Return();
        machine.Destroy(child);
    }

    // A level-triggered interrupt that is still asserted comes again only once the parent has heard of its end.
    [Fact]
    public void AnEndOfInterruptWakesWhoPolls()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        Poll(true);
        Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
        Assert.True(machine.TakeMessage((int)Sint, out _));
        Assert.True(Set(child->Id, 0, HvInputSetVpRegisters.ThenIdle, (HvRegisterInterceptSuspend, 0)).Status.IsSuccess);
        Leave();
        Intercepts<FakeBackend>.ApicEoi(vp, 0x62);
        Assert.True(machine.RootVp->IsRunnable && machine.RootVp->Scheduling.IsQueued);
        Return();
        Assert.True(machine.TakeMessage((int)Sint, out HvMessage message));
        Assert.Equal((HvMessageType.HvMessageTypeX64ApicEoi, 0x62u), (message.Header.MessageType, ((HvX64ApicEoiMessage*)message.Payload)->InterruptVector));
        Poll(false);
        machine.Destroy(child);
    }

    [Fact]
    public void AMessageBeyondTheSlotWaitsWithItsBufferAndIsDeliveredAtEom()
    {
        Partition* child = Guest(out VirtualProcessor* vp);
        VirtualProcessor* other = machine.CreateVp(child, 1);
        Poll(true);
        Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
        Intercepts<FakeBackend>.Msr(other, 0x1C, 1);
        Assert.True(!vp->Intercept.IsQueued && other->Intercept.IsQueued);
        Assert.True(machine.TakeMessage((int)Sint, out HvMessage message) && ((HvX64MsrInterceptMessage*)message.Payload)->MsrNumber == 0x1B);
        Assert.False(other->Intercept.IsQueued);
        Assert.True(machine.TakeMessage((int)Sint, out message) && ((HvX64MsrInterceptMessage*)message.Payload)->MsrNumber == 0x1C);
        Poll(false);
        machine.Destroy(child);
    }
}
