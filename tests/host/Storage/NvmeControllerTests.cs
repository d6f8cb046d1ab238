// The NVMe driver against a model of a controller: obedient ones of many kinds, ones that fail, and ones that break every rule.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using CsCheck;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Nvme;
using Lamina.Drivers.Storage.Registry;
using Xunit;
using Driver = Lamina.Drivers.Storage.Nvme.NvmeController<Lamina.Tests.Host.Storage.NvmeTestHost, Lamina.Tests.Host.Storage.NvmeModelFunction>;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe class NvmeControllerTests
{
    private const ulong Second = NvmeMachine.Second;

    [Fact]
    public void It_comes_up_and_goes_to_sleep()
    {
        using NvmeMachine machine = new();
        machine.Settle();
        BlockDevice* disk = machine.Disk();
        Assert.True(machine.Registry->IsSettled);
        Assert.Equal(NvmePhase.Running, machine.Controller->Phase);
        Assert.Equal("MODEL-7", Encoding.ASCII.GetString(disk->Serial));
        Assert.Equal((4u, 1ul << 20, 512u), (disk->QueueCount, disk->Limits.Bytes, disk->Limits.BlockBytes));
        Assert.True(disk->Limits.MaximumTransferBytes >= BlockLimits.LeastTransferBytes && disk->Limits.MaximumSegments >= BlockLimits.LeastSegments);
        Assert.Equal(4 * 63u, disk->Limits.MaximumInFlight);
        Assert.True(NvmeTestHost.IsQuiet, "a timer is left armed");
    }

    [Fact]
    public void Several_namespaces_are_several_disks()
    {
        using NvmeMachine machine = new(model =>
        {
            model.Spaces = new() { [1] = new byte[65536], [3] = new byte[131072], [0xFFFF_FFF0] = new byte[262144], [4] = [] };
            model.Version = 0x20000;
        });
        machine.Settle();
        Assert.Equal(3, machine.Registry->Count);
        Assert.Equal(131072ul, machine.Disk("nvme0n3")->Limits.Bytes);
        Assert.True(machine.Disk("serial:MODEL-7-n3") == machine.Disk("nvme0n3"));
        Assert.True(machine.Disk("nvme0n4294967280") != null);
        // What goes to one does not come to the other.
        BlockRequest* request = machine.Simple(BlockOperation.Write, 512, 1024);
        new Span<byte>((void*)request->Segments->Physical, 1024).Fill(7);
        Assert.Equal(BlockStatus.Success, machine.Run(machine.Disk("nvme0n3"), request));
        Assert.All(machine.Model.Spaces[1], value => Assert.Equal(0, value));
        Assert.All(machine.Model.Spaces[3][512..1536], value => Assert.Equal(7, value));
    }

    [Fact]
    public void An_old_controller_without_a_list_is_asked_for_each()
    {
        using NvmeMachine machine = new(model => { model.Version = 0x10000; model.Spaces = new() { [1] = new byte[65536], [2] = new byte[65536] }; });
        machine.Settle();
        Assert.Equal(2, machine.Registry->Count);
    }

    /// <summary>Requests of all kinds and sizes on controllers of all kinds, completed in any order: each as the model disk has it, each once.</summary>
    [Fact]
    public void Requests_do_what_they_say() =>
        Gen.Select(Gen.Select(Gen.Int[0, 6], Gen.Int[0, 4], Gen.UInt[1, 5], Gen.Int[0, 2]), Gen.Select(Gen.Int[1, 40], Gen.UInt[1, 8], Gen.Int[0, 3]),
            Gen.Select(Gen.Int[0, 9], Gen.Int[0, 1000], Gen.Int[1, 400], Gen.Int[0, 1000], Gen.Int[0, 3]).Array[1, 60]).Sample((kind, more, steps) =>
        {
            (int mdts, int zeroes, uint vectors, int version) = kind;
            using NvmeMachine machine = new(model =>
            {
                model.Mdts = (byte)mdts;
                model.Version = version == 0 ? 0x10400u : 0x20000;
                model.Zeroes = version == 0 ? 0 : zeroes;
                model.DeallocateBlocks = version == 0 ? 0 : zeroes * 7;
                model.Mqes = (uint)more.Item1;
                model.Granted = more.Item2;
                model.Shift = more.Item3 == 3 ? 12 : 9;
                model.Stride = (uint)more.Item3;
            }, vectors);
            machine.Settle();
            BlockDevice* disk = machine.Disk();
            uint block = disk->Limits.BlockBytes;
            byte[] expected = machine.Model.Spaces[1].ToArray();
            List<(nint Request, byte[] Wanted)> reads = [];
            bool[] touched = new bool[expected.Length / (int)block];
            bool fine = true;
            foreach ((int operation, int at, int size, int choice, int flags) in steps)
            {
                int first = at % touched.Length, count = Math.Min(Math.Min(size, (int)(disk->Limits.MaximumTransferBytes / block)), touched.Length - first);
                // Only what does not meet another request has a known outcome.
                if (operation == 8 || touched.AsSpan(first, count).Contains(true))
                {
                    for (uint i = 0; i < disk->QueueCount; i++) disk->Kick(i);
                    machine.Settle(0);
                    fine &= machine.Out.Count == 0;
                    touched.AsSpan().Clear();
                }
                touched.AsSpan(first, count).Fill(true);
                ulong offset = (ulong)first * block;
                int length = count * (int)block, target = (int)offset;
                BlockRequest* request;
                switch (operation)
                {
                    case < 3:
                        request = Scattered(machine, BlockOperation.Write, offset, length, choice);
                        request->ForceUnitAccess = flags == 0;
                        for (uint i = 0; i < request->SegmentCount; i++)
                            for (uint j = 0; j < request->Segments[i].Length; j++) ((byte*)request->Segments[i].Physical)[j] = expected[target++] = (byte)(choice + target * 31 + target / 997);
                        break;
                    case < 6:
                        request = Scattered(machine, BlockOperation.Read, offset, length, choice);
                        reads.Add(((nint)request, expected[target..(target + length)]));
                        break;
                    case 6:
                        request = machine.NewRequest(BlockOperation.WriteZeros, offset, (ulong)length);
                        expected.AsSpan(target, length).Clear();
                        break;
                    case 7:
                        request = machine.NewRequest(BlockOperation.Discard, offset, (ulong)length);
                        expected.AsSpan(target, length).Fill(0xD1);
                        break;
                    default:
                        request = machine.NewRequest(BlockOperation.Flush, 0, 0);
                        break;
                }
                uint queue = (uint)choice % disk->QueueCount;
                machine.Submit(disk, queue, request);
                if (flags != 1) disk->Kick(queue);
                if (flags == 2 && machine.Model.Fetched.Count != 0) machine.Model.Complete(choice % machine.Model.Fetched.Count);
                if (flags == 3) machine.Interrupt();
            }
            for (uint queue = 0; queue < disk->QueueCount; queue++) disk->Kick(queue);
            int reads0 = machine.Model.RegisterReads;
            while (machine.Model.Fetched.Count != 0 || machine.Model.Interrupts.Count != 0)
            {
                if (machine.Model.Fetched.Count != 0) machine.Model.Complete((int)((uint)machine.Model.Fetched.Count * 7 % (uint)machine.Model.Fetched.Count));
                if (machine.Model.Fetched.Count % 3 == 0) machine.Interrupt();
            }
            fine &= machine.Out.Count == 0 && machine.Model.RegisterReads == reads0 && machine.Ended.All(one => one.Status == BlockStatus.Success);
            foreach ((nint request, byte[] wanted) in reads) fine &= Gather((BlockRequest*)request).SequenceEqual(wanted);
            machine.Settle(10 * Second);
            return fine && machine.Model.Spaces[1].SequenceEqual(expected) && NvmeTestHost.IsQuiet && machine.Controller->Phase == NvmePhase.Running;
        }, iter: 150 * Fuzz.Factor, threads: 2);

    /// <summary>Runs of one to four pages, as the limits have them.</summary>
    private static BlockRequest* Scattered(NvmeMachine machine, BlockOperation operation, ulong offset, int length, int choice)
    {
        List<(int, int)> runs = [];
        int within = choice * 4 % 4096;
        for (int left = length, i = 0; left != 0; i++)
        {
            int run = Math.Min(left, (1 + (choice >> i % 8) % 4) * 4096 - within);
            runs.Add((within, run));
            left -= run;
            within = 0;
        }
        return machine.NewRequest(operation, offset, (ulong)length, [.. runs]);
    }

    private static byte[] Gather(BlockRequest* request)
    {
        List<byte> bytes = [];
        for (uint i = 0; i < request->SegmentCount; i++) bytes.AddRange(new Span<byte>((void*)request->Segments[i].Physical, (int)request->Segments[i].Length));
        return [.. bytes];
    }

    [Fact]
    public void A_batch_rings_once_each_way()
    {
        using NvmeMachine machine = new();
        machine.Settle();
        BlockDevice* disk = machine.Disk();
        int before = machine.Model.DoorbellWrites, reads = machine.Model.RegisterReads;
        for (int i = 0; i < 20; i++) machine.Submit(disk, 1, machine.Simple(BlockOperation.Read, (ulong)i * 4096, 4096));
        Assert.Equal(before, machine.Model.DoorbellWrites);
        disk->Kick(1);
        Assert.Equal(before + 1, machine.Model.DoorbellWrites);
        machine.Model.CompleteAll();
        // Each completion asks for more: that goes out with one more ring.
        machine.OnEnded = _ =>
        {
            if (machine.Ended.Count > 20) return;
            machine.Submit(disk, 1, machine.Simple(BlockOperation.Read, 0, 512));
            disk->Kick(1);
        };
        machine.Interrupt();
        Assert.Equal(20, machine.Model.Fetched.Count);
        Assert.Equal(before + 3, machine.Model.DoorbellWrites);
        Assert.Equal(reads, machine.Model.RegisterReads);
    }

    [Fact]
    public void Large_requests_become_several_commands_and_fail_as_one()
    {
        using NvmeMachine machine = new(model => model.Mdts = 1);
        machine.Settle();
        BlockDevice* disk = machine.Disk();
        machine.Model.Log.Clear();
        BlockRequest* request = machine.NewRequest(BlockOperation.Read, 0, 256 * 1024, (512, 256 * 1024));
        Assert.Equal(BlockStatus.Success, machine.Run(disk, request));
        Assert.Equal(32, machine.Model.Log.Count);
        int count = 0;
        machine.Model.Fate = _ => ++count == 5 ? (ushort)0x281 : count == 6 ? (ushort)0x080 : (ushort)0;
        request = machine.NewRequest(BlockOperation.Write, 0, 1 << 20, (0, 1 << 20));
        Assert.Equal(BlockStatus.MediumError, machine.Run(disk, request));
        Assert.True(count is > 5 and < 128, "the rest was sent all the same");
        Assert.Equal(BlockStatus.Success, machine.Run(disk, machine.Simple(BlockOperation.Read, 512, 512)));
    }

    [Theory]
    [InlineData(BlockOperation.Read, 1 << 20, 512, BlockStatus.OutOfRange)]
    [InlineData(BlockOperation.Read, 100, 512, BlockStatus.OutOfRange)]
    [InlineData(BlockOperation.Write, (1 << 20) - 512, 1024, BlockStatus.OutOfRange)]
    [InlineData(BlockOperation.Discard, 0, 512, BlockStatus.Unsupported)]
    [InlineData(BlockOperation.WriteZeros, 0, 512, BlockStatus.Unsupported)]
    [InlineData(BlockOperation.Read, 512, 0, BlockStatus.Success)]
    [InlineData(BlockOperation.Flush, 0, 0, BlockStatus.Success)]
    public void What_cannot_be_is_refused_without_the_device(BlockOperation operation, int offset, int length, BlockStatus expected)
    {
        using NvmeMachine machine = new(model => model.Oncs = 0);
        machine.Settle();
        BlockRequest* request = length == 0 ? machine.NewRequest(operation, (ulong)offset, 0) : machine.Simple(operation, (ulong)offset, length);
        machine.Submit(machine.Disk(), 0, request);
        Assert.Single(machine.Out);
        machine.Model.Log.Clear();
        machine.Disk()->Kick(0);
        Assert.Equal(operation == BlockOperation.Flush ? 1 : 0, machine.Model.Log.Count);
        machine.Settle();
        Assert.Equal(expected, request->Status);
    }

    [Fact]
    public void Segments_against_the_limits_end_in_an_error()
    {
        using NvmeMachine machine = new();
        machine.Settle();
        Assert.Equal(BlockStatus.Unsupported, machine.Run(machine.Disk(), machine.NewRequest(BlockOperation.Read, 0, 1024, (0, 512), (0, 512))));
        Assert.Equal(BlockStatus.Unsupported, machine.Run(machine.Disk(), machine.NewRequest(BlockOperation.Read, 0, 8192, (0, 4096))));
        Assert.Equal(BlockStatus.Success, machine.Run(machine.Disk(), machine.Simple(BlockOperation.Read, 0, 512)));
    }

    [Fact]
    public void A_write_protected_namespace_is_read_only()
    {
        using NvmeMachine machine = new(model => model.Distort = (cns, data) => { if (cns == 0) data[99] = 1; });
        machine.Settle();
        Assert.Equal(BlockStatus.ReadOnly, machine.Run(machine.Disk(), machine.Simple(BlockOperation.Write, 0, 512)));
    }

    /// <summary>A command that never comes back: a reset, Aborted for what was out, and what only waited goes through.</summary>
    [Fact]
    public void A_lost_command_is_given_up_and_the_controller_starts_anew()
    {
        using NvmeMachine machine = new(model => model.Mqes = 3);
        machine.Settle();
        BlockDevice* disk = machine.Disk();
        BlockRequest*[] requests = new BlockRequest*[6];
        for (int i = 0; i < 6; i++) machine.Submit(disk, 0, requests[i] = machine.Simple(BlockOperation.Read, (ulong)i * 512, 512));
        disk->Kick(0);
        Assert.Equal(3, machine.Model.Fetched.Count);
        machine.Model.Complete(1);
        machine.Model.Fetched.Clear(); // lost
        ulong start = NvmeTestHost.Now;
        machine.Interrupt();
        Assert.Equal(5, machine.Out.Count);
        Assert.Equal(BlockStatus.Success, requests[1]->Status);
        machine.Model.Fetched.Clear();
        while (machine.Controller->Phase == NvmePhase.Running) Assert.True(NvmeTestHost.Pass(60 * Second));
        Assert.InRange(NvmeTestHost.Now - start, 28 * Second, 40 * Second);
        machine.Settle();
        Assert.Empty(machine.Out);
        int aborted = machine.Ended.Count(one => one.Status == BlockStatus.Aborted);
        Assert.Equal(3, aborted);
        Assert.Equal(3, machine.Ended.Count(one => one.Status == BlockStatus.Success));
        Assert.Equal(BlockStatus.Success, machine.Run(disk, machine.Simple(BlockOperation.Write, 0, 512)));
        Assert.Contains(NvmeTestHost.Lines, line => line.Contains("takes too long"));
        Assert.True(NvmeTestHost.IsQuiet);
    }

    [Fact]
    public void A_lost_interrupt_costs_time_and_nothing_else()
    {
        using NvmeMachine machine = new();
        machine.Settle();
        BlockRequest* request = machine.Simple(BlockOperation.Read, 0, 512);
        machine.Submit(machine.Disk(), 0, request);
        machine.Disk()->Kick(0);
        machine.Model.CompleteAll();
        machine.Model.Interrupts.Clear();
        while (machine.Out.Count != 0) Assert.True(NvmeTestHost.Pass(60 * Second));
        Assert.Equal(BlockStatus.Success, request->Status);
        Assert.Equal(NvmePhase.Running, machine.Controller->Phase);
    }

    [Fact]
    public void A_controller_that_never_answers_is_given_up()
    {
        using NvmeMachine machine = new();
        machine.Settle();
        BlockDevice* disk = machine.Disk();
        for (int i = 0; i < 5; i++)
        {
            BlockRequest* request = machine.Simple(BlockOperation.Read, 0, 512);
            machine.Submit(disk, 2, request);
            disk->Kick(2);
            for (int j = 0; j < 100_000 && machine.Out.Count != 0; j++)
            {
                machine.Model.Fetched.RemoveAll(pending => pending.Queue != 0);
                if (machine.Model.Fetched.Count == 0) NvmeTestHost.Pass(100 * Second);
                machine.Model.CompleteAll();
                machine.Interrupt();
            }
            Assert.Equal(i < 3 ? BlockStatus.Aborted : BlockStatus.DeviceError, request->Status);
        }
        Assert.Equal(NvmePhase.Failed, machine.Controller->Phase);
        Assert.False(machine.Model.BusMaster);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Before_power_goes_the_device_is_told(bool answers)
    {
        using NvmeMachine machine = new(model => model.ShutsDown = answers);
        machine.Settle();
        NvmeTestHost.TickOfALook = Second / 1000;
        ulong start = NvmeTestHost.Now;
        machine.Registry->ShutDown();
        Assert.True(machine.Model.IsShuttingDown);
        Assert.InRange(NvmeTestHost.Now - start, 0ul, answers ? Second / 100 : 3 * Second);
        machine.Registry->ShutDown();
        Assert.Equal(BlockStatus.DeviceError, machine.Run(machine.Disk(), machine.Simple(BlockOperation.Read, 0, 512)));
    }

    /// <summary>Ways not to start: each ends within a bounded time, said in a line, with the registry settled.</summary>
    [Theory]
    [InlineData("absent")]
    [InlineData("never ready")]
    [InlineData("fatal")]
    [InlineData("never stops")]
    [InlineData("silent")]
    [InlineData("no vectors")]
    [InlineData("one entry")]
    [InlineData("no doorbells")]
    [InlineData("refuses")]
    [InlineData("odd entries")]
    [InlineData("list out of order")]
    [InlineData("unasked completion")]
    public void It_may_fail_to_start(string how)
    {
        using NvmeMachine machine = new(model =>
        {
            model.Alive = how != "absent";
            model.BecomesReady = how != "never ready";
            model.Fatal = how == "fatal";
            model.Stops = how != "never stops";
            if (how == "one entry") model.Mqes = 0;
            if (how == "refuses") model.Fate = pending => pending.Command.Opcode == NvmeOpcode.CreateIoSubmissionQueue ? (ushort)0x101 : (ushort)0;
            if (how == "odd entries") model.Distort = (cns, data) => { if (cns == 1) data[512] = 0x77; };
            if (how == "list out of order") model.Distort = (cns, data) => { if (cns == 2) data[4] = 1; };
        }, how == "no vectors" ? 0u : 5, how == "no doorbells" ? 0x1008u : 0x4000);
        for (int i = 0; i < 10000; i++)
        {
            if (how == "silent") machine.Model.Fetched.Clear();
            if (how == "unasked completion" && machine.Model.Fetched.Count != 0) machine.Model.Post(0, 0x1234, 0, 0);
            machine.Model.CompleteAll();
            machine.Interrupt();
            if (!NvmeTestHost.Pass(100 * Second)) break;
        }
        Assert.True(machine.Registry->IsSettled);
        Assert.Equal(0, machine.Registry->Count);
        Assert.Equal(NvmePhase.Failed, machine.Controller->Phase);
        Assert.NotEmpty(NvmeTestHost.Lines);
        Assert.True(NvmeTestHost.IsQuiet);
        Assert.True(NvmeTestHost.Now < 60 * Second);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Unusable_namespaces_are_left_out(int kind)
    {
        using NvmeMachine machine = new(model =>
        {
            model.Spaces = new() { [1] = new byte[65536], [2] = new byte[65536] };
            bool first = true;
            model.Distort = (cns, data) =>
            {
                if (cns != 0 || !first) return;
                first = false;
                if (kind == 0) data[136] = 8; // metadata
                else if (kind == 1) data[138] = 16;
                else data.AsSpan(0, 8).Fill(0xFF);
            };
        });
        machine.Settle();
        Assert.Equal(1, machine.Registry->Count);
        Assert.True(machine.Disk("nvme0n2") != null);
    }

    /// <summary>
    /// A device that does as it pleases while requests run. Whatever happens, each request ends once and within a bounded time, no memory is
    /// touched that nobody has lent, and the machine comes to rest.
    /// </summary>
    [Fact]
    public void A_wild_device_harms_nobody() =>
        Gen.Select(Gen.Select(Gen.Int[0, 14], Gen.Int[0, 60], Gen.ULong, Gen.ULong).Array[5, 80], Gen.UInt[1, 5], Gen.Int[1, 40]).Sample((steps, vectors, mqes) =>
        {
            using NvmeMachine machine = new(model => { model.Mqes = (uint)mqes; model.Mdts = 2; }, vectors);
            machine.Settle();
            BlockDevice* disk = machine.Disk();
            NvmeModel model = machine.Model;
            model.IsWild = true;
            List<ushort> seen = [];
            foreach ((int kind, int which, ulong a, ulong b) in steps)
            {
                seen.AddRange(model.Fetched.Select(pending => pending.Command.CommandId));
                switch (kind)
                {
                    case < 5:
                        uint queue = (uint)which % disk->QueueCount;
                        machine.Submit(disk, queue, Scattered(machine, which % 2 == 0 ? BlockOperation.Read : BlockOperation.Write, (ulong)which * 512, (1 + which) * 512, which));
                        disk->Kick(queue);
                        break;
                    case < 8: if (model.Fetched.Count != 0) model.Complete(which % model.Fetched.Count); break;
                    case 8: machine.Interrupt(); break;
                    case 9: if (model.IsReady && model.QueueCount > 0) model.PostGarbage(1 + which % model.QueueCount, a, b); break;
                    case 10: if (model.IsReady && model.QueueCount > 0 && seen.Count != 0) model.PostGarbage(1 + which % model.QueueCount, a, (ulong)seen[which % seen.Count] << 32 | (ulong)(1 + which % model.QueueCount) << 16 | (b & 1) << 48); break;
                    case 11: if (model.Fetched.Count != 0) model.Fetched.RemoveAt(which % model.Fetched.Count); break;
                    case 12: if (model.Fetched.Count != 0) { ushort status = (ushort)(a & 0x7FF); model.Fate = _ => status; model.Complete(which % model.Fetched.Count); model.Fate = _ => 0; } break;
                    case 13: if (which == 0) { model.Alive = false; model.Fetched.Clear(); } else if (which == 1) model.Stops = false; else if (which == 2) model.BecomesReady = false; break;
                    case 14: NvmeTestHost.Pass(40 * Second); break;
                }
            }
            // The wild time is over, what is wrong stays wrong: everything has to come to its end.
            for (int i = 0; i < 40_000 && !(machine.Out.Count == 0 && NvmeTestHost.IsQuiet); i++)
            {
                if (model.IsReady && model.BusMaster) model.CompleteAll();
                machine.Interrupt();
                NvmeTestHost.Pass(100 * Second);
            }
            return machine.Out.Count == 0 && NvmeTestHost.IsQuiet && machine.Controller->Phase is NvmePhase.Running or NvmePhase.Failed;
        }, iter: 300 * Fuzz.Factor, threads: 2);

    /// <summary>Anything for Identify and for the numbers of queues: the driver starts or refuses.</summary>
    [Fact]
    public void Wild_identities_start_or_are_refused() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 4095], Gen.Byte.Array[1, 200], Gen.UInt[1, 0x10000], Gen.UInt).Sample((cns, at, bytes, granted, version) =>
        {
            using NvmeMachine machine = new(model =>
            {
                model.Granted = granted;
                model.Version = version;
                model.Distort = (which, data) => { if (which == (uint)(cns == 3 ? 6 : cns)) bytes.AsSpan(0, Math.Min(bytes.Length, 4096 - at)).CopyTo(data.AsSpan(at)); };
            });
            machine.Settle(100 * Second);
            return machine.Registry->IsSettled && NvmeTestHost.IsQuiet && machine.Controller->Phase is NvmePhase.Running or NvmePhase.Failed;
        }, iter: 200 * Fuzz.Factor, threads: 2);
}
