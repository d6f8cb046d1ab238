// The worker on a fake core: what a guest's accesses do, how VMs end, and that nothing is kept of those that did.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Abi;
using Lamina.Root.Kernel;
using Lamina.Root.Worker;
using Xunit;
using static Lamina.Tests.Host.Worker.WorkerHost;

namespace Lamina.Tests.Host.Worker;

[Collection("worker")]
public unsafe class VmWorkerTests : IDisposable
{
    private ulong _free;

    public VmWorkerTests()
    {
        BootRoot();
        _free = PhysicalMemory.FreePageCount;
    }

    /// <summary>After each test: all VMs off, all pages back.</summary>
    public void Dispose()
    {
        foreach (string name in new[] { "tiny", "other" })
            if (VmWorker.Find(Encoding.UTF8.GetBytes(name)) is var vm && vm != null && vm->Machine != null) Command("vm stop " + name);
        Assert.Equal(0, FakeCore.ChildCount);
        Assert.Equal(_free, PhysicalMemory.FreePageCount);
        Assert.False(VmWorker.IsConnected);
    }

    private static void AssertCompleted(int length = 1)
    {
        Assert.Equal(0x1000UL + (uint)length, FakeCore.Child.Register(HvRegisterName.HvX64RegisterRip));
        Assert.Equal(0UL, FakeCore.Child.Register(HvRegisterName.HvRegisterInterceptSuspend));
    }

    [Fact]
    public void A_start_makes_a_partition_that_runs()
    {
        Assert.Equal(["VM tiny: started"], Command("start tiny"));
        FakePartition partition = FakeCore.Child;
        Assert.Equal(2, partition.State);
        Assert.Equal([0u, 1u], partition.Vps.Order());
        Assert.Equal(1024, partition.Map.Count);
        Assert.Equal(0x100020UL, partition.Register(HvRegisterName.HvX64RegisterRip));
        Assert.Equal((0UL, 0UL), (partition.Register(HvRegisterName.HvRegisterExplicitSuspend), partition.Register(HvRegisterName.HvRegisterExplicitSuspend, 1)));
        ushort[] ports = [0x70, 0x71, 0xF4, 0xF5, 0xF6, 0xF7, .. Enumerable.Range(0x3F8, 8).Select(p => (ushort)p), .. Enumerable.Range(0x400, 12).Select(p => (ushort)p), 0xCF9, 0x3000, 0x3001, 0x3002, 0x3003];
        Assert.Equal(ports.Order(), partition.Ports.Order());
        Assert.Equal(["VM tiny: is not off"], Command("vm start tiny"));
        Assert.Contains("Running", Command("list")[1]);
    }

    [Fact]
    public void Every_call_may_fail_and_everything_is_given_back()
    {
        Command("start tiny");
        int calls = FakeCore.CallCount;
        Command("stop tiny");
        for (int fail = 0; fail < calls; fail++)
        {
            FakeCore.Reset();
            FakeCore.FailAt = fail;
            List<string> lines = Command("start tiny");
            Assert.Single(lines);
            Assert.StartsWith("VM tiny: HvCall", lines[0]);
            Assert.EndsWith("HV_STATUS_OPERATION_FAILED", lines[0]);
            Assert.Equal(0, FakeCore.ChildCount);
            Assert.Equal(_free, PhysicalMemory.FreePageCount);
            Assert.Contains("Off", Command("vm list")[1]);
        }
    }

    [Fact]
    public void Too_little_memory_is_one_line()
    {
        PhysicalMemory.Limit = 1 << 16;
        ulong limit = PhysicalMemory.Limit;
        PhysicalMemory.Limit -= PhysicalMemory.FreePageCount - 512;
        List<string> lines = Command("start tiny");
        PhysicalMemory.Limit = limit;
        Assert.Single(lines);
        Assert.Contains("not enough memory: needs 4 MiB", lines[0]);
    }

    [Fact]
    public void A_missing_or_bad_kernel_is_one_line()
    {
        BootModules.Files.Remove("tiny.bin");
        Assert.Equal(["VM tiny: lamina.json:2: kernel \"tiny.bin\" was not found on the boot volume"], Command("start tiny"));
        BootModules.Files["tiny.bin"] = [1, 2, 3];
        List<string> lines = Command("start tiny");
        Assert.Single(lines);
        Assert.StartsWith("VM tiny: kernel: ", lines[0]);
        BootModules.Files["tiny.bin"] = TinyKernel();
    }

    [Fact]
    public void Output_appears_as_prefixed_lines()
    {
        Command("start tiny");
        Print("hello\r\nsecond ");
        Assert.Equal("tiny| hello", ConsoleOutput.Lines[^1]);
        AssertCompleted();
        Wait(60);
        Print("part");
        Wait(60);
        Assert.Equal("tiny| hello", ConsoleOutput.Lines[^1]);
        Wait(110);
        Assert.Equal("tiny| second part", ConsoleOutput.Lines[^1]);
        Print("\n");
        Wait(500);
        Assert.Equal("tiny| second part", ConsoleOutput.Lines[^1]);
    }

    [Fact]
    public void Connected_the_guest_gets_keys_and_the_terminal_raw_bytes()
    {
        Command("start tiny");
        Print("login: ");
        Wait(200);
        Assert.Equal(["connected to tiny, Ctrl-] leaves"], Command("connect tiny"));
        Assert.Equal("login: ", ConsoleOutput.RawText.ToString());
        int lines = ConsoleOutput.Lines.Count;
        Out(0x3FA, 1); // FIFO on
        Type("root");
        Assert.Equal("root", string.Concat(Enumerable.Range(0, 4).Select(_ => (char)(byte)In(0x3F8))));
        Print("root\r\n\x1b[6n# ");
        Assert.Equal("login: root\r\n\x1b[6n# ", ConsoleOutput.RawText.ToString());
        Assert.Equal(lines, ConsoleOutput.Lines.Count);
        Type("\x1d");
        Assert.False(VmWorker.IsConnected);
        Print("ls\n");
        Assert.Equal("tiny| ls", ConsoleOutput.Lines[^1]);
    }

    [Fact]
    public void More_input_than_the_FIFO_holds_arrives_in_order()
    {
        Command("start tiny");
        Command("connect tiny");
        Out(0x3FA, 1);
        string text = string.Concat(Enumerable.Range(0, 200).Select(i => (char)('a' + i % 26)));
        Type(text);
        var received = new StringBuilder();
        while ((In(0x3FD) & 1) != 0) received.Append((char)(byte)In(0x3F8));
        Assert.Equal(text, received.ToString());
        Type("\x1d");
    }

    [Fact]
    public void A_key_raises_the_serial_interrupt_through_the_IOAPIC()
    {
        Command("start tiny");
        Store32(0xFEC00000, 0x10 + 2 * 4 + 1);
        Store32(0xFEC00010, 1u << 24);
        Store32(0xFEC00000, 0x10 + 2 * 4);
        Store32(0xFEC00010, 0x31);
        AssertCompleted(2);
        Assert.Equal(0x31u, Load32(0xFEC00010));
        Out(0x3FA, 1);
        Out(0x3FC, 8); // OUT2
        Out(0x3F9, 1); // received data
        Assert.Empty(FakeCore.Child.Interrupts);
        Command("connect tiny");
        Type("x");
        Assert.Equal([(0x31u, 1UL, 0UL)], FakeCore.Child.Interrupts);
        Type("\x1d");
    }

    [Fact]
    public void The_power_button_block_powers_off()
    {
        Command("start tiny");
        Out(0x404, 5 << 10 | 1 << 13, 2);
        Assert.Equal("VM tiny: powered off", ConsoleOutput.Lines[^1]);
        Assert.Equal(0, FakeCore.ChildCount);
    }

    [Fact]
    public void Reset_starts_again_with_zeroed_memory()
    {
        Command("start tiny");
        ulong first = FakeCore.ChildId;
        *Ram(0x200000) = 42;
        Out(0xCF9, 6);
        Assert.Equal("VM tiny: restarted", ConsoleOutput.Lines[^1]);
        Assert.NotEqual(first, FakeCore.ChildId);
        Assert.Equal(0, *Ram(0x200000));
        WriteMsr(HvMsr.HV_X64_MSR_RESET, 1);
        Assert.Equal(1, FakeCore.ChildCount);
        Command("vm restart tiny");
        Assert.Contains("started 4 times", Command("vm show tiny")[0]);
    }

    [Fact]
    public void The_debug_exit_port_ends_with_a_code()
    {
        Command("start tiny");
        Command("connect tiny");
        Out(0xF4, 3);
        Assert.Contains("VM tiny: exit code 7", ConsoleOutput.Lines);
        Assert.False(VmWorker.IsConnected);
        Assert.Contains("exited with code 7", Command("vm show tiny")[0]);
    }

    [Fact]
    public void A_triple_fault_ends_only_its_VM()
    {
        Command("start other");
        Command("start tiny");
        TripleFault();
        Assert.Equal("VM tiny: triple fault at RIP 0x1000", ConsoleOutput.Lines[^1]);
        Assert.Equal(1, FakeCore.ChildCount);
        Assert.Contains("Running", Command("list")[2]);
    }

    [Fact]
    public void A_crash_leaves_last_words_and_ends_after_a_moment()
    {
        Command("start tiny");
        byte[] words = Encoding.ASCII.GetBytes("<0>Kernel panic\x1b[31m - not syncing\n<4>CPU: 0\n");
        words.CopyTo(new Span<byte>(Ram(0x3000), words.Length));
        SetRegister(HvRegisterName.HvRegisterGuestCrashP3, 0x3000);
        SetRegister(HvRegisterName.HvRegisterGuestCrashP4, (ulong)words.Length);
        WriteMsr(HvMsr.HV_X64_MSR_CRASH_CTL, 3UL << 62);
        AssertCompleted(2);
        Assert.Equal(["tiny: last words: <0>Kernel panic - not syncing", "tiny: last words: <4>CPU: 0"], ConsoleOutput.Lines.TakeLast(2));
        Print("---[ end");
        Wait(2000);
        Assert.Equal(["tiny| ---[ end", "VM tiny: crashed"], ConsoleOutput.Lines.TakeLast(2));
        Assert.Equal(0, FakeCore.ChildCount);
        Assert.Contains("last words", Command("vm show tiny")[^1]);
    }

    [Fact]
    public void A_crash_text_outside_of_memory_is_not_read() => Gen.Select(Gen.ULong, Gen.ULong).Sample((address, length) =>
    {
        Command("start tiny");
        SetRegister(HvRegisterName.HvRegisterGuestCrashP3, address);
        SetRegister(HvRegisterName.HvRegisterGuestCrashP4, length);
        WriteMsr(HvMsr.HV_X64_MSR_CRASH_CTL, 3UL << 62);
        Command("stop tiny");
    }, iter: 50, threads: 1);

    [Theory]
    [InlineData(true, 0x3FD)] // the line status
    [InlineData(true, 0x71)]
    [InlineData(false, 0x3FF)]
    public void A_port_instruction_that_is_stepped_over_raises_a_debug_exception(bool input, ushort port)
    {
        const ulong trapFlag = 1 << 8, singleStep = 1 << 14;
        Command("start tiny");
        SetRegister(HvRegisterName.HvX64RegisterDr6, 0xFFFF0FF0);
        if (input) Assert.NotEqual(ulong.MaxValue, In(port, rflags: 2 | trapFlag));
        else Out(port, 1, rflags: 2 | trapFlag);
        AssertCompleted();
        Assert.Equal(0xFFFF0FF0 | singleStep, FakeCore.Child.Register(HvRegisterName.HvX64RegisterDr6));
        var pending = new HvX64PendingInterruptionRegister(FakeCore.Child.Register(HvRegisterName.HvRegisterPendingInterruption));
        Assert.Equal((true, 1, false), (pending.InterruptionPending, (int)pending.InterruptionVector, pending.DeliverErrorCode));
    }

    [Fact]
    public void A_port_instruction_of_unknown_length_is_decoded()
    {
        Command("start tiny");
        Assert.Equal(0xFFFFFFFF_FFFFFF60, In(0x3FD, rep: true));
        AssertCompleted(length: 2);
    }

    [Fact]
    public void A_processor_that_cannot_be_answered_ends_its_VM()
    {
        Command("start tiny");
        FakeCore.FailAt = FakeCore.CallCount;
        Out(0x3FF, 1);
        Assert.Equal(["VM tiny: HvCallSetVpRegisters: HV_STATUS_OPERATION_FAILED", "VM tiny: ended"], ConsoleOutput.Lines.TakeLast(2));
        Assert.Equal(0, FakeCore.ChildCount);
    }

    [Fact]
    public void Other_MSRs_are_general_protection()
    {
        Command("start tiny");
        WriteMsr(0x1234, 1);
        var pending = new HvX64PendingInterruptionRegister(FakeCore.Child.Register(HvRegisterName.HvRegisterPendingInterruption));
        Assert.Equal((true, 13, true, 0u), (pending.InterruptionPending, (int)pending.InterruptionVector, pending.DeliverErrorCode, pending.ErrorCode));
        Assert.Equal(0x100020UL, FakeCore.Child.Register(HvRegisterName.HvX64RegisterRip));
    }

    [Fact]
    public void Absent_memory_reads_as_ones_and_is_reported_once()
    {
        Command("start tiny");
        int lines = ConsoleOutput.Lines.Count;
        Assert.Equal(0xFFFFFFFFu, Load32(0xFED00000));
        Store32(0xFED00010, 1);
        AssertCompleted(2);
        Assert.Equal(lines + 1, ConsoleOutput.Lines.Count);
        Assert.Contains("0xfed00000", ConsoleOutput.Lines[^1]);
    }

    [Fact]
    public void Executing_nothing_ends_the_VM_with_one_clear_line()
    {
        Command("start tiny");
        Access(0xD0000000, [], HvInterceptAccessType.HvInterceptAccessExecute);
        Assert.Equal(["VM tiny: the guest executes where there is no memory: address 0xd0000000, RIP 0x1000", "VM tiny: ended"], ConsoleOutput.Lines.TakeLast(2));
    }

    [Fact]
    public void String_output_walks_pages_and_stops_at_a_fault()
    {
        Command("start tiny");
        FakeCore.Child.Virtual[0x7000] = 3;
        FakeCore.Child.Virtual[0x7001] = 5;
        "he"u8.CopyTo(new Span<byte>(Ram(0x3FFE), 2));
        "llo\n"u8.CopyTo(new Span<byte>(Ram(0x5000), 4));
        StringPort(false, 0x3F8, 0x7000FFE, 6);
        Assert.Equal("tiny| hello", ConsoleOutput.Lines[^1]);
        AssertCompleted(2);
        Assert.Equal((0x7001004UL, 0UL), (FakeCore.Child.Register(HvRegisterName.HvX64RegisterRsi), FakeCore.Child.Register(HvRegisterName.HvX64RegisterRcx)));

        FakeCore.Child.Registers.Remove((0, HvRegisterName.HvX64RegisterRip));
        StringPort(false, 0x3F8, 0x7001FFF, 3);
        Assert.Equal((0x7002000UL, 2UL), (FakeCore.Child.Register(HvRegisterName.HvX64RegisterRsi), FakeCore.Child.Register(HvRegisterName.HvX64RegisterRcx)));
        Assert.Equal(0x7002000UL, FakeCore.Child.Register(HvRegisterName.HvX64RegisterCr2));
        Assert.Equal(0UL, FakeCore.Child.Register(HvRegisterName.HvX64RegisterRip));
        Assert.Equal(14, new HvX64PendingInterruptionRegister(FakeCore.Child.Register(HvRegisterName.HvRegisterPendingInterruption)).InterruptionVector);
    }

    [Fact]
    public void String_output_from_a_device_is_ones_and_from_unreadable_tables_a_fault()
    {
        Command("start tiny");
        Command("connect tiny");
        FakeCore.Child.Virtual[0x7000] = 0xFED00;
        StringPort(false, 0x3F8, 0x7000000, 2);
        Assert.Equal("\u00ff\u00ff", ConsoleOutput.RawText.ToString());
        FakeCore.Child.Virtual[0x7000] = 0;
        FakeCore.Child.Unreadable = true;
        StringPort(false, 0x3F8, 0x7000000, 2);
        Assert.Equal(2UL, FakeCore.Child.Register(HvRegisterName.HvX64RegisterRcx));
        Assert.Equal(14, new HvX64PendingInterruptionRegister(FakeCore.Child.Register(HvRegisterName.HvRegisterPendingInterruption)).InterruptionVector);
        Type("\x1d");
    }

    [Fact]
    public void String_input_takes_nothing_from_the_device_for_a_page_that_is_not_there()
    {
        Command("start tiny");
        Command("connect tiny");
        Out(0x3FA, 1);
        Type("ab\x1d");
        FakeCore.Child.Virtual[1] = 3; // the instruction's page, for a message that does not carry its bytes
        *(ushort*)Ram(0x3000) = 0x6CF3;
        StringPort(true, 0x3F8, 0x9000_0000, 2, withBytes: false);
        Assert.Equal(2UL, FakeCore.Child.Register(HvRegisterName.HvX64RegisterRcx));
        FakeCore.Child.Virtual[0x90000] = 6;
        StringPort(true, 0x3F8, 0x9000_0000, 2);
        Assert.Equal("ab", Encoding.ASCII.GetString(Ram(0x6000), 2));
        AssertCompleted(2);
    }

    [Fact]
    public void The_synic_test_device_uses_the_calls_of_the_ABI()
    {
        Command("start tiny");
        Out(0x3000, 3 << 16 | 1 << 8 | 9, 4);
        Out(0x3000, 3 << 16 | 1 << 8 | 9, 4);
        Assert.Equal([(1u, 9, 1024), (1u, 9, 1025)], FakeCore.Child.Events.Select(e => (e.Vp, (int)e.Sint, (int)e.Flag)));
        Out(0x3000, 0x20u << 24 | 6 << 16 | 9, 4);
        Out(0x3000, 0x10u << 24 | 4 << 16 | 8, 4);
        Assert.Equal([0x10u, 0x20u], FakeCore.Child.ConnectionIds.Order());
        Out(0x3000, 0x20u << 24 | 7 << 16 | 9, 4);
        Assert.Equal([0x10u], FakeCore.Child.PortIds);
        Out(0x3000, 0x20u << 24 | 7 << 16 | 9, 4);
        Assert.Contains("SynIC test device: HvCallDisconnectPort: HV_STATUS_INVALID_CONNECTION_ID", ConsoleOutput.Lines[^2]);
    }

    [Fact]
    public void Level_interrupts_come_again_after_their_end_while_asserted()
    {
        Command("start tiny");
        Store32(0xFEC00000, 0x10 + 2 * 9);
        Store32(0xFEC00010, 0x8040);
        Out(0x402, 1, 2); // the ACPI timer's interrupt
        Wait(700_000);    // it goes over every ten minutes
        Assert.Equal([(0x40u, 0UL, 1UL << 32)], FakeCore.Child.Interrupts);
        EndOfInterrupt(0x40);
        Assert.Equal(2, FakeCore.Child.Interrupts.Count);
        Out(0x400, 1, 2); // acknowledged
        EndOfInterrupt(0x40);
        Assert.Equal(2, FakeCore.Child.Interrupts.Count);
    }

    [Fact]
    public void A_paused_VM_does_not_run()
    {
        Command("start tiny");
        Assert.Equal(["VM tiny: paused"], Command("vm suspend tiny"));
        Assert.Equal(1UL, FakeCore.Child.Register(HvRegisterName.HvRegisterExplicitSuspend));
        Assert.Contains("Paused", Command("list")[1]);
        Assert.Equal(["VM tiny: resumed"], Command("vm resume tiny"));
        Assert.Equal(0UL, FakeCore.Child.Register(HvRegisterName.HvRegisterExplicitSuspend, 1));
    }

    [Fact]
    public void Messages_from_nobody_and_of_no_kind_do_no_harm()
    {
        Unknown(HvMessageType.HvMessageTypeX64Halt, 77);
        Command("start tiny");
        Unknown(HvMessageType.HvMessageTypeX64Halt);
        Assert.Contains("nobody asked for", ConsoleOutput.Lines[^2]);
        Assert.Equal(0, FakeCore.ChildCount);
    }

    [Fact]
    public void The_cycle_test_runs_to_its_end()
    {
        Assert.Empty(Command("test cycle tiny 20 50"));
        for (int i = 0; i < 20; i++)
        {
            Wait(0);
            if (i % 2 == 0) Out(0xF4, 0);
            else Wait(51);
        }
        Wait(0);
        ulong free = PhysicalMemory.FreePageCount;
        Assert.Equal($"PASS cycle 20 free pages {free} -> {free}", ConsoleOutput.Lines[^1]);
        Assert.Equal(9, ConsoleOutput.Lines.Count(l => l.StartsWith("cycle ")));
    }

    [Fact]
    public void A_stop_ends_the_cycle_test()
    {
        Command("test cycle tiny 20");
        Wait(0);
        Command("stop tiny");
        Wait(0);
        Assert.StartsWith("FAIL cycle 0 of 20: cancelled", ConsoleOutput.Lines[^1]);
        Assert.Equal(0, FakeCore.ChildCount);
    }

    [Fact]
    public void Configuration_errors_are_lines_and_the_rest_starts()
    {
        BootRoot("""{ "vms": [ { "name": "bad", "memory": "4M", "kernel": "tiny.bin", "colour": 1 }, { "name": "tiny", "memory": "4M", "kernel": "tiny.bin", "autostart": true } ] }""");
        Assert.Equal(1, FakeCore.ChildCount);
        Assert.Equal(["VM bad: its configuration has errors"], Command("start bad"));
        Command("stop tiny");
        BootRoot();
        _free = PhysicalMemory.FreePageCount;
    }

    [Fact]
    public void Any_port_access_is_answered() => Gen.Select(Gen.UShort, Gen.Int[0, 2].Select(shift => (byte)(1 << shift)), Gen.UInt, Gen.Bool).Array[1, 200].Sample(accesses =>
    {
        Command("start tiny");
        foreach ((ushort port, byte size, uint value, bool output) in accesses)
        {
            if (FakeCore.ChildCount == 0) Command("start tiny");
            if (output) Out((ushort)(0x3F0 + port % 0x20), value, size);
            else In((ushort)(0x3F0 + port % 0x20), size);
        }
        if (FakeCore.ChildCount != 0) Command("stop tiny");
    }, iter: 20, threads: 1);

    [Fact]
    public void Any_instruction_at_a_device_is_carried_out_or_refused() => Gen.Byte.Array[0, 15].Sample(bytes =>
    {
        if (FakeCore.ChildCount == 0) Command("start tiny");
        Access(0xFEC00000, bytes);
    }, iter: 300, threads: 1);
}
