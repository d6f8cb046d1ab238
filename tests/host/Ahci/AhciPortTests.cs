// An AHCI port against a disk that works, one that fails in known ways, and one that does anything.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Drivers.Storage.Ahci;
using Lamina.Drivers.Storage.Block;
using Lamina.Tests.Host.Storage;
using Lamina.Tests.Host.Virtio;
using Xunit;

namespace Lamina.Tests.Host.Ahci;

public unsafe class AhciPortTests
{
    [Fact]
    public void A_disk_is_found_and_named()
    {
        using PortMachine machine = new();
        machine.StartReady();
        Assert.Equal("ahci3"u8, machine.Device->Name);
        Assert.Equal("MODEL-0042"u8, machine.Device->Serial);
        BlockLimits limits = machine.Device->Limits;
        Assert.Equal((PortModel.Sectors * 512UL, 512u, 4096u, 32u, true, true), (limits.Bytes, limits.BlockBytes, limits.PhysicalBlockBytes, limits.MaximumInFlight, limits.HasWriteCache, limits.CanDiscard));
        Assert.True(limits.MaximumSegments >= BlockLimits.LeastSegments && limits.MaximumTransferBytes >= BlockLimits.LeastTransferBytes && limits.SegmentAlignment == 2);
        Assert.Empty(AhciHost.Lines);
    }

    [Theory]
    [InlineData(PortSignature.Atapi, "ahci 00:1f.2: port 3: skipped: an ATAPI device")]
    [InlineData(PortSignature.PortMultiplier, "ahci 00:1f.2: port 3: skipped: a port multiplier")]
    [InlineData(0u, "ahci 00:1f.2: port 3: skipped: a device of unknown kind")]
    public void What_is_no_disk_is_skipped_with_a_line(uint signature, string line)
    {
        using PortMachine machine = new();
        machine.Model.Signature = signature;
        machine.Start();
        machine.Pass(2000);
        Assert.True(machine.Registry->IsSettled);
        Assert.Equal((0, line), (machine.Registry->Count, Assert.Single(AhciHost.Lines)));
    }

    [Fact]
    public void An_empty_port_says_nothing_and_takes_a_disk_later()
    {
        using PortMachine machine = new();
        machine.Model.IsPresent = false;
        machine.Start();
        machine.Pass(1000);
        Assert.True(machine.Registry->IsSettled);
        Assert.Empty(AhciHost.Lines);
        machine.Model.Plug();
        machine.Pass(1000);
        Assert.Equal(1, machine.Registry->Count);
    }

    [Theory]
    [InlineData(32, 32u)]
    [InlineData(4, 32u)]
    [InlineData(32, 8u)]
    [InlineData(0, 32u)]
    public void Requests_of_any_shape_do_what_they_say(int depth, uint slots)
    {
        Gen.Int.Sample(seed =>
        {
            Random random = new(seed);
            using PortMachine machine = new(slots);
            machine.Model.Identity = PortModel.IdentityOf(PortModel.Sectors, depth, fua: random.Next(2) == 0);
            machine.StartReady();
            byte[] expected = new byte[machine.Model.Content.Length];
            var reads = new Dictionary<nint, byte[]>();
            int sent = 0;
            machine.Disk = () =>
            {
                Assert.True(machine.Model.Held.Count <= Math.Min((int)slots, depth == 0 ? 32 : depth));
                machine.Model.Perform(random.Next(machine.Model.Held.Count));
            };
            for (int round = 0; round < 8; round++)
            {
                for (int region = 0; region < 40; region++) Send(machine, random, region, expected, reads, ref sent);
                machine.Kick();
                machine.Pass(5000, () => machine.User.Outstanding == 0);
                Assert.Equal(0, machine.User.Outstanding);
            }
            Assert.Equal(sent, machine.User.Completed.Count);
            Assert.All(machine.User.Completed, c => Assert.Equal(BlockStatus.Success, c.Status));
            foreach (var (request, wanted) in reads) Assert.Equal(wanted, BlockUser.DataOf((BlockRequest*)request));
            Assert.Equal(expected, machine.Model.Content);
            Assert.Equal(depth != 0, machine.Model.History.Contains(AtaCode.WriteFpdmaQueued));
            Assert.Equal(1, machine.Model.Resets);
        }, iter: 10 * Fuzz.Factor);
    }

    private static void Send(PortMachine machine, Random random, int region, byte[] expected, Dictionary<nint, byte[]> reads, ref int sent)
    {
        const int regionSectors = 100;
        int count = random.Next(1, regionSectors + 1), first = region * regionSectors + random.Next(regionSectors - count + 1);
        BlockOperation operation = random.Next(20) switch { 0 => BlockOperation.Flush, 1 => BlockOperation.Discard, < 12 => BlockOperation.Write, _ => BlockOperation.Read };
        int[] pieces = [.. Enumerable.Repeat(0, random.Next(30)).Select(_ => random.Next(5) * 2 * random.Next(1000))];
        BlockRequest* request = machine.User.Make(operation, (ulong)first * 512, operation == BlockOperation.Flush ? 0 : count * 512, pieces);
        byte[] data = new byte[count * 512];
        Span<byte> model = expected.AsSpan(first * 512, count * 512);
        if (operation == BlockOperation.Read) reads[(nint)request] = model.ToArray();
        if (operation == BlockOperation.Discard) model.Fill(0xDD);
        if (operation == BlockOperation.Write)
        {
            random.NextBytes(data);
            BlockUser.Fill(request, data);
            data.CopyTo(model);
            request->ForceUnitAccess = random.Next(4) == 0;
        }
        machine.User.Sent(request);
        machine.Device->Submit(0, request);
        sent++;
    }

    [Theory]
    [InlineData(32, true, true, new[] { AtaCode.WriteFpdmaQueued })]
    [InlineData(32, false, true, new[] { AtaCode.WriteFpdmaQueued, AtaCode.FlushCacheExt })]
    [InlineData(0, true, true, new[] { AtaCode.WriteDmaFuaExt })]
    [InlineData(0, false, true, new[] { AtaCode.WriteDmaExt, AtaCode.FlushCacheExt })]
    [InlineData(32, false, false, new[] { AtaCode.WriteFpdmaQueued })]
    public void A_write_that_must_be_stable_is(int depth, bool fua, bool cache, byte[] expected)
    {
        using PortMachine machine = new();
        machine.Model.Identity = PortModel.IdentityOf(PortModel.Sectors, depth, fua, cache);
        machine.StartReady();
        BlockRequest* request = machine.User.Make(BlockOperation.Write, 0, 512);
        request->ForceUnitAccess = true;
        machine.User.Sent(request);
        machine.Device->Submit(0, request);
        machine.Kick();
        machine.Pass(100, () => machine.User.Outstanding == 0);
        Assert.Equal([BlockStatus.Success], machine.Statuses);
        Assert.Equal(expected, machine.Model.History);
        if (cache) Assert.False(machine.Model.IsDirty);
    }

    [Fact]
    public void Limits_are_kept_even_from_users_who_do_not()
    {
        using PortMachine machine = new();
        machine.StartReady();
        machine.Send(BlockOperation.Read, 0, PortModel.Sectors, 512); // 2 MiB
        machine.Send(BlockOperation.Read, 0, 200, Enumerable.Repeat(2, 200).ToArray());
        machine.Send(BlockOperation.Read, PortModel.Sectors, 1);
        machine.Send(BlockOperation.WriteZeros, 0, 1);
        Assert.Empty(machine.User.Completed);
        machine.Kick();
        Assert.Equal([BlockStatus.Unsupported, BlockStatus.Unsupported, BlockStatus.OutOfRange, BlockStatus.Unsupported], machine.Statuses);
        Assert.Empty(machine.Model.History);
    }

    /// <summary>Reads 20 sectors one by one while one of them is bad; with and without a log, queued and not, and with an adapter that hides the failed one.</summary>
    [Theory]
    [InlineData(32, true, false, 1)]
    [InlineData(32, false, false, 2)]
    [InlineData(0, true, false, 1)]
    [InlineData(0, true, true, 1)]
    public void A_bad_sector_costs_its_own_request_only(int depth, bool hasLog, bool clearsFailed, int resets)
    {
        using PortMachine machine = new();
        (machine.Model.HasLog, machine.Model.ClearsFailed) = (hasLog, clearsFailed);
        machine.Model.Identity = PortModel.IdentityOf(PortModel.Sectors, depth);
        machine.StartReady();
        const int bad = 7;
        machine.Disk = () =>
        {
            int index = machine.Model.Held.FindIndex(c => c.IsTransfer && c.Lba == bad);
            // It fails when some went well and others wait.
            if (index >= 0 && machine.Model.Held.Count < 15) machine.Model.Fail(index, AtaError.UNC);
            else machine.Model.Perform(index == 0 && machine.Model.Held.Count > 1 ? 1 : 0);
        };
        BlockRequest*[] requests = new BlockRequest*[20];
        for (int i = 0; i < 20; i++) requests[i] = machine.Send(BlockOperation.Read, i, 1);
        machine.Kick();
        machine.Pass(5000, () => machine.User.Outstanding == 0);
        for (int i = 0; i < 20; i++) Assert.Equal(i == bad ? BlockStatus.MediumError : BlockStatus.Success, requests[i]->Status);
        Assert.Equal((20, resets), (machine.User.Completed.Count, machine.Model.Resets));
    }

    [Fact]
    public void Many_bad_sectors_cost_theirs_only()
    {
        Gen.Int.Sample(seed =>
        {
            Random random = new(seed);
            using PortMachine machine = new();
            machine.Model.HasLog = random.Next(2) == 0;
            machine.StartReady();
            var bad = Enumerable.Range(0, 100).Where(_ => random.Next(6) == 0).ToHashSet();
            machine.Disk = () =>
            {
                int index = random.Next(machine.Model.Held.Count);
                Command command = machine.Model.Held[index];
                if (command.IsTransfer && bad.Contains((int)command.Lba)) machine.Model.Fail(index, AtaError.UNC);
                else machine.Model.Perform(index);
            };
            BlockRequest*[] requests = new BlockRequest*[100];
            for (int i = 0; i < 100; i++) requests[i] = machine.Send(BlockOperation.Write, i, 1);
            machine.Kick();
            machine.Pass(60_000, () => machine.User.Outstanding == 0);
            for (int i = 0; i < 100; i++) Assert.Equal(bad.Contains(i) ? BlockStatus.MediumError : BlockStatus.Success, requests[i]->Status);
        }, iter: 20 * Fuzz.Factor);
    }

    [Fact]
    public void Silence_ends_what_was_asked_and_the_port_goes_on()
    {
        using PortMachine machine = new();
        machine.StartReady();
        machine.Model.IsDeaf = true;
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Pass(19_000);
        Assert.Empty(machine.User.Completed);
        machine.Pass(12_000);
        Assert.Equal([BlockStatus.Aborted], machine.Statuses);
        Assert.Equal("ahci 00:1f.2: port 3: no answer in time; the port is reset", Assert.Single(AhciHost.Lines));
        machine.Model.IsDeaf = false;
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Pass(30_000, () => machine.User.Outstanding == 0);
        Assert.Equal([BlockStatus.Aborted, BlockStatus.Success], machine.Statuses);
    }

    [Fact]
    public void A_lost_message_costs_time_and_nothing_else()
    {
        using PortMachine machine = new();
        machine.StartReady();
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Model.Perform(0);
        machine.Model.Write(PortRegister.IS, uint.MaxValue);
        machine.Pass(11_000);
        Assert.Equal([BlockStatus.Success], machine.Statuses);
        Assert.Equal(1, machine.Model.Resets);
    }

    [Fact]
    public void Faults_of_the_link_are_tried_again_but_not_for_ever()
    {
        using PortMachine machine = new();
        machine.StartReady();
        int faults = 3;
        machine.Disk = () =>
        {
            if (machine.Model.Held[0].IsTransfer && faults-- > 0) machine.Model.Raise(PortRegister.IFS);
            else machine.Model.Perform(0);
        };
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Pass(5000, () => machine.User.Outstanding == 0);
        Assert.Equal([BlockStatus.Success], machine.Statuses);
        faults = int.MaxValue;
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Pass(60_000, () => machine.User.Outstanding == 0);
        Assert.Equal([BlockStatus.Success, BlockStatus.DeviceError], machine.Statuses);
    }

    /// <summary>A disk that starts anew within (a fault of its firmware, of its power) is silent on the line for a while.</summary>
    [Fact]
    public void A_disk_that_was_there_is_waited_for()
    {
        using PortMachine machine = new();
        machine.StartReady();
        ulong silentUntil = 0;
        machine.Model.Distort = (offset, value) => offset == PortRegister.SSTS && AhciHost.Now < silentUntil ? 0 : value;
        bool failed = false;
        machine.Disk = () =>
        {
            if (failed) machine.Model.Perform(0);
            else
            {
                failed = true;
                silentUntil = AhciHost.Now + 1_500 * 10_000;
                machine.Model.Raise(PortRegister.IFS);
            }
        };
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Pass(5000, () => machine.User.Outstanding == 0);
        Assert.Equal([BlockStatus.Success], machine.Statuses);
    }

    [Fact]
    public void A_disk_that_is_pulled_out_is_gone_and_may_come_back()
    {
        using PortMachine machine = new();
        machine.StartReady();
        machine.Model.IsDeaf = true;
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Model.Unplug();
        machine.Pass(3000);
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        Assert.Equal([BlockStatus.Gone, BlockStatus.Gone], machine.Statuses);
        machine.Model.IsDeaf = false;
        machine.Model.Plug();
        machine.Pass(3000);
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Pass(1000);
        Assert.Equal(BlockStatus.Success, machine.Statuses[^1]);
        Assert.Equal(1, machine.Registry->Count);
        machine.Model.Unplug();
        machine.Pass(3000);
        machine.Model.Identity = PortModel.IdentityOf(PortModel.Sectors / 2);
        machine.Model.Plug();
        machine.Pass(3000);
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        Assert.Equal(BlockStatus.Gone, machine.Statuses[^1]);
        Assert.Contains("another disk", AhciHost.Lines[^1]);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Before_power_goes_the_disk_writes_its_cache(bool isDeaf, bool neverStops)
    {
        using PortMachine machine = new();
        machine.StartReady();
        machine.Send(BlockOperation.Write, 0, 1);
        machine.Kick();
        machine.Pass(100);
        machine.Send(BlockOperation.Read, 0, 1); // is out
        machine.Kick();
        (machine.Model.IsWatched, machine.Model.IsDeaf, machine.Model.NeverStops) = (true, isDeaf, neverStops);
        AhciHost.TicksOfALook = 10_000;
        ulong end = AhciHost.Now + 30_000_000;
        machine.Port->ShutDown(end);
        Assert.InRange(AhciHost.Now, 0UL, end + 100_000);
        if (!isDeaf && !neverStops) Assert.Equal((false, AtaCode.StandbyImmediate), (machine.Model.IsDirty, machine.Model.History[^1]));
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        Assert.Equal([BlockStatus.Success, BlockStatus.DeviceError], machine.Statuses);
    }

    [Fact]
    public void A_port_that_does_not_stop_is_reset_all_the_same()
    {
        using PortMachine machine = new();
        machine.StartReady();
        machine.Model.NeverStops = true;
        machine.Disk = () =>
        {
            if (machine.Model.Held[0].IsTransfer && machine.Model.Resets == 1) machine.Model.Raise(PortRegister.HBFS);
            else machine.Model.Perform(0);
        };
        machine.Send(BlockOperation.Read, 0, 1);
        machine.Kick();
        machine.Pass(5000, () => machine.User.Outstanding == 0);
        Assert.Equal([BlockStatus.Success], machine.Statuses);
    }

    [Fact]
    public void Whatever_the_registers_say_every_request_ends_once() =>
        Gen.Int.Sample(seed =>
        {
            Random random = new(seed);
            using PortMachine machine = new();
            machine.StartReady();
            int wild = random.Next(2, 40);
            machine.Model.IsLenient = true;
            // Some registers lie some of the time; now and then all of them read ones.
            machine.Model.Distort = (offset, value) => offset == PortRegister.CMD || random.Next(wild) != 0 ? value
                : random.Next(3) switch { 0 => uint.MaxValue, 1 => 0, _ => value ^ 1u << random.Next(32) };
            machine.Disk = () =>
            {
                int index = random.Next(machine.Model.Held.Count);
                switch (random.Next(wild))
                {
                    case 0: machine.Model.Fail(index, (byte)random.Next(256)); break;
                    case 1: machine.Model.Raise((uint)random.Next()); break;
                    default: machine.Model.Perform(index); break;
                }
            };
            for (int i = 0; i < 40; i++) machine.Send((BlockOperation)random.Next(4), random.Next(1000), 1 + random.Next(100));
            machine.Kick();
            // 40 requests, each with its attempts, each of which may take as long as the patience of a watch and a reset.
            machine.Pass(40 * 100_000, () => machine.User.Outstanding == 0);
            Assert.Equal((0, 40), (machine.User.Outstanding, machine.User.Completed.Count));
        }, iter: 100 * Fuzz.Factor);

    [Fact]
    public void Whatever_the_registers_say_at_start_the_port_settles() =>
        Gen.Int.Sample(seed =>
        {
            Random random = new(seed);
            using PortMachine machine = new();
            int wild = random.Next(1, 30);
            machine.Model.IsLenient = true;
            machine.Model.Distort = (offset, value) => random.Next(wild) != 0 ? value
                : random.Next(3) switch { 0 => uint.MaxValue, 1 => 0, _ => value ^ 1u << random.Next(32) };
            machine.Disk = () =>
            {
                if (random.Next(wild) == 0) machine.Model.Fail(0, (byte)random.Next(256));
                else machine.Model.Perform(0);
            };
            if (random.Next(2) == 0) random.NextBytes(machine.Model.Identity);
            machine.Start();
            machine.Pass(1_000_000, () => machine.Adapter->Unsettled == 0);
            Assert.Equal(0u, machine.Adapter->Unsettled);
            Assert.True(machine.Registry->Count <= 1 && AhciHost.Lines.Count < 40);
        }, iter: 100 * Fuzz.Factor);
}
