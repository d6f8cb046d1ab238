// The smaller parts of the tools: serial log, configuration scan, results, panic text, archive formats.
using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Lamina.Tools;
using Lamina.Tools.Guest;
using Lamina.Tools.Run;
using Lamina.Tools.Symbolize;
using Lamina.Tools.Test;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class ToolTests
{
    [Fact]
    public void A_sequence_that_is_cut_off_swallows_nothing_of_the_next_line()
    {
        var log = new SerialLog();
        log.Append("lamina:/root# \u001b[6\r\ndisconnected\r\n\u001b\r\nnext"u8);
        Assert.Equal("lamina:/root# \ndisconnected\n\nnext", log.Text);
    }

    [Fact]
    public void The_serial_log_drops_escape_sequences_even_when_they_are_split()
    {
        var log = new SerialLog();
        foreach (byte b in "\u001b[2J\u001b[01;01HBdsDxe\r\n\u001b]0;title\aπ\tend"u8.ToArray())
            log.Append([b]);
        Assert.Equal("BdsDxe\nπ\tend", log.Text);
    }

    [Theory]
    [InlineData("lamina> \r\u001b[Kdebian| hello\r\nlamina> ", "lamina> \ndebian| hello\nlamina> ")]
    [InlineData("10 %\r20 %\r\r\ndone\n\r", "10 %\n20 %\ndone\n")]
    public void What_is_written_over_is_a_line_of_its_own(string bytes, string text)
    {
        var log = new SerialLog();
        log.Append(Encoding.UTF8.GetBytes(bytes));
        Assert.Equal(text, log.Text);
    }

    [Fact]
    public async Task An_expectation_is_met_across_chunks_and_from_its_position_on()
    {
        var log = new SerialLog();
        Task<SerialMatch> first = log.WaitAsync(new Regex("^ready$", RegexOptions.Multiline), 0, CancellationToken.None);
        log.Append("boot\r\nrea"u8);
        Assert.False(first.IsCompleted);
        log.Append("dy\r\nready\r\n"u8);
        SerialMatch match = await first;
        Assert.Equal(10, match.End);
        Assert.Equal(16, (await log.WaitAsync(new Regex("ready"), match.End, CancellationToken.None)).End);
        log.End();
        Assert.Null(await log.WaitAsync(new Regex("ready"), 16, CancellationToken.None));
    }

    [Fact]
    public void A_configuration_tells_its_files_even_when_it_is_broken() =>
        Assert.Equal(["vmlinuz", "initrd.img", "disks/a.img"], NamedFiles.In("""
            { "vms": [ { "kernel": "vmlinuz", "initrd" : "initrd.img", "cmdline": "kernel", // "x
              "disks": [ { "path": "disks\a.img" }, { "path": "disks/a.img" } ], "kernel" }
            """));

    [Theory]
    [InlineData("""{"kernel": "dir\\vmlinuz"}""", "dir/vmlinuz")]
    [InlineData("""{"kernel": "\\boot\\vmlinuz"}""", "/boot/vmlinuz")]
    [InlineData("""{"kernel": "dir\/vmlinuz"}""", "dir/vmlinuz")]
    [InlineData("""{"kernel": "/boot/vmlinuz"}""", "/boot/vmlinuz")]
    [InlineData("""{"kernel": "my\u0020kernel"}""", "my kernel")]
    [InlineData("""{"kernel": "a \"b\""}""", "a \"b\"")]
    public void A_name_is_what_the_loaders_take_it_for(string config, string name) => Assert.Equal([name], NamedFiles.In(config));

    [Fact]
    public void Guest_lines_count_once_by_name_and_a_failure_wins()
    {
        const string log = "checks| PASS cpuid\nPASS not-prefixed\nchecks| PASS msr\nchecks| FAIL msr got 3, wanted 4\nchecks| PASS a b\nsay PASS no\nchecks| FAIL lone\nchecks| SKIP hv no Hyper-V interface\n";
        List<BootTest.GuestResult> results = BootTest.ParseResults(log, "checks");
        Assert.Equal([new("cpuid", "PASS", ""), new("msr", "FAIL", "got 3, wanted 4"), new("a", "PASS", "b"), new("lone", "FAIL", ""), new("hv", "SKIP", "no Hyper-V interface")], results);
        Assert.Equal("not-prefixed", Assert.Single(BootTest.ParseResults(log, null)).Name);
    }

    [Theory]
    [InlineData("one\ntwo| FAIL a.check x is 0x0\nthree", "\\| FAIL ", "two| FAIL a.check x is 0x0")]
    [InlineData("PANIC at once", "PANIC ", "PANIC at once")]
    [InlineData("\nPANIC\n", "PANIC", "PANIC")]
    [InlineData("a\nfirst\nsecond b\nc", "first\nsecond", "first\nsecond b")]
    public void A_forbidden_line_is_shown_whole(string text, string pattern, string expected) =>
        Assert.Equal(expected, BootTest.LinesOf(text, Regex.Match(text, pattern)));

    [Fact]
    public void Failures_are_remembered_for_the_end()
    {
        var tally = new Tally();
        tally.Pass("boot/good");
        tally.Fail("boot/bad", "timed out");
        Assert.Equal(["FAILED   boot/bad: timed out"], tally.Failures);
    }

    [Fact]
    public void A_run_without_tests_fails_and_skips_are_counted()
    {
        var tally = new Tally();
        Assert.Equal(1, tally.ExitCode);
        tally.Pass(3);
        tally.Skip("x", "no such processor");
        Assert.Equal("3 passed, 0 failed, 1 skipped", tally.Line);
        Assert.Equal(0, tally.ExitCode);
        tally.Fail("y", "why");
        Assert.Equal(1, tally.ExitCode);
    }

    [Fact]
    public void Only_the_instruction_pointer_is_exact() =>
        Assert.Equal([(0xFFFFFFFF80001234, false), (0xFFFFFFFF80005678, true), (0xFFFFFFFF80009ABC, true)],
            SymbolizeVerb.Addresses("RIP=FFFFFFFF80001234 called from 0xFFFFFFFF80005678 and FFFFFFFF'80009ABC bad"));

    [Fact]
    public void Every_row_of_the_boot_tests_reads() => Assert.NotEmpty(BootRow.ReadAll(Path.Combine(Repository.Root, "tests", "boot")));

    [Fact]
    public void A_row_with_an_unknown_key_is_refused_with_its_file()
    {
        using var folder = new Scratch();
        File.WriteAllText(folder.File("row.json"), """{ "name": "x", "scirpt": [] }""");
        Assert.Matches("row.json: .*scirpt", Assert.Throws<Failure>(() => BootRow.ReadAll(folder.Folder)).Message);
    }

    [Fact]
    public async Task An_initial_root_is_what_cpio_reads()
    {
        using var folder = new Scratch();
        File.WriteAllText(folder.File("busybox"), "box");
        await InitialRoot.WriteAsync(folder.File("busybox"), InitialRoot.Scripts(Repository.Root), folder.File("initrd.img"));
        using var gzip = new GZipStream(File.OpenRead(folder.File("initrd.img")), CompressionMode.Decompress);
        var bytes = new MemoryStream();
        gzip.CopyTo(bytes);
        string text = Encoding.Latin1.GetString(bytes.ToArray());
        Assert.Equal(0, bytes.Length % 4);
        Assert.StartsWith("070701", text);
        Assert.Contains("TRAILER!!!", text);
        Assert.Contains("LAMINA-GUEST-READY", text);
        Assert.DoesNotContain("\r\n", text);
    }

    [Fact]
    public void An_lz4_legacy_frame_unpacks()
    {
        // Literals "abc", then a match of 9 at distance 3, then literals "end".
        byte[] frame = [0x02, 0x21, 0x4C, 0x18, 10, 0, 0, 0, 0x35, (byte)'a', (byte)'b', (byte)'c', 3, 0, 0x30, (byte)'e', (byte)'n', (byte)'d'];
        var result = new MemoryStream();
        Lz4Legacy.Unpack(frame, result);
        Assert.Equal("abcabcabcabcend", Encoding.ASCII.GetString(result.ToArray()));
        frame[12] = 9;
        Assert.Throws<Failure>(() => Lz4Legacy.Unpack(frame, new MemoryStream()));
    }

    [Theory]
    [InlineData("intel", "tcg", "QEMU emulates SVM only")]
    [InlineData("amd", "fast", "there are auto, kvm, tcg and bochs")]
    public void A_machine_that_cannot_be_had_is_refused_in_one_line(string cpu, string accel, string why) =>
        Assert.Contains(why, Assert.Throws<Failure>(() => Emulators.Check(new MachineOptions { Cpu = cpu, Accel = accel })).Message);

    [Theory]
    [InlineData(null, null)]
    [InlineData("net", null)]
    [InlineData("usb", null)]
    [InlineData(null, "bios")]
    public void A_comma_in_a_path_is_none_of_a_list(string boot, string firmware)
    {
        var options = new MachineOptions { Cpu = "amd", Accel = "tcg", Boot = boot, Firmware = firmware };
        List<string> arguments = Qemu.CommandLine(options, "/x,y");
        Assert.Contains(arguments, a => a.Contains("/x,,y/"));
        Assert.DoesNotContain(arguments, a => a.Contains("/x,y"));
    }

    [Fact]
    public void What_follows_the_dashes_replaces_what_the_tool_would_say()
    {
        var options = new MachineOptions { Accel = "tcg", DirectKernel = "k", Extra = ["-cpu", "EPYC,+svm,+npt"] };
        List<string> arguments = Qemu.CommandLine(options, "/x");
        Assert.Equal("EPYC,+svm,+npt", arguments[arguments.IndexOf("-cpu") + 1]);
        Assert.Single(arguments, "-cpu");
    }
}
