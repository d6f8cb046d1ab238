// Work queue and timer list against the obvious collections.
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using CsCheck;
using Lamina.Drivers.Bus;
using Xunit;

namespace Lamina.Tests.Host.Drivers;

public unsafe class QueueTests
{
    [Fact]
    public void Work_is_done_in_order_and_queued_once() =>
        Gen.Int[-1, 7].Array[0, 100].Sample(steps =>
        {
            WorkItem* items = (WorkItem*)NativeMemory.AllocZeroed((nuint)(8 * sizeof(WorkItem)));
            WorkQueue queue = default;
            var expected = new Queue<int>();
            foreach (int step in steps)
            {
                if (step >= 0)
                {
                    queue.Add(items + step);
                    if (!expected.Contains(step)) expected.Enqueue(step);
                    continue;
                }
                Assert.Equal(expected.TryDequeue(out int index), queue.TryTake(out WorkItem* item));
                if (item != null) Assert.Equal(index, (int)(item - items));
            }
            Assert.Equal(expected.Count == 0, queue.IsEmpty);
            NativeMemory.Free(items);
        });

    [Fact]
    public void Timers_come_by_deadline_then_by_arming() =>
        Gen.Select(Gen.Int[0, 2], Gen.Int[0, 7], Gen.ULong[0, 20]).Array[0, 80].Sample(steps =>
        {
            DeadlineTimer* timers = (DeadlineTimer*)NativeMemory.AllocZeroed((nuint)(8 * sizeof(DeadlineTimer)));
            DeadlineList list = default;
            var expected = new List<(int Index, ulong Deadline)>();
            foreach ((int kind, int index, ulong time) in steps)
            {
                if (kind == 2)
                {
                    var due = expected.OrderBy(t => t.Deadline).Where(t => t.Deadline <= time).Select(t => t.Index).ToArray();
                    foreach (int next in due)
                    {
                        Assert.True(list.TryTakeDue(time, out DeadlineTimer* timer));
                        Assert.Equal(next, (int)(timer - timers));
                        Assert.False(timer->IsArmed);
                    }
                    Assert.False(list.TryTakeDue(time, out _));
                    expected.RemoveAll(t => t.Deadline <= time);
                }
                else
                {
                    expected.RemoveAll(t => t.Index == index);
                    if (kind == 0) expected.Add((index, time));
                    if (kind == 0) list.Arm(timers + index, time);
                    else list.Cancel(timers + index);
                }
                Assert.Equal(expected.Count == 0 ? ulong.MaxValue : expected.Min(t => t.Deadline), list.Next);
            }
            NativeMemory.Free(timers);
        });
}
