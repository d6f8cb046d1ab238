// The cycle test as a state machine: what it asks for, when it passes, what it notices.
using CsCheck;
using Lamina.Root.Worker;
using Xunit;

namespace Lamina.Tests.Host.Worker;

public class CycleTestTests
{
    [Fact]
    public void Every_cycle_starts_runs_and_ends()
    {
        CycleTest test = default;
        Assert.Equal(CycleAction.Wait, test.Next(0));
        test.Begin(2, 3, 10, 1000);
        for (int cycle = 0; cycle < 3; cycle++)
        {
            ulong now = (ulong)cycle * 1_000_000;
            Assert.Equal(CycleAction.Start, test.Next(now));
            test.Started(true, now);
            Assert.Equal(CycleAction.Wait, test.Next(now + 99_999));
            if (cycle == 1) Assert.Equal(CycleAction.Stop, test.Next(now + 100_000));
            test.Ended(1000);
            if (cycle < 2) Assert.Equal(CycleAction.Progress, test.Next(now));
        }
        Assert.Equal(CycleAction.Pass, test.Next(9));
        Assert.False(test.IsActive);
        Assert.Equal((3u, 1000UL, 1000UL), (test.Done, test.FreePagesBefore, test.FreePagesAfter));
    }

    [Fact]
    public void A_missing_page_fails_at_once()
    {
        CycleTest test = default;
        test.Begin(0, 200, 10, 1000);
        test.Next(0);
        test.Started(true, 0);
        test.Ended(999);
        Assert.Equal(CycleAction.Fail, test.Next(0));
        Assert.Equal(CycleFailure.PagesMissing, test.Failure);
        Assert.Equal((1u, 999UL), (test.Done, test.FreePagesAfter));
        Assert.False(test.IsActive);
    }

    [Fact]
    public void A_VM_that_does_not_start_fails()
    {
        CycleTest test = default;
        test.Begin(0, 200, 10, 1000);
        test.Next(0);
        test.Started(false, 0);
        Assert.Equal(CycleAction.Fail, test.Next(0));
        Assert.Equal(CycleFailure.DidNotStart, test.Failure);
    }

    [Fact]
    public void Progress_comes_ten_times_for_any_count() => Gen.UInt[1, 1000].Sample(count =>
    {
        CycleTest test = default;
        test.Begin(0, count, 10, 5);
        uint progress = 0, starts = 0;
        for (bool over = false; !over;)
        {
            switch (test.Next(0))
            {
                case CycleAction.Start: starts++; test.Started(true, 0); test.Ended(5); break;
                case CycleAction.Progress: progress++; break;
                case CycleAction.Pass: over = true; break;
                default: Assert.Fail("unexpected action"); break;
            }
        }
        Assert.Equal(count, starts);
        Assert.InRange(progress, 0u, 19u);
    }, iter: 50);
}
