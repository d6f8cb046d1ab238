// The list of disks: names, partitions that appear, finding, claims, and when it is settled.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using CsCheck;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Partitions;
using Lamina.Drivers.Storage.Registry;
using Lamina.Text;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe class RegistryTests : IDisposable
{
    private readonly byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)BlockRegistry.MemoryBytes, 4096);
    private readonly BlockRegistry* registry;
    private readonly List<IDisposable> disks = [];
    private readonly DiskListener* listener = (DiskListener*)NativeMemory.AllocZeroed((nuint)sizeof(DiskListener));
    private readonly GCHandle self;
    private readonly List<string> told = [];

    public RegistryTests()
    {
        NativeMemory.Clear(memory, (nuint)BlockRegistry.MemoryBytes);
        registry = BlockRegistry.Create(memory);
        self = GCHandle.Alloc(this);
        *listener = new DiskListener { Added = &OnAdded, Settled = &OnSettled, Context = (void*)GCHandle.ToIntPtr(self) };
        registry->Listen(listener);
    }

    public void Dispose()
    {
        self.Free();
        foreach (IDisposable disk in disks) disk.Dispose();
        NativeMemory.AlignedFree(memory);
        NativeMemory.Free(listener);
    }

    private static void OnAdded(void* context, DiskEntry* entry) => ((RegistryTests)GCHandle.FromIntPtr((nint)context).Target).told.Add(Text(entry->Name));
    private static void OnSettled(void* context) => ((RegistryTests)GCHandle.FromIntPtr((nint)context).Target).told.Add("settled");
    private static string Text(ReadOnlySpan<byte> text) => Encoding.UTF8.GetString(text);

    private ScriptedDisk Disk(byte[] content, string serial = "", uint blockBytes = 512)
    {
        ScriptedDisk disk = new(content, blockBytes, serial);
        disks.Add(disk);
        return disk;
    }

    private static byte[] Bytes(SparseFile file)
    {
        byte[] content = new byte[file.Length];
        file.Read(0, content);
        return content;
    }

    private static byte[] Gpt(int blockBytes = 512, params (ulong First, ulong Last, string Name)[] partitions) =>
        Bytes(PartitionTableTests.Disk(20480, blockBytes, partitions.Select((p, i) =>
        {
            byte[] entry = PartitionTableTests.Entry(PartitionTableTests.Linux, p.First, p.Last, p.Name);
            entry[17] = (byte)i;
            return entry;
        }).ToArray()));

    private DiskEntry* Find(string text)
    {
        registry->Find(Encoding.UTF8.GetBytes(text), out DiskEntry* found);
        return found;
    }

    [Fact]
    public void Numbers_follow_the_order_of_announcement_not_of_readiness()
    {
        int first = registry->AddController("ahci"u8, 6), nvme = registry->AddController("nvme"u8, 1), second = registry->AddController("ahci"u8, 4), other = registry->AddController("nvme"u8, 1);
        registry->Complete();
        ScriptedDisk[] all = Enumerable.Range(0, 5).Select(_ => Disk(new byte[65536])).ToArray();
        foreach (ScriptedDisk disk in all) disk.Immediate = true;
        registry->AddDisk(other, 0, 3, all[0].Device);
        registry->AddDisk(second, 2, 0, all[1].Device);
        registry->AddDisk(first, 5, 0, all[2].Device);
        registry->AddDisk(nvme, 0, 1, all[3].Device);
        registry->AddDisk(first, 0, 0, all[4].Device);
        Assert.Equal(["nvme1n3", "ahci8", "ahci5", "nvme0n1", "ahci0"], told);
        List<string> inOrder = [];
        for (DiskEntry* disk = registry->NextDisk(null); disk != null; disk = registry->NextDisk(disk)) inOrder.Add(Text(disk->Name));
        Assert.Equal(["ahci0", "ahci5", "nvme0n1", "ahci8", "nvme1n3"], inOrder);
        foreach (int controller in new[] { first, nvme, second }) registry->FinishController(controller);
        Assert.False(registry->IsSettled);
        registry->FinishController(other);
        registry->FinishController(other);
        Assert.True(registry->IsSettled);
        Assert.Equal("settled", told[^1]);
        Assert.Single(told, "settled");
        registry->StopWaiting();
        Assert.Single(told, "settled");
    }

    [Fact]
    public void Settled_waits_for_the_tables_and_a_time_limit_ends_the_wait()
    {
        int controller = registry->AddController("virtio"u8, 1);
        ScriptedDisk disk = Disk(Gpt(512, (2048, 4095, "a")));
        registry->AddDisk(controller, 0, 0, disk.Device);
        registry->FinishController(controller);
        registry->Complete();
        Assert.False(registry->IsSettled);
        Assert.True(Find("virtio0") == null);
        registry->StopWaiting();
        Assert.Equal(["settled"], told);
        disk.CompleteAll();
        Assert.Equal(["settled", "virtio0", "virtio0p1"], told);
        Assert.True(Find("virtio0p1") != null);
        // Who comes late is told at once.
        *listener = new DiskListener { Settled = &OnSettled, Context = listener->Context };
        told.Clear();
        registry->Listen(listener);
        Assert.Equal(["settled"], told);
    }

    [Fact]
    public void Without_controllers_it_is_settled_at_once()
    {
        registry->Complete();
        Assert.Equal(["settled"], told);
        Assert.Equal(-1, registry->AddController("muchtoolong"u8, 1));
        Assert.True(registry->AddDisk(-1, 0, 0, Disk(new byte[512]).Device) == null);
    }

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void Partitions_are_devices_of_their_own(int blockBytes)
    {
        ScriptedDisk disk = Disk(Gpt(blockBytes, (2048, 4095, "EFI system"), (4096, 8191, "root ü€😀")), "S1", (uint)blockBytes);
        disk.Immediate = true;
        int controller = registry->AddController("nvme"u8, 1);
        registry->AddDisk(controller, 0, 1, disk.Device);
        Assert.Equal(["nvme0n1", "nvme0n1p1", "nvme0n1p2"], told);
        DiskEntry* whole = Find("nvme0n1"), second = Find("nvme0n1p2");
        Assert.Equal(PartitionScheme.Gpt, whole->Scheme);
        Assert.Equal(2u, whole->PartitionCount);
        Assert.True(second->Disk == whole);
        Assert.Equal(4096ul * (ulong)blockBytes, second->FirstByte);
        Assert.Equal(4096ul * (ulong)blockBytes, second->Device->Limits.Bytes);
        Assert.Equal(disk.Device->Limits.MaximumSegments, second->Device->Limits.MaximumSegments);
        Assert.Equal("root ü€😀", Text(second->Label));
        Assert.True(Find("partlabel:root ü€😀") == second);
        Assert.True(Find("serial:S1") == whole);
        Assert.True(Find("serial:") == null && Find("") == null && Find("nvme0n") == null);
    }

    [Fact]
    public void Guids_are_written_as_people_write_them()
    {
        Guid expected = new("01234567-89ab-cdef-1032-547698badcfe");
        byte[] raw = expected.ToByteArray();
        GptGuid guid = new(BitConverter.ToUInt64(raw), BitConverter.ToUInt64(raw, 8));
        byte* buffer = stackalloc byte[64];
        TextWriter writer = new(buffer, 64);
        Assert.Equal(expected.ToString(), Text(writer.Guid(guid).Written));
        Assert.True(GuidText.TryParse(Encoding.ASCII.GetBytes(expected.ToString().ToUpperInvariant()), out GptGuid parsed) && parsed.Equals(guid));
        foreach (string bad in new[] { "", "x", expected.ToString("N"), expected.ToString("B"), "g1234567-89ab-cdef-1032-547698badcfe", "01234567089ab-cdef-1032-547698badcfe" })
            Assert.False(GuidText.TryParse(Encoding.ASCII.GetBytes(bad), out _));
    }

    [Fact]
    public void Guids_find_partitions_and_twins_are_ambiguous()
    {
        int controller = registry->AddController("virtio"u8, 2);
        for (uint i = 0; i < 2; i++)
        {
            ScriptedDisk disk = Disk(Gpt(512, (2048, 4095, "same"), (4096, 8191, i == 0 ? "first" : "second")), "twin");
            disk.Immediate = true;
            registry->AddDisk(controller, i, 0, disk.Device);
        }
        Guid unique = new([1, 1, .. new byte[14]]);
        Assert.Equal(DiskSearch.Ambiguous, registry->Find("serial:twin"u8, out DiskEntry* found));
        Assert.True(found == null);
        Assert.Equal(DiskSearch.Ambiguous, registry->Find("partlabel:same"u8, out _));
        Assert.Equal(DiskSearch.Ambiguous, registry->Find(Encoding.ASCII.GetBytes("partuuid:" + unique), out _));
        Assert.Equal(DiskSearch.Found, registry->Find("partlabel:second"u8, out found));
        Assert.Equal("virtio1p2", Text(found->Name));
        Assert.Equal(DiskSearch.Malformed, registry->Find("partuuid:nonsense"u8, out _));
        Assert.Equal(DiskSearch.NotFound, registry->Find(Encoding.ASCII.GetBytes("partuuid:" + Guid.Empty), out _));
        Assert.Equal(DiskSearch.NotFound, registry->Find("virtio7"u8, out _));
    }

    [Fact]
    public void Damaged_and_unreadable_disks_are_there_without_partitions()
    {
        int controller = registry->AddController("ahci"u8, 3);
        byte[] damaged = Gpt(512, (2048, 4095, "a"));
        damaged[512 + 60] ^= 1;
        damaged[^452] ^= 1;
        byte[] backup = Gpt(512, (2048, 4095, "a"));
        backup[512 + 60] ^= 1;
        ScriptedDisk[] all = [Disk(damaged), Disk(backup), Disk(Gpt(512, (2048, 4095, "a")))];
        all[2].Fate = _ => BlockStatus.MediumError;
        for (uint i = 0; i < 3; i++)
        {
            all[i].Immediate = true;
            registry->AddDisk(controller, i, 0, all[i].Device);
        }
        Assert.Equal(["ahci0", "ahci1", "ahci1p1", "ahci2"], told);
        Assert.Equal(ImageStatus.Invalid, Find("ahci0")->TableStatus);
        Assert.True(Find("ahci1")->FromBackup);
        Assert.Equal(ImageStatus.InputOutputError, Find("ahci2")->TableStatus);
    }

    [Fact]
    public void One_disk_cannot_take_all_the_places()
    {
        int controller = registry->AddController("virtio"u8, 200);
        (ulong, ulong, string)[] many = Enumerable.Range(0, 128).Select(i => (2048 + (ulong)i * 8, 2055 + (ulong)i * 8, "p" + i)).ToArray();
        for (uint i = 0; i < 40; i++)
        {
            ScriptedDisk disk = Disk(Gpt(512, many));
            disk.Immediate = true;
            registry->AddDisk(controller, i, 0, disk.Device);
        }
        Assert.Equal(BlockRegistry.Capacity, registry->Count);
        Assert.Equal(BlockRegistry.Capacity - BlockRegistry.PartitionCapacity, told.Count(name => !name.Contains('p')));
        Assert.Equal(40u * 129 - BlockRegistry.Capacity - 8 * 128, registry->LostCount);
        Assert.Equal(32u, Find("virtio0")->PartitionCount);
    }

    /// <summary>Requests through a partition, in any order of completion: the disk sees them moved, the owner finds them as they were.</summary>
    [Fact]
    public void Requests_pass_through_a_partition_unchanged() =>
        Gen.Select(Gen.Int[0, 4], Gen.Int[-2, 2050], Gen.Int[0, 40], Gen.Int[0, 30]).Array[1, 40].Sample(steps =>
        {
            using RegistryTests test = new();
            ScriptedDisk disk = test.Disk(Gpt(512, (2048, 4095, "a")));
            byte[] model = disk.Content.AsSpan(2048 * 512, 2048 * 512).ToArray();
            byte[] outside = disk.Content.AsSpan(0, 2048 * 512).ToArray();
            int controller = test.registry->AddController("virtio"u8, 1);
            test.registry->AddDisk(controller, 0, 0, disk.Device);
            disk.CompleteAll();
            BlockDevice* partition = test.Find("virtio0p1")->Device;
            byte* data = (byte*)NativeMemory.AlignedAlloc(20480, 4096);
            BlockSegment segment = new() { Physical = (ulong)data };
            bool fine = true;
            foreach ((int operation, int block, int blocks, int seed) in steps)
            {
                ulong offset = unchecked((ulong)(block * 512L));
                segment.Length = (uint)(blocks == 0 ? 1 : blocks) * 512;
                Done done = default;
                delegate*<BlockRequest*, void> completed = &OnDone;
                BlockRequest request = new()
                {
                    Operation = (BlockOperation)operation, Offset = offset, Length = segment.Length, Completed = completed, Context = &done,
                    SegmentCount = operation < 2 ? 1u : 0, Segments = &segment,
                };
                if (operation == (int)BlockOperation.Flush) request.Offset = request.Length = 0;
                for (int i = 0; i < (int)segment.Length; i++) data[i] = (byte)(seed + i * 7);
                partition->Submit(0, &request);
                fine &= done.Count == 0;
                partition->Kick(0);
                disk.CompleteAll();
                bool inside = operation == 2 || (block >= 0 && block + segment.Length / 512 <= 2048);
                fine &= done.Count == 1 && request.Status == (inside ? BlockStatus.Success : BlockStatus.OutOfRange);
                fine &= (nint)request.Completed == (nint)completed && (operation == 2 || request.Offset == offset);
                if (!inside) continue;
                Span<byte> here = model.AsSpan(operation == 2 ? 0 : block * 512, operation == 2 ? 0 : (int)segment.Length), memoryHere = new(data, here.Length);
                if (operation == 0) fine &= memoryHere.SequenceEqual(here);
                else if (operation == 1) memoryHere.CopyTo(here);
                else if (operation == 3) here.Fill(0xD1);
                else if (operation == 4) here.Clear();
            }
            NativeMemory.AlignedFree(data);
            return fine && disk.Content.AsSpan(2048 * 512, 2048 * 512).SequenceEqual(model) && disk.Content.AsSpan(0, 2048 * 512).SequenceEqual(outside);
        }, iter: 200 * Fuzz.Factor);

    private struct Done
    {
        public int Count;
    }

    private static void OnDone(BlockRequest* request) => ((Done*)request->Context)->Count++;

    /// <summary>Any claims and releases on a disk with partitions and another disk: what stands never conflicts, what is refused has a reason.</summary>
    [Fact]
    public void Claims_never_conflict() =>
        Gen.Select(Gen.Int[0, 3], Gen.Bool, Gen.Int[0, 5]).Array[1, 60].Sample(steps =>
        {
            using RegistryTests test = new();
            int controller = test.registry->AddController("virtio"u8, 2);
            ScriptedDisk first = test.Disk(Gpt(512, (2048, 4095, "a"), (4096, 8191, "b"))), second = test.Disk(new byte[65536]);
            first.Immediate = second.Immediate = true;
            test.registry->AddDisk(controller, 0, 0, first.Device);
            test.registry->AddDisk(controller, 1, 0, second.Device);
            string[] names = ["virtio0", "virtio0p1", "virtio0p2", "virtio1"];
            List<(int Disk, bool Writes, nint Claim)> live = [];
            foreach ((int which, bool writes, int release) in steps)
            {
                if (release < live.Count && release % 2 == 0)
                {
                    test.registry->Release((DiskClaim*)live[release].Claim);
                    live.RemoveAt(release);
                }
                bool free = live.All(one => !(one.Disk == which || (one.Disk == 0 && which < 3) || (which == 0 && one.Disk < 3)) || !(one.Writes || writes));
                bool claimed = test.registry->TryClaim(test.Find(names[which]), writes, Encoding.ASCII.GetBytes("vm" + live.Count), out DiskClaim* claim, out DiskClaim* conflict);
                if (claimed != free || claimed != (conflict == null) || claimed != (claim != null)) return false;
                if (claimed) live.Add((which, writes, (nint)claim));
            }
            for (int i = 0; i < 4; i++)
            {
                int count = 0;
                DiskEntry* entry = test.Find(names[i]);
                for (DiskClaim* claim = test.registry->NextClaim(entry, null); claim != null; claim = test.registry->NextClaim(entry, claim)) count++;
                bool touched = live.Any(one => one.Disk == i || (one.Disk == 0 && i < 3) || (i == 0 && one.Disk < 3));
                if (count != live.Count(one => one.Disk == i) || test.registry->IsClaimed(entry) != touched) return false;
            }
            return true;
        }, iter: 300 * Fuzz.Factor);

    [Fact]
    public void Claims_run_out_without_a_conflict()
    {
        int controller = registry->AddController("virtio"u8, 1);
        ScriptedDisk disk = Disk(new byte[65536]);
        disk.Immediate = true;
        registry->AddDisk(controller, 0, 0, disk.Device);
        for (int i = 0; i < BlockRegistry.ClaimCapacity; i++) Assert.True(registry->TryClaim(Find("virtio0"), false, "a"u8, out _, out _));
        Assert.False(registry->TryClaim(Find("virtio0"), false, "a"u8, out DiskClaim* claim, out DiskClaim* conflict));
        Assert.True(claim == null && conflict == null);
    }

    [Fact]
    public void The_list_says_what_there_is_and_who_uses_it()
    {
        int controller = registry->AddController("nvme"u8, 1);
        ScriptedDisk disk = Disk(Gpt(512, (2048, 4095, "EFI\x1b[2J")), "SN\x07 42");
        registry->AddDisk(controller, 0, 1, disk.Device);
        Assert.Contains("being read", Row(registry->At(0)));
        disk.CompleteAll();
        registry->TryClaim(Find("nvme0n1p1"), true, "debian"u8, out DiskClaim* claim, out _);
        Assert.Matches(@"^nvme0n1 +10 MiB +512 +GPT, 1 partition +SN 42$", Row(Find("nvme0n1")));
        Assert.Matches(@"^  nvme0n1p1 +1024 KiB +512 +EFI\?\[2J +00000001-0000-0000-0000-000000000000 +debian$", Row(Find("nvme0n1p1")));
        registry->TryClaim(Find("nvme0n1"), true, "other"u8, out _, out DiskClaim* conflict);
        byte* buffer = stackalloc byte[DiskText.LineCapacity];
        TextWriter line = new(buffer, DiskText.LineCapacity);
        DiskText.Conflict(ref line, conflict);
        Assert.Equal("nvme0n1p1 is used by debian", Text(line.Written));
        line.Length = 0;
        DiskText.Announcement(ref line, Find("nvme0n1"));
        Assert.Equal("disk nvme0n1: 10 MiB, blocks of 512, serial SN 42, GPT, 1 partition", Text(line.Written));
    }

    private string Row(DiskEntry* entry)
    {
        byte* buffer = stackalloc byte[DiskText.LineCapacity];
        TextWriter line = new(buffer, DiskText.LineCapacity);
        DiskText.Row(ref line, registry, entry);
        return Text(line.Written);
    }
}
