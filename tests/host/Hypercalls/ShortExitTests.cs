// What is answered on the short way is what the long way answers, for whatever a guest asks; and nothing happens where it is not.
using System;
using System.Linq;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.X64;
using Xunit;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class ShortExitTests(TestMachine machine)
{
    private const int Rounds = 20000;
    private readonly Random random = new(5);

    private delegate bool Way(VirtualProcessor* vp);
    private delegate void LongWay(VirtualProcessor* vp);

    /// <summary>How many of the rounds were short: a test in which none is shows nothing.</summary>
    private int Compare(Action<nint> prepare, Way shortWay, LongWay longWay)
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        Assert.True(machine.MapSmall(child, 0, machine.GuestMemory, 8).Status.IsSuccess);
        machine.EnableHypercalls(vp);
        int count = 0;
        for (int round = 0; round < Rounds; round++)
        {
            for (int i = 0; i < 16; i++) vp->Gpr[i] = (ulong)random.NextInt64();
            prepare((nint)vp);
            vp->Work = 0;
            FakeBackend.State(vp)->ExceptionPending = false;
            ulong[] before = Registers(vp), counters = Counters(vp);
            bool isShort = shortWay(vp);
            ulong[] registers = Registers(vp), counted = Counters(vp);
            Assert.Equal(0u, vp->Work);
            if (!isShort)
            {
                Assert.Equal(before, registers);
                Assert.Equal(counters, counted);
                continue;
            }
            count++;
            for (int i = 0; i < 16; i++) vp->Gpr[i] = before[i];
            for (int i = 0; i < counters.Length; i++) vp->Stats->Counters[i] = counters[i];
            longWay(vp);
            Assert.False(FakeBackend.State(vp)->ExceptionPending);
            Assert.Equal(registers, Registers(vp));
            Assert.Equal(counted, Counters(vp));
        }
        machine.Destroy(child);
        return count;
    }

    private static ulong[] Registers(VirtualProcessor* vp) => new ReadOnlySpan<ulong>(vp->Gpr, 16).ToArray();
    private static ulong[] Counters(VirtualProcessor* vp) => Enumerable.Range(0, (int)HvStatsPage.CounterCount).Select(i => vp->Stats->Counters[i]).ToArray();

    [Fact]
    public void Cpuid()
    {
        try
        {
            Assert.InRange(Compare(vp =>
            {
                uint[] bases = [0, 0x40000000, 0x80000000, (uint)random.NextInt64()];
                ((VirtualProcessor*)vp)->Gpr[Gpr.Rax] = bases[random.Next(bases.Length)] + (uint)random.Next(80);
                ((VirtualProcessor*)vp)->Gpr[Gpr.Rcx] = (uint)random.Next(4);
                Instructions.RandomCpuid = 1 + random.Next(1000);
            }, vp => ShortExits<FakeBackend>.TryCpuid(vp), vp => CpuidPolicy.Execute<FakeBackend>(vp)), Rounds / 50, Rounds / 2);
        }
        finally
        {
            Instructions.RandomCpuid = 0;
        }
    }

    [Fact]
    public void CpuidThatTheParentWantsToSeeIsNotShort()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        vp->Gpr[Gpr.Rax] = 0;
        Assert.True(ShortExits<FakeBackend>.TryCpuid(vp));
        vp->Gpr[Gpr.Rax] = 0;
        child->CpuidInterceptCount = 1;
        Assert.False(ShortExits<FakeBackend>.TryCpuid(vp));
        child->CpuidInterceptCount = 0;
        machine.Destroy(child);
    }

    [Fact]
    public void Rdmsr() => Assert.InRange(Compare(vp =>
    {
        uint[] msrs = [HostMsr.EFER, Msr.IA32_PAT, HvMsr.HV_X64_MSR_VP_INDEX, (uint)random.NextInt64()];
        ((VirtualProcessor*)vp)->Gpr[Gpr.Rcx] = msrs[random.Next(msrs.Length)] | (ulong)random.Next(4) << 32;
    }, vp => ShortExits<FakeBackend>.TryReadMsr(vp), vp => MsrExits<FakeBackend>.Read(vp)), Rounds / 8, Rounds / 2);

    [Fact]
    public void HypercallsThatNobodyHas() => Assert.InRange(Compare(vp =>
    {
        FakeState* state = FakeBackend.State((VirtualProcessor*)vp);
        state->Is64Bit = random.Next(2) == 0;
        state->Cpl = (byte)(random.Next(4) == 0 ? 3 : 0);
        state->Cr0 = random.Next(8) == 0 ? 0 : 0x80000001;
        if (random.Next(4) == 0)
            ((VirtualProcessor*)vp)->Gpr[state->Is64Bit ? Gpr.Rcx : Gpr.Rax] &= ~0xFF00UL;
    }, vp => HypercallDispatch<FakeBackend>.TryRefuse(vp), vp => HypercallDispatch<FakeBackend>.Handle(vp)), Rounds / 8, Rounds);

    [Fact]
    public void NoCallHasACodeBeyondTheHighest()
    {
        Assert.True(HypercallTable.TryGet(HypercallTable.HighestCode, out _));
        for (int code = HypercallTable.HighestCode + 1; code <= ushort.MaxValue; code++) Assert.False(HypercallTable.TryGet((ushort)code, out _));
    }

    private static bool TryPort(VirtualProcessor* vp, ushort port, byte size, bool isIn)
    {
        bool isShort = size == 1 && !PortExits<FakeBackend>.IsIntercepted(vp->Partition, (uint)port);
        if (isShort) ShortExits<FakeBackend>.Port(vp, isIn);
        return isShort;
    }

    [Fact]
    public void PortsWithoutADevice()
    {
        ushort port = 0;
        byte size = 1;
        bool isIn = false;
        Assert.InRange(Compare(vp =>
        {
            port = (ushort)random.Next(0x10000);
            size = (byte)(1 << random.Next(3));
            isIn = random.Next(2) == 0;
        }, vp => TryPort(vp, port, size, isIn), vp => PortExits<FakeBackend>.Handle(vp, port, new(size, false, false), isIn, 2)), Rounds / 8, Rounds / 2);
    }

    [Fact]
    public void APortThatTheParentAskedForIsNotShort()
    {
        Partition* child = machine.CreateChild();
        VirtualProcessor* vp = machine.CreateVp(child);
        Assert.True(TryPort(vp, 0x3FD, 1, true));
        Assert.True(machine.Call(HypercallCode.HvCallInstallIntercept, new HvInputInstallIntercept
        {
            PartitionId = new(child->Id), AccessType = 3, InterceptType = HvInterceptType.HvInterceptTypeX64IoPort, InterceptParameters = new(0x3FD),
        }).IsSuccess);
        Assert.False(TryPort(vp, 0x3FD, 1, true));
        Assert.True(TryPort(vp, 0x3FC, 1, true));
        machine.Destroy(child);
    }
}
