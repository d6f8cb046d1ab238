// Machines whose KVM nests, or does not: a folder stands for the host.
using System;
using System.Collections.Generic;
using System.IO;
using Lamina.Tools;
using Lamina.Tools.Run;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public sealed class KvmNestingTests : IDisposable
{
    private readonly string host = Directory.CreateTempSubdirectory("lamina-kvm-").FullName;

    public void Dispose() => Directory.Delete(host, true);

    private void Write(string path, string text)
    {
        string file = Path.Combine(host, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file));
        File.WriteAllText(file, text);
    }

    private void Load(string module, string nested) => Write($"sys/module/{module}/parameters/nested", nested + "\n");

    private string Accel(string cpu, string accel, out string model)
    {
        MachineOptions options = Emulators.ChooseVendor(new MachineOptions { Cpu = cpu, Accel = accel, DirectKernel = "k", HostRoot = host });
        if (Emulators.IsBochs(options))
        {
            model = Bochs.Model(options.Cpu);
            return "bochs";
        }
        List<string> arguments = Qemu.CommandLine(options, "/x");
        model = arguments[arguments.IndexOf("-cpu") + 1];
        return arguments[arguments.IndexOf("-machine") + 1].Split('=')[1];
    }

    private string Refusal(string cpu, string accel) => Assert.Throws<Failure>(() => Accel(cpu, accel, out _)).Message;

    [Theory]
    [InlineData("kvm_amd", "1", "amd")]
    [InlineData("kvm_intel", "Y", "intel")]
    public void What_nests_is_used_unasked(string module, string nested, string vendor)
    {
        Load(module, nested);
        Write("dev/kvm", "");
        Assert.Equal(("kvm", "host"), (Accel("auto", "auto", out string model), model));
        Assert.Equal(("kvm", "host"), (Accel(vendor, "auto", out model), model));
        Assert.Equal(("kvm", "host"), (Accel("auto", "kvm", out model), model));
        Assert.Equal(("tcg", "max"), (Accel("auto", "tcg", out model), model));
        Assert.Equal(("kvm", "EPYC"), (Accel("EPYC", "auto", out model), model));
    }

    [Fact]
    public void The_other_vendor_is_emulated()
    {
        Load("kvm_intel", "Y");
        Write("dev/kvm", "");
        Assert.Equal(("tcg", "max"), (Accel("amd", "auto", out string model), model));
        Assert.Contains("does not nest SVM (it is of intel)", Refusal("amd", "kvm"));
    }

    [Fact]
    public void What_lacks_is_said()
    {
        Assert.Equal(("tcg", "max"), (Accel("auto", "auto", out string model), model));
        Assert.Equal("bochs", Accel("intel", "auto", out _));
        Assert.Contains("no kvm_amd or kvm_intel module", Refusal("amd", "kvm"));
        Load("kvm_amd", "0");
        Assert.Contains("kvm_amd was loaded without nested=1", Refusal("auto", "kvm"));
        Load("kvm_amd", "1");
        Assert.Contains("/dev/kvm cannot be opened", Refusal("amd", "kvm"));
        Assert.Contains("/dev/kvm cannot be opened", Refusal("intel", "kvm"));
    }
}
