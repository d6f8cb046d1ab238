// What a BIOS machine starts from, and what Bochs says when it stops.
using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Lamina.Tools;
using Lamina.Tools.Run;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class BootMediaTests
{
    [Fact]
    public void Grub_loads_each_file_by_the_name_that_the_configuration_gives_it()
    {
        var files = new BootFiles("/out", new Dictionary<string, string> { ["lamina.json"] = "/a", ["it's a kernel"] = "/b", ["/boot/x"] = "/c" });
        string text = GrubConfiguration.Text("/boot/lamina.mb2", files, GrubScreen.Text);
        Assert.Contains("multiboot2 '/boot/lamina.mb2'\n", text);
        Assert.Contains("module2 '/lamina/lamina.json' 'lamina.json'\n", text);
        Assert.Contains("module2 '/lamina/it'\\''s a kernel' 'it'\\''s a kernel'\n", text);
        Assert.Contains("module2 '/boot/x' '/boot/x'\n", text);
        // The kernel's wish is taken down by multiboot2: what overrides it must come later.
        Assert.True(text.IndexOf("set gfxpayload=text") > text.IndexOf("multiboot2"));
        Assert.EndsWith("boot\n", text);
        Assert.DoesNotContain("gfxpayload", GrubConfiguration.Text("/k", files, GrubScreen.Framebuffer));
    }

    [Theory]
    [InlineData("vmlinuz", "lamina/vmlinuz", "vmlinuz")]
    [InlineData("disks/a.img", "lamina/disks/a.img", "disks/a.img")]
    [InlineData("/boot/vmlinuz", "boot/vmlinuz", "boot/vmlinuz")]
    public void A_leading_slash_means_the_volumes_root(string name, string place, string relative)
    {
        Assert.Equal(place, NamedFiles.Place(name));
        Assert.Equal(relative, NamedFiles.Relative(name));
        var files = new BootFiles("/out", new Dictionary<string, string> { [name] = "/a" });
        Assert.Equal("/a", files.UefiVolume[place]);
        Assert.Contains($"module2 '/{place}' '{name}'\n", GrubConfiguration.Text("/k", files, GrubScreen.Text));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 0x100000)]
    [InlineData(0x100000, 0x100000)]
    [InlineData(0x3FFFFF, 0x400000)]
    [InlineData(0x500001, 0x600000)]
    public void A_volume_is_never_smaller_than_what_is_on_it(long size, long rounded) => Assert.Equal(rounded, FatVolume.Round(size));

    [Fact]
    public void The_boot_sector_finds_the_core_image_and_that_the_rest_of_itself()
    {
        byte[] boot = new byte[512], core = new byte[100 * 512 + 1];
        GrubDisk.Link(boot, core, 2048);
        Assert.Equal(2048u, BinaryPrimitives.ReadUInt64LittleEndian(boot.AsSpan(0x5C)));
        Assert.Equal(0x9090, BinaryPrimitives.ReadUInt16LittleEndian(boot.AsSpan(0x66)));
        Assert.Equal(2049u, BinaryPrimitives.ReadUInt64LittleEndian(core.AsSpan(0x1F4)));
        Assert.Equal(100, BinaryPrimitives.ReadUInt16LittleEndian(core.AsSpan(0x1FC)));
        Assert.Equal(0x820, BinaryPrimitives.ReadUInt16LittleEndian(core.AsSpan(0x1FE)));
        Assert.Throws<Failure>(() => GrubDisk.Link(boot, new byte[512], 2048));
    }

    [Theory]
    [InlineData("512M", 512)]
    [InlineData("512", 512)]
    [InlineData("2G", 2048)]
    [InlineData("3g", 3072)]
    public void Sizes_are_megabytes(string text, long expected) => Assert.Equal(expected, MemorySize.Parse("--memory", text));

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("M")]
    [InlineData("1GM")]
    [InlineData("-1G")]
    [InlineData("99999999999")]
    public void What_is_no_size_is_refused(string text) => Assert.Throws<Failure>(() => MemorySize.Parse("--memory", text));

    [Fact]
    public void A_panic_of_bochs_is_one_line()
    {
        Assert.Null(Bochs.FaultIn("00000000000i[      ] Bochs x86 Emulator 2.7\n00391536971e[CPU0  ] interrupt(): vector must be within IDT table limits\n"));
        Assert.Null(Bochs.FaultIn("00822547325p[ACPI  ] >>PANIC<< ACPI control: soft power off\n"));
        Assert.Equal("Bochs stopped: exception(): 3rd (13) exception with no resolution", Bochs.FaultIn(
            "00391536971i[CPU0  ] EIP=0000ed04\n00391536971p[CPU0  ] >>PANIC<< exception(): 3rd (13) exception with no resolution\n00391536971i[CMOS  ] Last time\n"));
    }

    [Fact]
    public void A_vendor_finds_its_emulator_and_its_firmware()
    {
        static (bool, bool) Of(string cpu, string accel, string firmware = null)
        {
            var options = new MachineOptions { Cpu = cpu, Accel = accel, Firmware = firmware };
            return (Emulators.IsBochs(options), Emulators.IsBios(options));
        }
        Assert.Equal((false, false), Of("amd", "auto"));
        Assert.Equal((false, true), Of("amd", "tcg", "bios"));
        Assert.Equal((true, true), Of("intel", "auto"));
        Assert.Equal((true, true), Of("corei5_arrandale_m520", "bochs"));
        Assert.Equal((false, false), Of("intel", "tcg"));
        Assert.Equal("ryzen", Bochs.Model("amd"));
        Assert.Equal("corei5_arrandale_m520", Bochs.Model("corei5_arrandale_m520"));
    }

    [Theory]
    [InlineData("auto", "efi", null, "there are uefi and bios")]
    [InlineData("auto", null, "floppy", "there are disc, disk, usb, net")]
    [InlineData("auto", null, "disc", "say --firmware bios")]
    [InlineData("auto", "bios", "net", "does not come by PXE")]
    [InlineData("bochs", "uefi", null, "Bochs gives UEFI no ACPI tables")]
    [InlineData("bochs", null, "usb", "from the disc only")]
    public void A_way_to_boot_that_there_is_not_is_refused(string accel, string firmware, string boot, string why) =>
        Assert.Contains(why, Assert.Throws<Failure>(() => Emulators.Check(new MachineOptions { Accel = accel, Firmware = firmware, Boot = boot })).Message);
}
