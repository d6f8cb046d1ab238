// What a non-maskable interrupt waits for.
using Lamina.Hypervisor.Vmx;
using Xunit;

namespace Lamina.Tests.Host.Vmx;

public class NmiWindowTests
{
    private const uint Sti = InterruptibilityState.BlockingBySti, MovSs = InterruptibilityState.BlockingByMovSs, Nmi = InterruptibilityState.BlockingByNmi;

    [Theory]
    [InlineData(0u, false, NmiWindow.Open)]
    [InlineData(0u, true, NmiWindow.Nmi)]
    [InlineData(Nmi, false, NmiWindow.Nmi)]
    [InlineData(MovSs, false, NmiWindow.Nmi)]
    [InlineData(Sti, false, NmiWindow.Interrupt)]
    [InlineData(Sti, true, NmiWindow.Nmi)]
    [InlineData(Sti | Nmi, false, NmiWindow.Nmi)]
    public void It_waits_for_what_blocks_it(uint interruptibility, bool isBusy, NmiWindow window) => Assert.Equal(window, NmiWindows.For(interruptibility, isBusy));

    [Theory]
    [InlineData(Nmi, false, 0u)]
    [InlineData(Nmi, true, Nmi)]
    [InlineData(Nmi | Sti, false, Sti)]
    [InlineData(MovSs, false, MovSs)]
    public void Blocking_that_another_guest_left_is_no_blocking(uint interruptibility, bool mayBlock, uint own) =>
        Assert.Equal(own, NmiWindows.WithoutForeign(interruptibility, mayBlock));
}
