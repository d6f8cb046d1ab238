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
}
