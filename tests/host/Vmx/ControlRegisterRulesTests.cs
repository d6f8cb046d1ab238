// MOVs to CR4 that the core carries out.
using Lamina.Hypervisor.Vmx;
using Xunit;

namespace Lamina.Tests.Host.Vmx;

public class ControlRegisterRulesTests
{
    private const ulong Allowed = 0x37_07FF | Pcide, Pae = 1 << 5, Mce = 1 << 6, Pge = 1 << 7, Vmxe = 1 << 13, Pcide = 1 << 17;

    [Theory]
    [InlineData(Pae, Pae | Mce, 0x1000, true, true)]
    [InlineData(Pae | Mce, Pae, 0x1000, true, true)]
    [InlineData(0ul, Mce, 0, false, true)]
    [InlineData(Pae, Pae | Mce | Vmxe, 0x1000, true, false)]
    [InlineData(Pae, Pae | 1UL << 40, 0x1000, true, false)]
    [InlineData(Pae, Mce | Pge, 0x1000, true, false)] // PAE off in long mode
    [InlineData(Pae, Mce | Pge, 0x1000, false, true)]
    [InlineData(Pae, Pae | Pcide, 0x1000, true, true)]
    [InlineData(Pae, Pae | Pcide, 0x1001, true, false)] // process-context identifiers start from 0
    [InlineData(Pae, Pae | Pcide, 0x1000, false, false)]
    [InlineData(Pae | Pcide, Pae | Pcide | Mce, 0x1001, true, true)]
    public void A_write_of_cr4_is_allowed_as_by_the_processor(ulong before, ulong value, ulong cr3, bool longMode, bool allowed) =>
        Assert.Equal(allowed, ControlRegisterRules.MayWriteCr4(before, value, Allowed, cr3, longMode));
}
