// The guest's ACPI tables: structure and checksums here, the definition block by ACPICA's own disassembler where it is installed.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Root.Acpi;
using Lamina.Root.Devices;
using TextWriter = Lamina.Text.TextWriter;
using Xunit;

namespace Lamina.Tests.Host.Acpi;

public unsafe class GuestAcpiTablesTests
{
    private const int RamSize = 2 << 20;

    /// <summary>The tables by signature, and the RSDP under "RSD PTR ".</summary>
    private static Dictionary<string, byte[]> Build(uint processors, bool com1 = true)
    {
        byte* ram = (byte*)NativeMemory.AllocZeroed(RamSize);
        try
        {
            GuestMemory memory = GuestMemory.CreateStandard(ram, RamSize);
            byte* text = stackalloc byte[200];
            TextWriter error = new(text, 200);
            Assert.True(GuestAcpiTables.TryBuild(memory, AcpiOptions.CreateDefault(processors, com1, memory), ref error), Encoding.UTF8.GetString(error.Written));
            Assert.Equal(0, error.Length);
            Dictionary<string, byte[]> tables = new() { ["RSD PTR "] = Copy(ram, GuestAcpiTables.Rsdp, 36) };
            byte[] xsdt = Table(ram, BitConverter.ToUInt64(tables["RSD PTR "], 24));
            tables["XSDT"] = xsdt;
            for (int i = 36; i < xsdt.Length; i += 8)
            {
                byte[] table = Table(ram, BitConverter.ToUInt64(xsdt, i));
                tables[Encoding.ASCII.GetString(table, 0, 4)] = table;
            }
            tables["DSDT"] = Table(ram, BitConverter.ToUInt64(tables["FACP"], 140));
            tables["FACS"] = Table(ram, BitConverter.ToUInt32(tables["FACP"], 36));
            return tables;
        }
        finally { NativeMemory.Free(ram); }
    }

    private static byte[] Copy(byte* ram, ulong address, uint length)
    {
        Assert.InRange(address, GuestAcpiTables.Rsdp, GuestAcpiTables.Rsdp + GuestAcpiTables.AreaLength - length);
        return new ReadOnlySpan<byte>(ram + address, (int)length).ToArray();
    }

    private static byte[] Table(byte* ram, ulong address) => Copy(ram, address, *(uint*)(ram + address + 4));
    private static byte Sum(IEnumerable<byte> bytes) => (byte)bytes.Sum(b => b);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(64)]
    [InlineData(255)]
    public void EveryChecksumAndLengthIsRight(uint processors)
    {
        Dictionary<string, byte[]> tables = Build(processors);
        Assert.Equal(["APIC", "DSDT", "FACP", "FACS", "RSD PTR ", "XSDT"], tables.Keys.Order());
        Assert.Equal(0, Sum(tables["RSD PTR "].Take(20)));
        Assert.Equal(0, Sum(tables["RSD PTR "]));
        foreach ((string name, byte[] table) in tables)
            if (name is not ("RSD PTR " or "FACS")) Assert.Equal(0, Sum(table));
        Assert.Equal(276, tables["FACP"].Length);
        Assert.Equal(64, tables["FACS"].Length);
    }

    [Fact]
    public void TheFadtDescribesThePowerDevice()
    {
        byte[] fadt = Build(1)["FACP"];
        Assert.Equal(6, fadt[8]);
        Assert.Equal(9, BitConverter.ToUInt16(fadt, 46));
        Assert.Equal(AcpiPower.EventBlock, BitConverter.ToUInt32(fadt, 56));
        Assert.Equal(AcpiPower.ControlBlock, BitConverter.ToUInt32(fadt, 64));
        Assert.Equal(AcpiPower.TimerBlock, BitConverter.ToUInt32(fadt, 76));
        foreach ((int old, int extended, byte width) in new[] { (56, 148, (byte)32), (64, 172, (byte)16), (76, 208, (byte)32) })
        {
            Assert.Equal(1, fadt[extended]);
            Assert.Equal(width, fadt[extended + 1]);
            Assert.Equal(BitConverter.ToUInt32(fadt, old), BitConverter.ToUInt64(fadt, extended + 4));
        }
        uint flags = BitConverter.ToUInt32(fadt, 112);
        Assert.Equal(0u, flags & 1 << 20); // not hardware-reduced
        Assert.Equal(1u << 10, flags & 1 << 10); // reset register
        Assert.Equal(0u, flags & 1 << 4); // power button is the fixed one
        Assert.Equal(AcpiPower.ResetPort, BitConverter.ToUInt64(fadt, 120));
        Assert.Equal(AcpiPower.ResetValue, fadt[128]);
        Assert.Equal(1 << 2, BitConverter.ToUInt16(fadt, 109));
        Assert.Equal(0x32, fadt[108]);
    }

    [Fact]
    public void TheMadtNamesProcessorsIoApicAndSci()
    {
        byte[] madt = Build(3)["APIC"];
        Assert.Equal(0u, BitConverter.ToUInt32(madt, 40));
        List<byte[]> entries = [];
        for (int i = 44; i < madt.Length; i += madt[i + 1]) entries.Add(madt[i..(i + madt[i + 1])]);
        Assert.Equal([0, 0, 0, 1, 2], entries.Select(e => (int)e[0]));
        for (int i = 0; i < 3; i++) Assert.Equal(new byte[] { 0, 8, (byte)i, (byte)i, 1, 0, 0, 0 }, entries[i]);
        Assert.Equal(0xFEC00000u, BitConverter.ToUInt32(entries[3], 4));
        Assert.Equal(new byte[] { 2, 10, 0, 9, 9, 0, 0, 0, 0xD, 0 }, entries[4]);
    }

    [Fact]
    public void WithoutRamOrWithTooManyProcessorsALineSaysSo()
    {
        byte* ram = (byte*)NativeMemory.AllocZeroed(RamSize), text = stackalloc byte[200];
        GuestMemory small = GuestMemory.CreateStandard(ram, 0xE8000), enough = GuestMemory.CreateStandard(ram, RamSize);
        TextWriter error = new(text, 200);
        Assert.False(GuestAcpiTables.TryBuild(small, AcpiOptions.CreateDefault(1, true, small), ref error));
        Assert.Equal("memory: needs 1 MiB for the ACPI tables", Encoding.UTF8.GetString(error.Written));
        error = new(text, 200);
        Assert.False(GuestAcpiTables.TryBuild(enough, AcpiOptions.CreateDefault(256, true, enough), ref error));
        Assert.StartsWith("processors: 256 are not possible", Encoding.UTF8.GetString(error.Written));
        NativeMemory.Free(ram);
    }

    [Fact]
    public void TheHighWindowLiesAboveTheRam()
    {
        GuestMemory memory = GuestMemory.CreateStandard((byte*)0x1000, 80UL << 30);
        AcpiOptions options = AcpiOptions.CreateDefault(1, true, memory);
        Assert.True(options.HighWindow >= (81UL << 30));
        Assert.Equal(0UL, options.HighWindow & options.HighWindowLength - 1);
    }

    [IaslFact]
    public void TheDsdtDisassemblesAndAssemblesToItself()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("lamina-acpi-");
        try
        {
            byte[] dsdt = Build(64)["DSDT"];
            File.WriteAllBytes(Path.Combine(folder.FullName, "dsdt.aml"), dsdt);
            string output = Run(folder.FullName, "-d dsdt.aml");
            Assert.DoesNotContain("rror", output);
            Assert.DoesNotContain("arning", output);
            string source = File.ReadAllText(Path.Combine(folder.FullName, "dsdt.dsl"));
            foreach (string part in new[] { "\"VMBus\"", "\"ACPI0004\"", "\"ACPI0007\"", "EisaId (\"PNP0501\")", "EisaId (\"PNP0B00\")", "Device (CP3F)", "_S5" }) Assert.Contains(part, source);
            Assert.Equal(2, source.Split("QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite").Length - 1);
            // The one thing that the compiler objects to is the name by which guests know VMBus: it should have 7 or 8 characters.
            string compiled = Run(folder.FullName, "-f -oa -p again dsdt.dsl");
            Assert.Contains("1 Errors, 0 Warnings, 0 Remarks", compiled);
            Assert.Contains("(VMBus)", compiled);
            byte[] again = File.ReadAllBytes(Path.Combine(folder.FullName, "again.aml"));
            Assert.True(dsdt.AsSpan(36).SequenceEqual(again.AsSpan(36)), compiled);
        }
        finally { folder.Delete(true); }
    }

    private static string Run(string folder, string arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("iasl", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true });
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + errors.Result;
        Assert.True(process.WaitForExit(30000));
        return output;
    }

    private sealed class IaslFactAttribute : FactAttribute
    {
        public IaslFactAttribute()
        {
            bool found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "iasl")));
            if (!found) Skip = "iasl (package acpica-tools) is not installed";
        }
    }
}
