// Parts of the NVMe driver: what the manual's tables say, lists of pages, what Identify may hold, a queue pair with a device that lies.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using CsCheck;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Nvme;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe class NvmePartsTests
{
    // NVM Express Base Specification 2.0, "Submission Queue Entry" and "Identify", "Dataset Management" in the NVM Command Set Specification.
    [Fact]
    public void Structures_lie_as_the_manual_says()
    {
        NvmeCommand command = default;
        byte* start = (byte*)&command;
        Assert.Equal(64, sizeof(NvmeCommand));
        Assert.Equal((0, 2, 4, 24, 32, 40, 44, 48), ((int)((byte*)&command.Opcode - start), (int)((byte*)&command.CommandId - start), (int)((byte*)&command.NamespaceId - start), (int)((byte*)&command.Prp1 - start), (int)((byte*)&command.Prp2 - start),
            (int)((byte*)&command.Dword10 - start), (int)((byte*)&command.Dword11 - start), (int)((byte*)&command.Dword12 - start)));
        NvmeRange range = default;
        Assert.Equal(16, sizeof(NvmeRange));
        Assert.Equal((4, 8), ((int)((byte*)&range.LengthInBlocks - (byte*)&range), (int)((byte*)&range.StartingBlock - (byte*)&range)));
        NvmeCapabilities capabilities = new(0x0011_0021_0200_03FFul | 3ul << 32);
        Assert.Equal((0x3FFu, 2u, 3, 1, true), (capabilities.MQES, capabilities.TO, capabilities.DSTRD, capabilities.MPSMIN, capabilities.HasNvmCommandSet));
        Assert.Equal(0x1000u + 5 * 32, capabilities.Doorbell(2, true));
        Assert.Equal(0x1004u, new NvmeCapabilities(0).Doorbell(0, true));
        Assert.Equal(0x00460001u, NvmeConfiguration.Enabled.Value);
        NvmeCommand read = NvmeCommand.Blocks(NvmeOpcode.Write, 7, 0x1_2345_6789, 65536, true);
        Assert.Equal((0x01, 7u, 0x23456789u, 1u, 0x4000FFFFu), (read.Opcode, read.NamespaceId, read.Dword10, read.Dword11, read.Dword12));
        NvmeCompletion completion = new(0x8005_1234_0003_0002ul | 1ul << 48);
        Assert.Equal((2, 3, 0x1234, true, 0x4002), (completion.SQHD, completion.SQID, completion.CommandId, completion.Phase, completion.Status.Value));
    }

    [Theory]
    [InlineData(0x000, BlockStatus.Success)]
    [InlineData(0x4000, BlockStatus.Success)] // Do Not Retry alone is no error
    [InlineData(0x001, BlockStatus.Unsupported)]
    [InlineData(0x002, BlockStatus.DeviceError)]
    [InlineData(0x007, BlockStatus.Aborted)]
    [InlineData(0x020, BlockStatus.ReadOnly)]
    [InlineData(0x080, BlockStatus.OutOfRange)]
    [InlineData(0x081, BlockStatus.NoSpace)]
    [InlineData(0x182, BlockStatus.ReadOnly)]
    [InlineData(0x280, BlockStatus.MediumError)]
    [InlineData(0x281, BlockStatus.MediumError)]
    [InlineData(0x286, BlockStatus.DeviceError)]
    [InlineData(0x300, BlockStatus.DeviceError)]
    [InlineData(0x7FF, BlockStatus.DeviceError)]
    public void Status_is_told_in_the_words_of_blocks(int value, BlockStatus expected)
    {
        Assert.Equal(expected, new NvmeStatus((ushort)value).ToBlockStatus());
        Assert.Equal(expected == BlockStatus.Success, new NvmeStatus((ushort)value).IsSuccess);
    }

    /// <summary>Whatever a device says of itself, what is taken from it is sane.</summary>
    [Fact]
    public void Identify_yields_usable_numbers_or_a_refusal() =>
        Gen.Select(Gen.Byte.Array[4096], Gen.ULong, Gen.Byte, Gen.Byte, Gen.Byte, Gen.Int[0, 3]).Sample((data, blocks, count, format, shift, kind) =>
        {
            BitConverter.TryWriteBytes(data, kind == 0 ? blocks : blocks >> 24);
            data[25] = count;
            data[26] = format;
            int index = format & 15 | (count >= 16 ? (format >> 5 & 3) << 4 : 0);
            if (kind > 1) data[128 + 4 * index] = data[129 + 4 * index] = 0;
            if (kind > 0) data[130 + 4 * index] = (byte)(shift % 16);
            fixed (byte* raw = data)
            {
                NvmeControllerIdentity controller = NvmeControllerIdentity.Parse(raw);
                controller.AddCommandSet(raw);
                bool sane = (controller.MaximumTransferBytes == 0 || controller.MaximumTransferBytes >= 8192) && NvmeControllerIdentity.Serial(raw).Length == 20;
                NvmeNamespaceFault fault = NvmeNamespaceIdentity.Parse(raw, out NvmeNamespaceIdentity identity);
                if (fault != NvmeNamespaceFault.None) return sane;
                return sane && identity.BlockShift is >= 9 and <= 12 && identity.BlockShift == data[130 + 4 * index] && identity.Blocks == BitConverter.ToUInt64(data) &&
                    identity.Blocks <= (ulong)long.MaxValue >> identity.BlockShift && identity.PhysicalBlockBytes >= identity.BlockBytes &&
                    (identity.PhysicalBlockBytes & identity.PhysicalBlockBytes - 1) == 0 && identity.IsReadOnly == ((data[99] & 1) != 0);
            }
        }, iter: 3000 * Fuzz.Factor);

    /// <summary>Segments as the limits have them, cut into pieces anywhere: the entries describe exactly those bytes in order.</summary>
    [Fact]
    public void Page_lists_describe_the_segments() =>
        Gen.Select(Gen.Int[0, 1023], Gen.Int[1, 40].Array[1, 12], Gen.Int[1, 4096], Gen.Int[1, 300].Array[1, 8]).Sample((start, runs, tail, cuts) =>
        {
            List<BlockSegment> segments = [];
            ulong at = 0x10_0000;
            for (int i = 0; i < runs.Length; i++)
            {
                ulong within = i == 0 ? (ulong)start * 4 : 0, end = at + (ulong)runs[i] * 4096 - (i == runs.Length - 1 ? (ulong)(4096 - tail) & ~3ul : 0);
                if (end <= at + within) end = at + within + 4;
                segments.Add(new BlockSegment { Physical = at + within, Length = (uint)(end - at - within) });
                at += (ulong)(runs[i] + 1 + i % 2 * 3) * 4096;
            }
            uint total = (uint)segments.Sum(s => s.Length), done = 0;
            fixed (BlockSegment* first = segments.ToArray())
            {
                BlockRequest request = new() { Segments = first, SegmentCount = (uint)segments.Count };
                SegmentCursor cursor = default;
                ulong* list = (ulong*)NativeMemory.AlignedAlloc(PrpList.Bytes + 64, 4096);
                List<(ulong, int)> described = [];
                for (int i = 0; done < total; i++)
                {
                    uint piece = Math.Min(Math.Min((uint)cuts[i % cuts.Length] * 4096, PrpList.MaximumTransferBytes), total - done);
                    list[PrpList.Capacity] = 0xA5A5;
                    if (!PrpList.TryBuild(&request, ref cursor, piece, list, (ulong)list, out ulong prp1, out ulong prp2)) return false;
                    described.AddRange(NvmeModel.Pages(new NvmeCommand { Prp1 = prp1, Prp2 = prp2 }, (int)piece));
                    if (list[PrpList.Capacity] != 0xA5A5) return false;
                    done += piece;
                }
                SegmentCursor beyond = cursor;
                bool more = PrpList.TryBuild(&request, ref beyond, 4, list, (ulong)list, out _, out _);
                NativeMemory.AlignedFree(list);
                return !more && Bytes(described).SequenceEqual(Bytes(segments.Select(s => (s.Physical, (int)s.Length))));
            }
        }, iter: 1000 * Fuzz.Factor);

    /// <summary>As runs of adjacent memory, joined.</summary>
    private static List<(ulong, ulong)> Bytes(IEnumerable<(ulong Address, int Length)> pieces)
    {
        List<(ulong Start, ulong End)> runs = [];
        foreach ((ulong address, int length) in pieces)
            if (runs.Count != 0 && runs[^1].End == address) runs[^1] = (runs[^1].Start, address + (ulong)length);
            else runs.Add((address, address + (ulong)length));
        return runs;
    }

    [Theory]
    [InlineData(2, 512)]        // not at a multiple of four
    [InlineData(0, 512, 0x5000, 512)] // the first ends within a page
    [InlineData(0, 4096, 0x5004, 512)] // the second begins within one
    [InlineData(0, 256)]        // too short
    public void Segments_against_the_limits_are_refused(int physical, int length, int second = 0, int secondLength = 0)
    {
        BlockSegment* segments = stackalloc BlockSegment[2];
        segments[0] = new BlockSegment { Physical = 0x10000 + (ulong)physical, Length = (uint)length };
        segments[1] = new BlockSegment { Physical = 0x10000 + (ulong)second, Length = (uint)secondLength };
        BlockRequest request = new() { Segments = segments, SegmentCount = secondLength == 0 ? 1u : 2 };
        SegmentCursor cursor = default;
        ulong* list = stackalloc ulong[(int)PrpList.Capacity];
        Assert.False(PrpList.TryBuild(&request, ref cursor, (uint)Math.Max(length + secondLength, 512), list, 0x1000, out _, out _));
    }

    /// <summary>A device that posts anything: no slot is given back that was not out, none twice, and the rings' indices stay within.</summary>
    [Fact]
    public void A_queue_believes_nothing() =>
        Gen.Select(Gen.Int[1, 20], Gen.Select(Gen.Int[0, 9], Gen.ULong, Gen.Int[0, 30]).Array[1, 200]).Sample((slotCount, steps) =>
        {
            uint entries = (uint)slotCount + 1;
            NvmeCommand* commands = (NvmeCommand*)NativeMemory.AllocZeroed((nuint)(entries * 64 + 64));
            ulong* completions = (ulong*)NativeMemory.AllocZeroed((nuint)(entries * 16 + 64));
            NvmeSlot* slots = (NvmeSlot*)NativeMemory.AllocZeroed((nuint)((slotCount + 1) * sizeof(NvmeSlot)));
            NvmeQueue queue = default;
            queue.Initialize(5, commands, completions, slots, entries, (uint)slotCount);
            Dictionary<ushort, nint> live = [];
            Dictionary<uint, ushort> ids = [];
            List<ushort> order = [];
            int head = 0, submitted = 0, tail = 0;
            bool phase = true, fine = true, broken = false;
            ulong next = 1;
            foreach ((int kind, ulong value, int which) in steps)
            {
                if (kind < 4 && queue.HasFreeSlot)
                {
                    uint slot = queue.NextSlot;
                    queue.Push(new NvmeCommand { Opcode = (byte)next }, (void*)next, 0);
                    ushort id = commands[tail].CommandId;
                    fine &= commands[tail].Opcode == (byte)next && !live.ContainsKey(id) && id != 0xFFFF;
                    live.Add(id, (nint)next++);
                    ids[slot] = id;
                    order.Add(id);
                    tail = (tail + 1) % (int)entries;
                    fine &= queue.TryTakeTail(out uint rung) && rung == tail && !queue.TryTakeTail(out _);
                    submitted++;
                    continue;
                }
                bool honest = kind < 9 && live.Count != 0;
                ulong word = honest ? (ulong)tail | 5ul << 16 | (ulong)live.Keys.ElementAt(which % live.Count) << 32 | (value & 0x7FF) << 49 : value & ~(1ul << 48);
                if (!honest && which % 3 == 0) word = word & ~0xFFFFFFFFul | (ulong)tail | 5ul << 16; // a plausible place, any id
                if (!honest && which % 3 == 1 && order.Count != 0) word = (ulong)tail | 5ul << 16 | (ulong)order[(int)(value % (ulong)order.Count)] << 32; // perhaps a second time
                completions[2 * head] = value;
                completions[2 * head + 1] = word | (phase ? 1ul << 48 : 0);
                ushort claimed = (ushort)(word >> 32);
                bool valid = (ushort)word < entries && (ushort)(word >> 16) == 5 && live.ContainsKey(claimed);
                NvmeReap reap = queue.Reap(out uint given, out NvmeStatus status, out uint result);
                fine &= reap == (valid ? NvmeReap.Completed : NvmeReap.Broken);
                if (!valid)
                {
                    broken = true;
                    break;
                }
                fine &= ids[given] == claimed && (nint)queue.Slot(given)->Context == live[claimed] && result == (uint)value && status.Value == (ushort)(word >> 49);
                live.Remove(claimed);
                if (++head == entries) { head = 0; phase = !phase; }
                fine &= queue.TryTakeHead(out uint told) && told == head && !queue.TryTakeHead(out _) && queue.InFlight == live.Count;
                fine &= queue.Reap(out _, out _, out _) == NvmeReap.Nothing;
            }
            fine &= queue.InFlight == live.Count && queue.HasFreeSlot == live.Count < slotCount;
            if (broken)
            {
                // A queue set up anew works, and does not take what the old one was owed.
                queue.Initialize(5, commands, completions, slots, entries, (uint)slotCount);
                fine &= queue.InFlight == 0 && queue.Reap(out _, out _, out _) == NvmeReap.Nothing;
            }
            NativeMemory.Free(commands);
            NativeMemory.Free(completions);
            NativeMemory.Free(slots);
            return fine;
        }, iter: 2000 * Fuzz.Factor);
}
