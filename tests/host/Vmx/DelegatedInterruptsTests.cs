// What a processor with virtual-interrupt delivery is told before an entry.
using Lamina.Hypervisor.Vmx;
using Xunit;

namespace Lamina.Tests.Host.Vmx;

public class DelegatedInterruptsTests
{
    [Theory]
    [InlineData(-1, -1, 0x0000)]
    [InlineData(0xED, -1, 0x00ED)]
    [InlineData(-1, 0x21, 0x2100)]
    [InlineData(0xED, 0x21, 0x21ED)]
    [InlineData(0x21, 0xED, 0xED21)]
    public void Requested_and_in_service_are_the_status(int request, int service, uint status)
    {
        DelegatedInterrupts told = DelegatedInterrupts.For(request, service, true);
        Assert.Equal(status, told.Status);
        Assert.False(told.WaitsForWindow);
    }

    [Theory]
    [InlineData(0xED, -1, 0x0000)]
    [InlineData(0xED, 0x21, 0x2100)]
    [InlineData(0x15, -1, 0x0000)]
    public void What_would_come_too_early_is_kept_back(int request, int service, uint status)
    {
        DelegatedInterrupts told = DelegatedInterrupts.For(request, service, false);
        Assert.Equal(status, told.Status);
        Assert.True(told.WaitsForWindow);
    }

    // Its class is in service: it becomes due by an EOI, which exits.
    [Theory]
    [InlineData(-1, -1)]
    [InlineData(-1, 0x21)]
    [InlineData(0x22, 0x21)]
    [InlineData(0x21, 0xED)]
    public void What_is_not_due_waits_for_no_window(int request, int service) => Assert.False(DelegatedInterrupts.For(request, service, false).WaitsForWindow);
}
