// The core's own structures: each must fit the page it is given, and the world switch's offsets must be what its NASM says.
using System.IO;
using System.Text.RegularExpressions;
using Lamina.Hypervisor.Core;
using Xunit;

namespace Lamina.Tests.Host.Core;

public unsafe class StructureTests
{
    [Fact] public void A_virtual_processor_fits_its_page() => Assert.InRange(sizeof(VirtualProcessor), 1, 4096);
    [Fact] public void A_partition_fits_its_page() => Assert.InRange(sizeof(Partition), 1, 4096);

    [Theory]
    [InlineData("VP_RAX", nameof(VirtualProcessor.Gpr), 0)]
    [InlineData("VP_R15", nameof(VirtualProcessor.Gpr), 120)]
    [InlineData("VP_XMM", nameof(VirtualProcessor.Xmm), 0)]
    [InlineData("VP_STATE_PHYSICAL", nameof(VirtualProcessor.BackendStatePhysical), 0)]
    [InlineData("VP_STATE", nameof(VirtualProcessor.BackendState), 0)]
    [InlineData("VP_EXTENDED", nameof(VirtualProcessor.ExtendedState), 0)]
    [InlineData("VP_XCR0", nameof(VirtualProcessor.Xcr0), 0)]
    public void The_world_switches_know_the_offsets(string name, string field, int within)
    {
        string source = File.ReadAllText(Path.Combine(Tools.Repository.Root, "hypervisor", "core", "world-switch.inc"));
        Assert.Equal(OffsetOf(field) + within, int.Parse(Regex.Match(source, $@"%define {name} (\d+)").Groups[1].Value));
    }

    private static int OffsetOf(string field)
    {
        VirtualProcessor vp;
        byte* start = (byte*)&vp;
        return (int)(field switch
        {
            nameof(VirtualProcessor.Gpr) => (byte*)vp.Gpr - start,
            nameof(VirtualProcessor.Xmm) => (byte*)vp.Xmm - start,
            nameof(VirtualProcessor.BackendStatePhysical) => (byte*)&vp.BackendStatePhysical - start,
            nameof(VirtualProcessor.BackendState) => (byte*)&vp.BackendState - start,
            nameof(VirtualProcessor.ExtendedState) => (byte*)&vp.ExtendedState - start,
            _ => (byte*)&vp.Xcr0 - start,
        });
    }
}
