// Deadlines: soonest first, nothing lost, and the caller is told exactly when the physical timer must be set anew.
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Hypervisor.Core;
using Xunit;

namespace Lamina.Tests.Host.Core;

public unsafe class TimerQueueTests
{
    [Fact]
    public void Behaves_like_a_sorted_dictionary()
    {
        Gen.Select(Gen.Int[0, 2], Gen.Int[0, 9], Gen.ULong[0, 50]).Array[1, 200].Sample(operations =>
        {
            TimerEntry* entries = stackalloc TimerEntry[10];
            for (int i = 0; i < 10; i++) entries[i] = default;
            TimerQueue queue = default;
            Dictionary<int, ulong> model = [];
            foreach ((int operation, int index, ulong time) in operations)
            {
                ulong before = queue.NextDeadline;
                if (operation == 0)
                {
                    bool changed = queue.Arm(entries + index, time);
                    model[index] = time;
                    Assert.Equal(queue.NextDeadline != before, changed);
                }
                else if (operation == 1)
                {
                    bool changed = queue.Disarm(entries + index);
                    model.Remove(index);
                    if (queue.NextDeadline != before) Assert.True(changed);
                }
                else
                {
                    TimerEntry* expired = queue.TakeExpired(time);
                    if (expired == null) Assert.DoesNotContain(model.Values, deadline => deadline <= time);
                    else
                    {
                        int which = (int)(expired - entries);
                        Assert.Equal(model.Values.Min(), model[which]);
                        Assert.True(model[which] <= time);
                        model.Remove(which);
                    }
                }
                Assert.Equal(model.Count == 0 ? ulong.MaxValue : model.Values.Min(), queue.NextDeadline);
                for (int i = 0; i < 10; i++) Assert.Equal(model.ContainsKey(i), entries[i].IsArmed);
            }
        });
    }
}
