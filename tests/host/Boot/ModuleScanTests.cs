// The scan of lamina.json for file names: finds all of a right file, survives every wrong one.
using System.Collections.Generic;
using System.Text;
using System.Text.Json;
using CsCheck;
using Lamina.Boot;
using Xunit;

namespace Lamina.Tests.Host.Boot;

public class ModuleScanTests
{
    private static List<string> Scan(byte[] text, int room = 112)
    {
        var found = new List<string>();
        ModuleScan scan = new(text);
        var name = new byte[room];
        while (scan.TryNext(name, out int length)) found.Add(length > room ? "(long)" : Encoding.UTF8.GetString(name, 0, length));
        return found;
    }

    private static List<string> Scan(string text) => Scan(Encoding.UTF8.GetBytes(text));

    [Fact]
    public void FindsTheFilesOfTheDesignsExample() => Assert.Equal(["vmlinuz", "initrd.img", "debian.img"], Scan("""
        {
          "switches": [ { "name": "lan", "type": "external" } ],      // JSON with comments
          "vms": [ {
            "name": "debian", "autostart": true,
            "processors": 2, "memory": "512M",
            "kernel": "vmlinuz", "initrd": "initrd.img", "cmdline": "console=ttyS0 root=/dev/sda1",
            "disks": [ { "path": "debian.img", "readonly": false } ],
            "nics":  [ { "switch": "lan", "mac": "00:15:5d:00:00:01" } ]
          } ]
        }
        """));

    [Theory]
    [InlineData("""{ "name": "kernel", "kernel": "a" }""", "a")]
    [InlineData("""["kernel", "b", {"kernel": "a"}]""", "a")]
    [InlineData("""{ "kernel" /* which */ : // this one \n "x" """ + "\n\"a\"}", "a")]
    [InlineData("""/* "kernel": "b" */ {"initrd":"a"} // "path": "b" """, "a")]
    [InlineData("""/*/ "kernel": "b" */ {"initrd":"a"}""", "a")]
    [InlineData("""/**/ {"initrd":"a"} /***/""", "a")]
    [InlineData("""/* a/*/ {"initrd":"a"}""", "a")]
    [InlineData("""{"path":"a//b"}""", "a//b")]
    [InlineData("""{"path":"a\"\\\/b"}""", "a\"\\/b")]
    [InlineData("""{"path":"\u0061\u00e9\u20AC\uD83D\uDE00"}""", "aé€😀")]
    [InlineData("""{"\u0070ath":"a"}""", "a")]
    [InlineData("""{"kernel": 5, "path": "a"}""", "a")]
    [InlineData("""{"kernel": {"kernel": "a"}}""", "a")]
    [InlineData("""{"kernel": "", "path": "a"}""", "a")]
    [InlineData("""{"Kernel": "b", "kernels": "b", "path": "a"}""", "a")]
    [InlineData("{\"name\": \"unterminated\n \"path\": \"a\"}", "a")]
    [InlineData("\uFEFF{\"path\":\"a\"}", "a")]
    public void FindsExactlyOne(string text, string expected) => Assert.Equal([expected], Scan(text));

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("/*")]
    [InlineData("/* *")]
    [InlineData("\"")]
    [InlineData("\"kernel\"")]
    [InlineData("\"kernel\":")]
    [InlineData("\"kernel\":\"")]
    [InlineData("\"kernel\":\"a")]
    [InlineData("\"kernel\":\"a\\")]
    [InlineData("\"kernel\":\"a\\u")]
    [InlineData("\"kernel\":\"\\uD83D\\u")]
    public void FindsNothing(string text) => Assert.Empty(Scan(text));

    [Fact]
    public void ALongNameIsCutAndItsFullLengthTold()
    {
        var name = new byte[4];
        ModuleScan scan = new("{\"path\": \"abcdef\"}"u8);
        Assert.True(scan.TryNext(name, out int length));
        Assert.Equal(6, length);
        Assert.Equal("abcd"u8.ToArray(), name);
    }

    [Fact]
    public void WhateverSerializerWroteItIsRead() => Gen.String.Where(s => s.Length != 0 && !s.Contains('\0')).Array[1, 5].Sample(names =>
    {
        foreach (string name in names) if (Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(name)) != name) return; // lone surrogates
        var expected = new List<string>(names);
        string text = "[" + string.Join(",", expected.ConvertAll(n => "{\"name\":\"x\",\"path\":" + JsonSerializer.Serialize(n) + "}")) + "]";
        Assert.Equal(expected, Scan(Encoding.UTF8.GetBytes(text), 4096));
    });

    [Fact]
    public void AnyBytesEnd() => Gen.OneOf(Gen.Const((byte)'"'), Gen.Const((byte)'\\'), Gen.Const((byte)'/'), Gen.Const((byte)'*'), Gen.Const((byte)':'), Gen.Const((byte)'u'), Gen.Byte)
        .Array[0, 64].Sample(bytes => { Scan(bytes, 8); });
}
