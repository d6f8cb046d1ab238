// Any calls at all: what is left of them must be nothing.
using System;
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Xunit;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Tests.Host.Hypercalls;

public sealed unsafe partial class CallTests
{
    /// <summary>Random calls with plausible parameters, by the root and by a guest. Nothing fails but calls, and all of it can be undone.</summary>
    [Fact]
    public void RandomCallsHarmNobody()
    {
        var codes = new System.Collections.Generic.List<ushort>();
        for (int code = 0; code < 0x200; code++)
            if (HypercallTable.TryGet((ushort)code, out _)) codes.Add((ushort)code);
        Cleanse();
        ulong core = CoreMemory.FreePages;
        Gen.ULong.Sample(seed =>
        {
            var random = new Random((int)(seed ^ seed >> 32));
            Partition* child = Guest(out VirtualProcessor* vp);
            for (int i = 0; i < 300; i++)
            {
                VirtualProcessor* caller = random.Next(3) == 0 && Partitions.TryFind(child->Id, out _) && child->GetVp(0) != null ? child->GetVp(0) : machine.RootVp;
                bool root = caller == machine.RootVp;
                ulong input = root ? machine.InputGpa : 0x3000, page = root ? input : machine.GuestMemory + input;
                for (int word = 0; word < 80; word++) TestMachine.At<ulong>(page)[word] = Plausible(random, child->Id);
                ushort code = codes[random.Next(codes.Count)];
                if (code is HvCallMapStatsPage or HvCallUnmapStatsPage && random.Next(4) != 0)
                    *TestMachine.At<HvInputMapStatsPage>(page) = StatsTests.Page(random.Next(3) == 0 ? Partition.RootId : child->Id, (uint)random.Next(2));
                HypercallTable.TryGet(code, out HypercallDescriptor call);
                ulong count = call.IsRep ? (ulong)random.Next(1, 70) : 0;
                ulong control = code | count << 32 | (random.Next(8) == 0 ? Fast : 0) | (call.AllowsVariableHeader ? (ulong)random.Next(4) << 17 : 0)
                    | (random.Next(30) == 0 ? 1UL << random.Next(64) : 0);
                // A root that suspends itself stands still, and one that moves its own APIC or SynIC has itself to blame.
                if (root && code == HvCallSetVpRegisters) *TestMachine.At<ulong>(page) = child->Id;
                ulong output = random.Next(10) == 0 ? Plausible(random, child->Id) : root ? machine.OutputGpa : 0x4000;
                FakeBackend.State(caller)->Cpl = 0;
                Invoke(caller, control, random.Next(10) == 0 ? Plausible(random, child->Id) : input, output);
                if (!Partitions.TryFind(child->Id, out _)) break;
            }
            Cleanse();
            Assert.Equal(core, CoreMemory.FreePages);
        }, iter: 60, threads: 1);
    }

    private static ulong Plausible(Random random, ulong child) => random.Next(9) switch
    {
        0 => child,
        1 => ulong.MaxValue,
        2 => Partition.RootId,
        3 => (ulong)random.Next(64),
        4 => (ulong)random.NextInt64(),
        5 => (ulong)random.Next(16) | (ulong)random.Next(256) << 32,
        6 => 0x20000UL + (ulong)random.Next(32) | (ulong)random.Next(4) << 32,
        _ => 0,
    };

    private static void Invoke(VirtualProcessor* vp, ulong control, ulong input, ulong output)
    {
        ulong rip = FakeBackend.State(vp)->Rip;
        FakeBackend.State(vp)->ExceptionPending = false;
        TestMachine.EnterLongMode(vp);
        vp->Gpr[Gpr.Rcx] = control;
        vp->Gpr[Gpr.Rdx] = input;
        vp->Gpr[Gpr.R8] = output;
        for (int entries = 0; entries < 100; entries++)
        {
            HypercallDispatch<FakeBackend>.Handle(vp);
            if (FakeBackend.State(vp)->Rip != rip || FakeBackend.State(vp)->ExceptionPending) return;
        }
        Assert.Fail("a call without end");
    }

    /// <summary>Ends every child in whatever state it is, and leaves the root as it was.</summary>
    private void Cleanse()
    {
        for (int slot = 0; slot < Partitions.Maximum; slot++)
        {
            Partition* partition = Partitions.At(slot);
            if (partition == null || partition->IsRoot) continue;
            ulong id = partition->Id;
            if (partition->State == PartitionState.Active)
                Assert.True(machine.Call(HvCallFinalizePartition, new HvInputFinalizePartition { PartitionId = new(id) }).IsSuccess);
            ulong deposited = partition->DepositedPages;
            Assert.Equal(deposited, machine.WithdrawAll(id));
            Assert.True(machine.Call(HvCallDeletePartition, new HvInputDeletePartition { PartitionId = new(id) }).IsSuccess);
        }
        while (machine.TakeMessage(0, out _)) { }
        for (uint sint = 1; sint < 16; sint++) while (machine.TakeMessage((int)sint, out _)) { }
        Ports.DeleteAll(machine.Root);
        machine.WithdrawAll(Partition.RootId);
        machine.RootVp->SuspendReasons = 0;
    }
}
