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
        RunQueue queue = new() { Slice = 1000 };
        ulong[] times = [30, 10, 20];
        for (int i = 0; i < 3; i++) { all[i]->VirtualTime = times[i]; queue.TryEnqueue(all[i], 0); }
        Assert.Equal(1, all.IndexOf(queue.Take(0)));
        Assert.Equal(2, all.IndexOf(queue.Take(0)));
        Assert.Equal(0, all.IndexOf(queue.Take(0)));
        Assert.True(queue.Take(0) == null);
    }

    [Fact]
    public void Who_has_precedence_goes_first_and_costs_the_others_nothing()
    {
        using Entities all = new(100, 100, 100, 100);
        RunQueue queue = new() { Slice = 1000, Period = 10000, WakeCredit = 1000 };
        all[2]->Reserve = all[3]->Reserve = SchedulerEntity.Precedence;
        all[1]->VirtualTime = 10;
        Assert.True(queue.TryEnqueue(all[0], 0) && queue.TryWake(all[2], 5) && queue.TryEnqueue(all[1], 5) && queue.TryWake(all[3], 5));
        Assert.True(queue.Count == 4 && !queue.IsEmpty);
        // Whoever else runs goes at once, and is not asked later.
        Assert.True(queue.ShouldPreempt(all[1], 6) && queue.IsTurnOver(all[1], 6) && queue.Yield(all[1], 6));
        Assert.Equal(2, all.IndexOf(queue.Take(7)));
        Assert.Equal(2UL, all[2]->WaitTime);
        Assert.Equal(ulong.MaxValue, queue.NextDecision(all[2], 7));
        ulong minimum = queue.MinimumVirtualTime;
        queue.Charge(all[2], 100, 93);
        Assert.True(all[2]->RunTime == 93 && all[2]->VirtualTime == 0 && queue.MinimumVirtualTime == minimum);
        Assert.Equal(3, all.IndexOf(queue.Take(100)));
        Assert.Equal(0, all.IndexOf(queue.Take(100)));
        // One that waits can be taken away again.
        queue.TryWake(all[2], 100);
        queue.Remove(all[2], 101);
        Assert.Equal(1, all.IndexOf(queue.Take(101)));
        Assert.True(queue.IsEmpty && queue.Count == 0 && queue.Take(102) == null);
    }

    [Fact]
    public void Equals_take_turns()
    {
        using Entities all = new(100, 100);
        RunQueue queue = new() { Slice = 1000 };
        queue.TryEnqueue(all[0], 0);
        queue.TryEnqueue(all[1], 0);
        Assert.Equal(0, all.IndexOf(queue.Take(0)));
        queue.TryEnqueue(all[0], 0);
        Assert.Equal(1, all.IndexOf(queue.Take(0)));
    }

    [Fact]
    public void Busy_entities_share_by_weight_within_one_percent()
    {
        Gen.UInt[1, 10000].Array[2, 12].Sample(weights =>
        {
            using Entities all = new(weights);
            RunQueue queue = new() { Slice = 1000 };
            for (int i = 0; i < weights.Length; i++) queue.TryWake(all[i], 0);
            const ulong slice = 1000;
            ulong sum = 0;
            foreach (uint weight in weights) sum += weight;
            // Enough turns that one slice more or less is below one percent of the smallest share.
            ulong smallest = ulong.MaxValue;
            foreach (uint weight in weights) smallest = Math.Min(smallest, weight);
            ulong turns = Math.Min(400 * sum / smallest, 2_000_000);
            for (ulong i = 0; i < turns; i++)
            {
                SchedulerEntity* running = queue.Take(0);
                queue.Charge(running, 0, slice);
                queue.TryEnqueue(running, 0);
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
        RunQueue queue = new() { WakeCredit = 5000, Slice = 1000 };
        queue.TryWake(all[0], 0);
        for (int i = 0; i < 1000; i++)
        {
            SchedulerEntity* running = queue.Take(0);
            queue.Charge(running, 0, 1000);
            queue.TryEnqueue(running, 0);
        }
        SchedulerEntity* busy = queue.Take(0);
        queue.TryWake(all[1], 0);
        Assert.True(queue.ShouldPreempt(busy, 0));
        queue.TryEnqueue(busy, 0);
        ulong alone = 0;
        while (true)
        {
            SchedulerEntity* running = queue.Take(0);
            if (running == all[0]) break;
            queue.Charge(running, 0, 100);
            alone += 100;
            queue.TryEnqueue(running, 0);
        }
        Assert.InRange(alone, 100UL, 5000UL + 200 + 1000);
    }

    [Fact]
    public void Who_spins_gives_its_place_to_one_of_its_own_group()
    {
        using Entities all = new(100, 100, 100, 100);
        for (int i = 0; i < 4; i++) { all[i]->VirtualTime = (ulong)(10 * i); all[i]->Group = (void*)(i < 2 ? 1 : 2); }
        RunQueue queue = new() { Slice = 1000 };
        // 2 spins; 3 is of its group and behind all others, 0 and 1 are not.
        queue.TryEnqueue(all[0], 0);
        queue.TryEnqueue(all[1], 0);
        queue.TryEnqueue(all[3], 0);
        Assert.True(queue.Yield(all[2], 0));
        Assert.Equal((30UL, 20UL), (all[2]->VirtualTime, all[3]->VirtualTime));
        // What the group gets in all stays the same: those who are further behind run first all the same.
        queue.TryEnqueue(all[2], 0);
        foreach (int expected in new[] { 0, 1, 3, 2 }) Assert.Equal(expected, all.IndexOf(queue.Take(0)));
    }

    [Fact]
    public void Who_spins_without_others_of_its_group_steps_behind_the_first()
    {
        using Entities all = new(100, 100, 100);
        for (int i = 0; i < 3; i++) { all[i]->VirtualTime = (ulong)(10 * i); all[i]->Group = all[i]; }
        RunQueue queue = new() { Slice = 1000 };
        Assert.False(queue.Yield(all[0], 0));
        queue.TryEnqueue(all[1], 0);
        queue.TryEnqueue(all[2], 0);
        Assert.True(queue.Yield(all[0], 0));
        queue.TryEnqueue(all[0], 0);
        foreach (int expected in new[] { 1, 0, 2 }) Assert.Equal(expected, all.IndexOf(queue.Take(0)));
    }

    [Fact]
    public void What_was_used_under_an_old_cap_is_forgiven()
    {
        using Entities all = new(100);
        RunQueue queue = new() { Slice = 1000, Period = 10000 };
        all[0]->Cap = 1;
        queue.Charge(all[0], 100_000, 100);
        Assert.False(queue.TryWake(all[0], 100_000));
        queue.Change(all[0], 100, SchedulerEntity.WholeProcessor / 2, 0, 100_000);
        Assert.True(queue.TryWake(all[0], 100_000));
    }

    [Fact]
    public void Virtual_time_may_wrap()
    {
        using Entities all = new(100, 100, 100);
        RunQueue queue = new() { Slice = 1000, WakeCredit = 1000, MinimumVirtualTime = ulong.MaxValue - 5000 };
        all[0]->VirtualTime = ulong.MaxValue - 4000;
        all[1]->VirtualTime = 100;
        // 2 has never run: it starts beside the others, however far the counter has come.
        for (int i = 0; i < 3; i++) queue.TryWake(all[i], 0);
        Assert.Equal(0, all.IndexOf(queue.Take(0)));
        queue.Charge(all[0], 0, 10000);
        Assert.True(queue.MinimumVirtualTime < 200);
        queue.TryEnqueue(all[0], 0);
        Assert.NotEqual(0, all.IndexOf(queue.Take(0)));
    }

    [Fact]
    public void Random_operations_keep_the_order_and_lose_nobody()
    {
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 7], Gen.UInt[0, 100000]).Array[1, 300].Sample(operations =>
        {
            using Entities all = new(1, 50, 100, 100, 100, 200, 1000, 10000);
            RunQueue queue = new() { WakeCredit = 1000, Slice = 100000 };
            HashSet<int> queued = [];
            foreach ((int operation, int index, uint ticks) in operations)
            {
                ulong minimum = queue.MinimumVirtualTime;
                switch (operation)
                {
                    case 0: if (!queued.Contains(index)) queue.TryWake(all[index], 0); queued.Add(index); break;
                    case 1: queue.Remove(all[index], 0); queued.Remove(index); break;
                    case 2: if (!queued.Contains(index)) queue.Charge(all[index], 0, ticks); break;
                    default:
                        SchedulerEntity* taken = queue.Take(0);
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

    [Theory]
    [InlineData(1u)]
    [InlineData(100u)]
    [InlineData(10000u)]
    public void A_sleep_buys_as_long_a_run_for_every_weight(uint weight)
    {
        using Entities all = new(2);
        RunQueue queue = new() { Slice = 1_000_000, WakeCredit = 50_000, MinimumVirtualTime = 1_000_000_000 };
        all[0]->Weight = weight;
        all[0]->VirtualTime = 0;
        queue.TryWake(all[0], 0);
        ulong behind = queue.MinimumVirtualTime - all[0]->VirtualTime;
        Assert.Equal(50_000UL * 1024 / weight, behind);
    }

    [Fact]
    public void Everybody_has_a_shortest_turn()
    {
        using Entities all = new(1);
        RunQueue queue = new() { Slice = 1000, Shortest = 20 };
        queue.TryWake(all[0], 500);
        SchedulerEntity* running = queue.Take(500);
        Assert.Equal((false, 520UL), (queue.HasRunShortest(running, 519, out ulong end), end));
        Assert.True(queue.HasRunShortest(running, 520, out _));
    }
}
