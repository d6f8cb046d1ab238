// The console's words for virtual machines.
using System;
using System.Text;
using CsCheck;
using Lamina.Root.Config;
using Lamina.Root.Worker;
using Xunit;

namespace Lamina.Tests.Host.Worker;

public class VmCommandTests
{
    private static VmCommand Parse(string line) => VmCommand.Parse(Encoding.UTF8.GetBytes(line));

    [Theory]
    [InlineData("vm list", VmVerb.List, "")]
    [InlineData("list", VmVerb.List, "")]
    [InlineData("  VM   Start\tdebian \r", VmVerb.Start, "debian")]
    [InlineData("start debian", VmVerb.Start, "debian")]
    [InlineData("stop debian", VmVerb.Stop, "debian")]
    [InlineData("vm restart debian", VmVerb.Restart, "debian")]
    [InlineData("connect Debian", VmVerb.Connect, "Debian")]
    [InlineData("vm show debian", VmVerb.Show, "debian")]
    [InlineData("vm suspend debian", VmVerb.Suspend, "debian")]
    [InlineData("vm resume debian", VmVerb.Resume, "debian")]
    [InlineData("vm turnoff debian", VmVerb.TurnOff, "debian")]
    [InlineData("vm stats debian", VmVerb.Stats, "debian")]
    [InlineData("vm adddisk debian device:nvme0n1", VmVerb.AddDisk, "debian")]
    [InlineData("vm adddisk debian device:nvme0n1 readonly", VmVerb.AddDisk, "debian")]
    [InlineData("vm removedisk debian 3", VmVerb.RemoveDisk, "debian")]
    [InlineData("vm set debian weight 200", VmVerb.Set, "debian")]
    [InlineData("VM SET debian CAP 30", VmVerb.Set, "debian")]
    [InlineData("vm set debian reserve 0", VmVerb.Set, "debian")]
    [InlineData("top", VmVerb.Top, "")]
    [InlineData("vm top 10", VmVerb.Top, "")]
    [InlineData("top 0", VmVerb.Wrong, "")]
    [InlineData("top 3601", VmVerb.Wrong, "")]
    [InlineData("top x", VmVerb.Wrong, "")]
    [InlineData("top 5 5", VmVerb.Wrong, "")]
    [InlineData("vm set debian", VmVerb.Wrong, "")]
    [InlineData("vm set debian weight", VmVerb.Wrong, "")]
    [InlineData("vm set debian weight x", VmVerb.Wrong, "")]
    [InlineData("vm set debian weight -1", VmVerb.Wrong, "")]
    [InlineData("vm set debian weight 1 2", VmVerb.Wrong, "")]
    [InlineData("vm set debian speed 1", VmVerb.Wrong, "")]
    [InlineData("set debian weight 1", VmVerb.None, "")]
    [InlineData("vm adddisk debian", VmVerb.Wrong, "")]
    [InlineData("vm adddisk debian device:a other", VmVerb.Wrong, "")]
    [InlineData("vm removedisk debian", VmVerb.Wrong, "")]
    [InlineData("vm removedisk debian x", VmVerb.Wrong, "")]
    [InlineData("vm removedisk debian 1 2", VmVerb.Wrong, "")]
    [InlineData("help", VmVerb.None, "")]
    [InlineData("show memory", VmVerb.None, "memory")]
    [InlineData("test other", VmVerb.None, "")]
    [InlineData("", VmVerb.None, "")]
    [InlineData("vm", VmVerb.Wrong, "")]
    [InlineData("vm fly", VmVerb.Wrong, "")]
    [InlineData("vm start", VmVerb.Wrong, "")]
    [InlineData("vm start a b", VmVerb.Wrong, "a")]
    [InlineData("vm list all", VmVerb.Wrong, "")]
    public void Lines_become_verbs(string line, VmVerb verb, string name)
    {
        VmCommand command = Parse(line);
        Assert.Equal(verb, command.Verb);
        if (verb is not (VmVerb.None or VmVerb.Wrong)) Assert.Equal(name, Encoding.UTF8.GetString(command.Name));
        Assert.Equal(verb == VmVerb.Wrong, command.Usage.Length != 0);
    }

    [Fact]
    public void A_disk_has_a_source()
    {
        VmCommand command = Parse("vm adddisk debian image:data:/vms/a.vhdx READONLY");
        Assert.True(command.ReadOnly);
        Assert.True(DiskPlace.TryParse(command.Disk, out DiskSource source, out ReadOnlySpan<byte> name));
        Assert.Equal((DiskSource.Image, "data:/vms/a.vhdx"), (source, Encoding.UTF8.GetString(name)));
        Assert.Equal(7u, Parse("vm removedisk debian 7").Count);
        foreach (string wrong in new[] { "nvme0n1", "disk:a", "device:", "" }) Assert.False(DiskPlace.TryParse(Encoding.UTF8.GetBytes(wrong), out _, out _));
    }

    [Fact]
    public void A_cycle_test_has_a_count_and_a_time()
    {
        VmCommand command = Parse("test cycle tiny 200");
        Assert.Equal(VmVerb.Cycle, command.Verb);
        Assert.Equal((200u, VmCommand.DefaultCycleMilliseconds), (command.Count, command.Milliseconds));
        command = Parse("test cycle tiny 3 250");
        Assert.Equal((3u, 250u), (command.Count, command.Milliseconds));
    }

    [Theory]
    [InlineData("test cycle")]
    [InlineData("test cycle tiny")]
    [InlineData("test cycle tiny 0")]
    [InlineData("test cycle tiny -1")]
    [InlineData("test cycle tiny 99999999999")]
    [InlineData("test cycle tiny 5 x")]
    [InlineData("test cycle tiny 5 5 5")]
    public void A_wrong_cycle_test_is_told_its_usage(string line)
    {
        VmCommand command = Parse(line);
        Assert.Equal(VmVerb.Wrong, command.Verb);
        Assert.Equal("test cycle NAME COUNT [MILLISECONDS]", Encoding.UTF8.GetString(command.Usage));
    }

    [Fact]
    public void Any_bytes_are_read_without_harm() =>
        Gen.Byte.Array[0, 120].Sample(bytes => { VmCommand.Parse(bytes); }, iter: 1000);
}
