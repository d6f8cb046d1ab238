// A guest's deadlines on the host's counter, whatever the guest made of its own.
using CsCheck;
using Lamina.Hypervisor.Core;
using Xunit;

namespace Lamina.Tests.Host.Core;

public class GuestDeadlineTests
{
    [Theory]
    [InlineData(1500ul, 500ul, 900ul, 1000ul)]              // an ordinary one
    [InlineData(100ul, 500ul, 900ul, 900ul)]                // passed
    [InlineData(ulong.MaxValue, 0ul, 900ul, ulong.MaxValue)]
    [InlineData(ulong.MaxValue - 10, ulong.MaxValue - 999, 1000ul, ulong.MaxValue)] // the guest's counter is 0: out of reach, not in the past
    [InlineData(ulong.MaxValue - 10, ulong.MaxValue - 1100, 1000ul, 1090ul)]        // the guest's counter is about to wrap
    public void Known_cases(ulong guestTsc, ulong offset, ulong now, ulong expected) => Assert.Equal(expected, GuestDeadline.ToHost(guestTsc, offset, now));

    [Fact]
    public void A_deadline_that_has_not_come_is_not_in_the_past()
    {
        Gen.Select(Gen.ULong, Gen.ULong, Gen.ULong).Sample((guestTsc, offset, now) =>
        {
            ulong host = GuestDeadline.ToHost(guestTsc, offset, now);
            Assert.True(host >= now);
            if (guestTsc > now + offset) Assert.True(host > now || now == ulong.MaxValue);
            if (host != ulong.MaxValue && host != now) Assert.Equal(guestTsc, host + offset);
        });
    }
}
