// The scheduling policy against its invariants: order, shares by weight, no starvation, bounded credit for sleepers.
using System;
using System.Collections.Generic;
using CsCheck;
using Lamina.Hypervisor.Core;
using Xunit;

namespace Lamina.Tests.Host.Core;

public unsafe class RunQueueTests
{
    /// <summary>Entities at fixed addresses: the queue links by pointer.</summary>
    private sealed class Entities : IDisposable
    {
        private readonly SchedulerEntity* memory;
        public Entities(params uint[] weights)
        {
            memory = (SchedulerEntity*)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)weights.Length, (nuint)sizeof(SchedulerEntity));
            for (int i = 0; i < weights.Length; i++) memory[i].Weight = weights[i];
        }
        public SchedulerEntity* this[int index] => memory + index;
        public int IndexOf(SchedulerEntity* entity) => (int)(entity - memory);
        public void Dispose() => System.Runtime.InteropServices.NativeMemory.Free(memory);
    }

    [Fact]
    public void Takes_the_entity_that_is_furthest_behind()
    {
        using Entities all = new(100, 100, 100);
        RunQueue queue = default;
        ulong[] times = [30, 10, 20];
        for (int i = 0; i < 3; i++) { all[i]->VirtualTime = times[i]; queue.Enqueue(all[i]); }
        Assert.Equal(1, all.IndexOf(queue.Take()));
        Assert.Equal(2, all.IndexOf(queue.Take()));
        Assert.Equal(0, all.IndexOf(queue.Take()));
        Assert.True(queue.Take() == null);
    }

    [Fact]
    public void Equals_take_turns()
    {
        using Entities all = new(100, 100);
        RunQueue queue = default;
        queue.Enqueue(all[0]);
        queue.Enqueue(all[1]);
        Assert.Equal(0, all.IndexOf(queue.Take()));
        queue.Enqueue(all[0]);
        Assert.Equal(1, all.IndexOf(queue.Take()));
    }

    [Fact]
    public void Busy_entities_share_by_weight_within_one_percent()
    {
        Gen.UInt[1, 10000].Array[2, 12].Sample(weights =>
        {
            using Entities all = new(weights);
            RunQueue queue = default;
            for (int i = 0; i < weights.Length; i++) queue.Wake(all[i]);
            const ulong slice = 1000;
            ulong sum = 0;
            foreach (uint weight in weights) sum += weight;
            // Enough turns that one slice more or less is below one percent of the smallest share.
            ulong smallest = ulong.MaxValue;
            foreach (uint weight in weights) smallest = Math.Min(smallest, weight);
            ulong turns = Math.Min(400 * sum / smallest, 2_000_000);
            for (ulong i = 0; i < turns; i++)
            {
                SchedulerEntity* running = queue.Take();
                RunQueue.Charge(running, slice);
                queue.Enqueue(running);
            }
            for (int i = 0; i < weights.Length; i++)
            {
                double expected = (double)turns * slice * weights[i] / sum;
                Assert.InRange(all[i]->RunTime, expected * 0.99 - 2 * slice, expected * 1.01 + 2 * slice);
            }
        }, iter: 20);
    }

    [Fact]
    public void A_sleeper_comes_back_soon_but_gets_no_more_than_its_credit()
    {
        using Entities all = new(100, 100);
        RunQueue queue = new() { WakeCredit = 5000 };
        queue.Wake(all[0]);
        for (int i = 0; i < 1000; i++)
        {
            SchedulerEntity* running = queue.Take();
            RunQueue.Charge(running, 1000);
            queue.Enqueue(running);
        }
        SchedulerEntity* busy = queue.Take();
        queue.Wake(all[1]);
        Assert.True(queue.ShouldPreempt(busy));
        queue.Enqueue(busy);
        ulong alone = 0;
        while (true)
        {
            SchedulerEntity* running = queue.Take();
            if (running == all[0]) break;
            RunQueue.Charge(running, 100);
            alone += 100;
            queue.Enqueue(running);
        }
        Assert.InRange(alone, 100UL, 5000UL * 100 / 1024 + 200 + 1000);
    }

    [Fact]
    public void Random_operations_keep_the_order_and_lose_nobody()
    {
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 7], Gen.UInt[0, 100000]).Array[1, 300].Sample(operations =>
        {
            using Entities all = new(1, 50, 100, 100, 100, 200, 1000, 10000);
            RunQueue queue = new() { WakeCredit = 1000 };
            HashSet<int> queued = [];
            foreach ((int operation, int index, uint ticks) in operations)
            {
                ulong minimum = queue.MinimumVirtualTime;
                switch (operation)
                {
                    case 0: if (!queued.Contains(index)) queue.Wake(all[index]); queued.Add(index); break;
                    case 1: queue.Remove(all[index]); queued.Remove(index); break;
                    case 2: if (!queued.Contains(index)) RunQueue.Charge(all[index], ticks); break;
                    default:
                        SchedulerEntity* taken = queue.Take();
                        if (taken == null) { Assert.Empty(queued); break; }
                        Assert.True(queued.Remove(all.IndexOf(taken)));
                        foreach (int other in queued) Assert.True(all[other]->VirtualTime >= taken->VirtualTime);
                        break;
                }
                Assert.True(queue.MinimumVirtualTime >= minimum);
                for (int i = 0; i < 8; i++) Assert.Equal(queued.Contains(i), all[i]->IsQueued);
            }
        });
    }
}
