// lamina.json as users write it, rightly and wrongly: what is read, and which line each mistake gets.
using System;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Root.Config;
using Xunit;

namespace Lamina.Tests.Host.Config;

public unsafe class MachineConfigTests
{
    private const string DesignExample = """
        {
          "switches": [ { "name": "lan", "type": "external" } ],      // JSON with comments
          "vms": [ {
            "name": "debian", "autostart": true,
            "processors": 2, "memory": "512M",
            "kernel": "vmlinuz", "initrd": "initrd.img", "cmdline": "console=ttyS0 root=/dev/sda1",
            "disks": [ { "path": "debian.img", "readonly": false } ],
            "nics":  [ { "switch": "lan", "mac": "00:15:5d:00:00:01" } ],
            "weight": 100, "cap": 100, "reserve": 0,
            "com1": "console", "debugExit": false
          } ]
        }
        """;

    [Fact]
    public void TheExampleOfTheDesignIsRead()
    {
        using ConfigHost host = new(DesignExample);
        Assert.Empty(host.Errors);
        Assert.Equal(1, host.Machine->SwitchCount);
        Assert.Equal("lan", ConfigHost.Text(host.Machine->Switch(0)->Name));
        Assert.Equal(SwitchType.External, host.Machine->Switch(0)->Type);
        Assert.Equal(1, host.Machine->VmCount);
        VmConfig* vm = host.Vm(0);
        Assert.Equal("debian", ConfigHost.Text(vm->Name));
        Assert.True(vm->Autostart);
        Assert.False(vm->HasErrors);
        Assert.Equal(2, vm->Processors);
        Assert.Equal(512UL << 20, vm->Memory);
        Assert.Equal("vmlinuz", ConfigHost.Text(vm->Kernel));
        Assert.Equal(6, vm->Kernel.Line);
        Assert.Equal(0, vm->Kernel.Data[vm->Kernel.Length]);
        Assert.Equal("initrd.img", ConfigHost.Text(vm->Initrd));
        Assert.Equal("console=ttyS0 root=/dev/sda1", ConfigHost.Text(vm->CommandLine));
        Assert.Equal(1, vm->DiskCount);
        Assert.Equal("debian.img", ConfigHost.Text(vm->Disk(0)->Place));
        Assert.Equal(7, vm->Disk(0)->Place.Line);
        Assert.Equal(1, vm->NicCount);
        Assert.Equal(0, vm->Nic(0)->SwitchIndex);
        Assert.True(vm->Nic(0)->HasMac);
        Assert.Equal(new byte[] { 0, 0x15, 0x5d, 0, 0, 1 }, new ReadOnlySpan<byte>(vm->Nic(0)->Mac, 6).ToArray());
        Assert.Equal(Com1Mode.Console, vm->Com1);
    }

    [Fact]
    public void DefaultsHoldWhereAKeyIsAbsent()
    {
        using ConfigHost host = new("""{"vms":[{"name":"a","kernel":"k"}]}""");
        Assert.Empty(host.Errors);
        VmConfig* vm = host.Vm(0);
        Assert.Equal(1, vm->Processors);
        Assert.Equal(512UL << 20, vm->Memory);
        Assert.Equal(100, vm->Weight);
        Assert.Equal(100, vm->Cap);
        Assert.Equal(0, vm->Reserve);
        Assert.False(vm->Autostart || vm->DebugExit || vm->SynicTestDevice || vm->Initrd.IsGiven || vm->CommandLine.IsGiven);
    }

    /// <summary>Each mistake inside the first VM gives one line, and leaves the second VM alone.</summary>
    [Theory]
    [InlineData("\"memry\": \"1G\"", "unknown key \"memry\"; expected perhaps \"memory\"")]
    [InlineData("\"Memory\": \"1G\"", "unknown key \"Memory\"; expected perhaps \"memory\"")]
    [InlineData("\"colour\": {\"a\":[1,2,{}]}", "unknown key \"colour\"; expected one of name, autostart, processors,")]
    [InlineData("\"processors\": \"two\"", "\"processors\" must be a whole number from 1 to 64, found \"two\"")]
    [InlineData("\"processors\": 0", "\"processors\" must be a whole number from 1 to 64, found 0")]
    [InlineData("\"processors\": 65", "from 1 to 64, found 65")]
    [InlineData("\"processors\": 1.5", "from 1 to 64, found 1.5")]
    [InlineData("\"processors\": [1]", "from 1 to 64, found an array")]
    [InlineData("\"memory\": \"lots\"", "\"memory\" must be a size such as \"512M\"")]
    [InlineData("\"memory\": \"12Q\"", "\"memory\" must be a size such as \"512M\"")]
    [InlineData("\"memory\": \"99999999999999999999\"", "\"memory\" must be a size such as")]
    [InlineData("\"memory\": -4096", "\"memory\" must be a size such as")]
    [InlineData("\"memory\": 4097", "\"memory\" must be from \"2M\" to \"1T\" and a multiple of \"4K\"")]
    [InlineData("\"memory\": \"1M\"", "\"memory\" must be from \"2M\" to \"1T\"")]
    [InlineData("\"memory\": \"2T\"", "\"memory\" must be from \"2M\" to \"1T\"")]
    [InlineData("\"autostart\": 1", "\"autostart\" must be true or false, found 1")]
    [InlineData("\"debugExit\": \"yes\"", "\"debugExit\" must be true or false, found \"yes\"")]
    [InlineData("\"synicTestDevice\": null", "\"synicTestDevice\" must be true or false, found null")]
    [InlineData("\"com1\": \"file\"", "\"com1\" must be \"console\" or \"none\", found \"file\"")]
    [InlineData("\"cmdline\": 7", "\"cmdline\" must be a string, found 7")]
    [InlineData("\"initrd\": \"\"", "\"initrd\" must be a file name, found an empty string")]
    [InlineData("\"initrd\": \"a\\u0000b\"", "\"initrd\" must be a file name without control characters")]
    [InlineData("\"weight\": 0", "\"weight\" must be a whole number from 1 to 10000")]
    [InlineData("\"cap\": 101", "\"cap\" must be a whole number from 1 to 100")]
    [InlineData("\"cap\": 10, \"reserve\": 20", "\"reserve\" (20) must not exceed \"cap\" (10)")]
    [InlineData("\"disks\": {}", "\"disks\" must be an array of disks, found an object")]
    [InlineData("\"disks\": [ \"a\" ]", "expected a disk { \"path\": … }, found \"a\"")]
    [InlineData("\"disks\": [ { \"readonly\": true } ]", "this disk needs one of \"path\", \"device\" and \"image\"")]
    [InlineData("\"disks\": [ { \"path\": \"a\", \"device\": \"nvme0n1\" } ]", "this disk needs one of \"path\", \"device\" and \"image\"")]
    [InlineData("\"disks\": [ { \"image\": \"a.vhdx\" } ]", "\"image\" must be VOLUME:/path of a disk image, found \"a.vhdx\"")]
    [InlineData("\"disks\": [ { \"image\": \"data:\" } ]", "\"image\" must be VOLUME:/path of a disk image")]
    [InlineData("\"disks\": [ { \"image\": \":/a\" } ]", "\"image\" must be VOLUME:/path of a disk image")]
    [InlineData("\"disks\": [ { \"path\": \"a\", \"readOnly\": true } ]", "unknown key \"readOnly\"; expected perhaps \"readonly\"")]
    [InlineData("\"nics\": [ { \"switch\": \"nope\" } ]", "no usable switch \"nope\"")]
    [InlineData("\"nics\": [ { \"mac\": \"00:15:5d:00:00\" } ]", "\"mac\" must be a MAC address such as")]
    [InlineData("\"nics\": [ { \"mac\": \"00:15:5d-00:00:01\" } ]", "\"mac\" must be a MAC address such as")]
    [InlineData("\"nics\": [ { \"mac\": \"01:15:5d:00:00:01\" } ]", "not multicast")]
    [InlineData("\"nics\": [ { \"mac\": \"00:15:5d:00:00:01\" }, { \"mac\": \"00-15-5D-00-00-01\" } ]", "that no other adapter has")]
    [InlineData("\"memory\": \"1G\", \"memory\": \"1G\"", "\"memory\" stands twice")]
    public void OneMistakeStopsOneVm(string member, string expected)
    {
        using ConfigHost host = new("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\",\n" + member + "},\n{\"name\":\"b\",\"kernel\":\"k\"}]}");
        string error = Assert.Single(host.Errors);
        Assert.Contains(expected, error);
        Assert.Matches(@"^lamina\.json:[12]: ", error);
        Assert.Equal(2, host.Machine->VmCount);
        Assert.True(host.Vm(0)->HasErrors);
        Assert.False(host.Vm(1)->HasErrors);
    }

    [Theory]
    [InlineData("2M", 2UL << 20)]
    [InlineData("512m", 512UL << 20)]
    [InlineData("512MB", 512UL << 20)]
    [InlineData("2GiB", 2UL << 30)]
    [InlineData("1T", 1UL << 40)]
    [InlineData("4096K", 4UL << 20)]
    [InlineData("536870912", 536870912UL)]
    public void SizesAreUnderstood(string text, ulong bytes)
    {
        using ConfigHost host = new("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\",\"memory\":\"" + text + "\"}]}");
        Assert.Empty(host.Errors);
        Assert.Equal(bytes, host.Vm(0)->Memory);
    }

    [Fact]
    public void RequiredKeysAndDuplicateNames()
    {
        using ConfigHost host = new("{\"vms\":[{\n},{\"name\":\"A\",\"kernel\":\"k\"},\n{\"name\":\"a\",\"kernel\":\"k\"}]}");
        Assert.Equal(3, host.Errors.Length);
        Assert.Contains("lamina.json:1: this VM has no \"name\"", host.Errors[0]);
        Assert.Contains("this VM has no \"kernel\"", host.Errors[1]);
        Assert.Contains("lamina.json:3: the name \"a\" belongs to the VM of line 2", host.Errors[2]);
        Assert.True(host.Vm(0)->HasErrors);
        Assert.False(host.Vm(1)->HasErrors);
        Assert.True(host.Vm(2)->HasErrors);
    }

    [Fact]
    public void DisksComeFromThreePlaces()
    {
        using ConfigHost host = new("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\",\"disks\":[{\"path\":\"d\"},{\"device\":\"serial:S1\",\"readonly\":true},{\"image\":\"data:\\\\vms/a.vhdx\"}]}]}");
        Assert.Empty(host.Errors);
        VmConfig* vm = host.Machine->Vm(0);
        Assert.Equal((DiskSource.BootModule, "d", false), (vm->Disk(0)->Source, ConfigHost.Text(vm->Disk(0)->Place), vm->Disk(0)->ReadOnly));
        Assert.Equal((DiskSource.Device, "serial:S1", true), (vm->Disk(1)->Source, ConfigHost.Text(vm->Disk(1)->Place), vm->Disk(1)->ReadOnly));
        Assert.Equal((DiskSource.Image, "data:\\vms/a.vhdx"), (vm->Disk(2)->Source, ConfigHost.Text(vm->Disk(2)->Place)));
    }

    [Fact]
    public void RequiredKeysAreNamedAfterANestedObject()
    {
        using ConfigHost host = new("{\"vms\":[{\"name\":\"a\",\"disks\":[{\"path\":\"d\"}]}]}");
        Assert.Equal(["lamina.json:1: this VM has no \"kernel\", which is required"], host.Errors);
    }

    [Theory]
    [InlineData("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\"},\n{\"name\":\"b\",\"kernel\":\"k\" \"memory\":1}]}", "lamina.json:2: expected ',' or '}' after the value, found '\"' (column 26)")]
    [InlineData("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\"},\n{\"name\":\"b", "lamina.json:2: expected a closing quotation mark in the same line, found the end of the file")]
    [InlineData("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\"}\n", "lamina.json:2: expected the closing brace or bracket, found the end of the file")]
    [InlineData("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\"}]}}", "expected nothing after the closing brace, found '}'")]
    [InlineData("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\"}, /* never\nclosed", "lamina.json:1: expected */")]
    [InlineData("{\"vms\":[{\"name\":\"a\",\"kernel\":\"k\"}, {\"x\":[[[[[[[[[[[[[[[[[[", "at most 16 nested")]
    public void ASyntaxErrorKeepsTheVmsBeforeIt(string text, string expected)
    {
        using ConfigHost host = new(text);
        Assert.StartsWith("lamina.json:", host.Errors[^1]);
        Assert.Contains(expected, host.Errors[^1]);
        Assert.Equal(1, host.Machine->VmCount);
        Assert.False(host.Vm(0)->HasErrors);
        Assert.Equal("a", ConfigHost.Text(host.Vm(0)->Name));
    }

    [Theory]
    [InlineData("", "expected an object")]
    [InlineData("// nothing\n", "lamina.json:2: expected an object")]
    [InlineData("[]", "expected an object")]
    [InlineData("{\"vm\":[]}", "unknown key \"vm\"; expected perhaps \"vms\"")]
    [InlineData("{\"switches\":[{\"name\":\"x\",\"type\":\"bridge\"}]}", "\"type\" must be \"external\", \"internal\", \"private\" or \"nat\", found \"bridge\"")]
    [InlineData("{\"switches\":[{\"type\":\"nat\"}]}", "this switch has no \"name\"")]
    public void MistakesOutsideVms(string text, string expected)
    {
        using ConfigHost host = new(text);
        Assert.Contains(expected, Assert.Single(host.Errors));
    }

    [Fact]
    public void CommentsTrailingCommasAndByteOrderMark()
    {
        using ConfigHost host = new("\uFEFF/* a */{ // b\n\"vms\":[{\"name\":\"\\u00e4\\ud83d\\ude00\",/**/\"kernel\":\"k\",},],}//");
        Assert.Empty(host.Errors);
        Assert.Equal("ä😀", ConfigHost.Text(host.Vm(0)->Name));
    }

    [Fact]
    public void SurplusVmsAreLeftOut()
    {
        string vms = string.Join(",", Enumerable.Range(0, 40).Select(i => "{\"name\":\"v" + i + "\",\"kernel\":\"k\"}"));
        using ConfigHost host = new("{\"vms\":[" + vms + "]}");
        Assert.Equal(16, host.Machine->VmCount);
        Assert.Contains("at most 16 virtual machines", Assert.Single(host.Errors));
    }

    [Fact]
    public void RandomBytesNeverBreakIt() =>
        Gen.Byte.Array[0, 300].Sample(bytes => { using ConfigHost host = new(bytes); Check(host); }, iter: 2000);

    [Fact]
    public void MutationsOfTheExampleNeverBreakIt() =>
        Gen.Select(Gen.Int[0, DesignExample.Length - 1], Gen.Int[0, 20], Gen.Byte.Array[0, 6]).Array[1, 4].Sample(edits =>
        {
            byte[] bytes = Encoding.UTF8.GetBytes(DesignExample);
            foreach ((int at, int cut, byte[] insert) in edits)
            {
                int start = Math.Min(at, bytes.Length);
                bytes = [.. bytes[..start], .. insert, .. bytes[Math.Min(start + cut, bytes.Length)..]];
            }
            using ConfigHost host = new(bytes);
            Check(host);
        }, iter: 3000);

    /// <summary>A cut at any place is an error, never a crash, and a whole VM in front of the cut survives.</summary>
    [Fact]
    public void EveryTruncationIsReported()
    {
        byte[] bytes = Encoding.UTF8.GetBytes(DesignExample);
        for (int length = 0; length < bytes.Length; length++)
        {
            using ConfigHost host = new(bytes[..length]);
            Assert.NotEmpty(host.Errors);
            Check(host);
        }
    }

    private static void Check(ConfigHost host)
    {
        Assert.InRange(host.Machine->VmCount, 0, MachineConfig.MaxVms);
        Assert.Equal(host.Errors.Length, host.Machine->ErrorCount);
        Assert.All(host.Errors, line => Assert.Matches(@"^lamina\.json:\d+: ", line));
        for (int i = 0; i < host.Machine->VmCount; i++)
        {
            VmConfig* vm = host.Vm(i);
            if (vm->HasErrors) continue;
            Assert.True(vm->Name.IsGiven && vm->Kernel.IsGiven);
            Assert.InRange(vm->Processors, 1, 64);
            Assert.InRange(vm->Memory, VmConfig.MinMemory, VmConfig.MaxMemory);
            for (int j = 0; j < vm->NicCount; j++) Assert.InRange(vm->Nic(j)->SwitchIndex, -1, host.Machine->SwitchCount - 1);
        }
    }
}
