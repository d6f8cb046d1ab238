// Images on a volume, from the name to the bytes: opened as disks, written, closed, and read by others.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Registry;
using Lamina.Drivers.Storage.Store;
using Lamina.Root.Kernel;
using Lamina.Tests.Host.Tools;
using Lamina.Tests.Host.Worker;
using Xunit;

namespace Lamina.Tests.Host.Storage;

[Collection("worker")]
public sealed unsafe class StoreTests : IDisposable
{
    private const int VolumeBytes = 96 << 20;
    private readonly string _folder = Directory.CreateTempSubdirectory("lamina-store").FullName;
    private readonly List<nint> _blocks = [];
    private readonly ulong _free;
    private byte* _volume;
    private static ImageDisk* s_opened;
    private static ImageStatus s_status;
    private static int s_answers, s_closed, s_completed, s_flushes, s_flushesBefore, s_closedWithin;
    private static delegate*<void*, uint, BlockRequest*, void> s_submit;

    public StoreTests()
    {
        StorageDrivers.Reset();
        ImageVolumes.Reset();
        _free = PhysicalMemory.FreePageCount;
        s_answers = s_closed = s_completed = s_flushes = 0;
        s_flushesBefore = s_closedWithin = -1;
    }

    public void Dispose()
    {
        foreach (nint block in _blocks) NativeMemory.AlignedFree((void*)block);
        Directory.Delete(_folder, recursive: true);
        Assert.Equal(_free, PhysicalMemory.FreePageCount);
    }

    private byte* Allocate(long bytes)
    {
        void* block = NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        NativeMemory.Clear(block, (nuint)bytes);
        _blocks.Add((nint)block);
        return (byte*)block;
    }

    private string Path(string name) => System.IO.Path.Combine(_folder, name);

    /// <summary>A disk of the machine with an exFAT volume that has these files.</summary>
    private void AddVolume(string label, params (string Name, string Source)[] files) => AddVolume(VolumeBytes, label, files);

    private void AddVolume(int bytes, string label, params (string Name, string Source)[] files)
    {
        string image = Path(label + ".img");
        Lamina.Tools.Run.ExFatVolume.Create(image, bytes, label);
        foreach ((string name, string source) in files) Lamina.Tools.Run.ExFatVolume.AddFile(image, name, source);
        _volume = Allocate(bytes);
        using (FileStream file = File.OpenRead(image)) file.ReadExactly(new Span<byte>(_volume, bytes));
        AddDisk(_volume, bytes);
    }

    private void AddDisk(byte* content, int bytes)
    {
        var disk = (MemoryDisk*)Allocate(sizeof(MemoryDisk));
        BlockRegistry* disks = StorageDrivers.Disks;
        int controller = disks->AddController("mem"u8, 1);
        disks->AddDisk(controller, 0, 0, MemoryDisk.Create(disk, content, (ulong)bytes, false));
        Executor.RunQueued();
    }

    private string SaveVolume()
    {
        string image = Path("saved.img");
        using (FileStream file = File.Create(image)) file.Write(new ReadOnlySpan<byte>(_volume, VolumeBytes));
        return image;
    }

    private static void Opened(void* context, ImageDisk* disk, ImageStatus status)
    {
        s_opened = disk;
        s_status = status;
        s_answers++;
    }

    private static void Closed(void* context) => s_closed++;
    private static void Completed(BlockRequest* request) => s_completed++;

    private static ImageDisk* Open(string name, bool writable = true)
    {
        s_opened = null;
        int before = s_answers;
        Assert.True(ImageVolumes.Store->TryOpen(Encoding.UTF8.GetBytes(name), writable, &Opened, null));
        Executor.RunQueued();
        Assert.Equal(before + 1, s_answers);
        return s_opened;
    }

    private static void Close(ImageDisk* disk)
    {
        int before = s_closed;
        ImageDisk.BeginClose(disk, &Closed, null);
        Executor.RunQueued();
        Assert.Equal(before + 1, s_closed);
    }

    private BlockStatus Perform(BlockDevice* device, BlockOperation operation, ulong offset, byte[] data, Random random = null)
    {
        byte* buffer = Allocate(data.Length + 8192);
        var segments = (BlockSegment*)Allocate(65 * sizeof(BlockSegment));
        var request = (BlockRequest*)Allocate(sizeof(BlockRequest));
        data.CopyTo(new Span<byte>(buffer, data.Length));
        uint count = 0;
        for (uint at = 0; at < data.Length && operation is BlockOperation.Read or BlockOperation.Write;)
        {
            uint length = random == null || count == 63 ? (uint)data.Length - at : Math.Min((uint)random.Next(1, 24) * 512, (uint)data.Length - at);
            segments[count++] = new BlockSegment { Physical = (ulong)buffer + at, Length = length };
            at += length;
            if (at >= data.Length) break;
        }
        *request = new BlockRequest { Operation = operation, Offset = offset, Length = (ulong)data.Length, Segments = segments, SegmentCount = count, Completed = &Completed };
        int before = s_completed;
        device->Submit(0, request);
        Assert.Equal(before, s_completed);
        device->Kick(0);
        Executor.RunQueued();
        Assert.Equal(before + 1, s_completed);
        if (operation == BlockOperation.Read) new ReadOnlySpan<byte>(buffer, data.Length).CopyTo(data);
        return request->Status;
    }

    private string MakeImage(string name, string format, string options, long bytes)
    {
        Programs.Run("qemu-img", "create", "-q", "-f", format, "-o", options, Path(name), bytes.ToString());
        return Path(name);
    }

    [ProgramTheory("qemu-img", "qemu-utils")]
    [InlineData("a.vhdx", "vhdx", "subformat=dynamic,block_size=1048576")]
    [InlineData("a.vhdx", "vhdx", "subformat=fixed")]
    [InlineData("a.vhd", "vpc", "subformat=dynamic,force_size=on")]
    [InlineData("a.vhd", "vpc", "subformat=fixed,force_size=on")]
    [InlineData("a.img", "raw", "preallocation=off")]
    public void What_is_written_is_there_for_us_and_for_others(string name, string format, string options)
    {
        const int bytes = 24 << 20;
        AddVolume("data", ("vms/" + name, MakeImage(name, format, options, bytes)));
        var model = new byte[bytes];
        var random = new Random(7);
        for (int round = 0; round < 3; round++)
        {
            ImageDisk* disk = Open("DATA:/vms/" + name);
            Assert.Equal(ImageStatus.Success, s_status);
            Assert.Equal((ulong)bytes, disk->Device->Limits.Bytes);
            for (int i = 0; i < 60; i++)
            {
                int length = random.Next(1, 513) * 512, offset = random.Next(0, (bytes - length) / 512 + 1) * 512;
                var data = new byte[length];
                if (random.Next(3) != 0)
                {
                    random.NextBytes(data);
                    Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Write, (ulong)offset, data, random));
                    data.CopyTo(model, offset);
                }
                else
                {
                    Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Read, (ulong)offset, data, random));
                    Assert.True(model.AsSpan(offset, length).SequenceEqual(data));
                }
                if (random.Next(8) == 0) Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Flush, 0, []));
            }
            Close(disk);
        }
        string saved = SaveVolume(), copy = Path("copy" + System.IO.Path.GetExtension(name)), raw = Path("content.raw");
        Lamina.Tools.Run.ExFatVolume.ExtractFile(saved, "vms/" + name, copy);
        if (format == "vhdx") Programs.Run("qemu-img", "check", "-f", "vhdx", copy);
        Programs.Run("qemu-img", "convert", "-f", format, "-O", "raw", copy, raw);
        Assert.True(File.ReadAllBytes(raw).AsSpan(0, bytes).SequenceEqual(model));
    }

    [ProgramFact("qemu-img", "qemu-utils")]
    public void Many_requests_at_once_end_all()
    {
        AddVolume("data", ("a.vhdx", MakeImage("a.vhdx", "vhdx", "subformat=dynamic", 64 << 20)));
        ImageDisk* disk = Open("data:/a.vhdx");
        const int count = 200;
        var requests = (BlockRequest*)Allocate(count * sizeof(BlockRequest));
        var segments = (BlockSegment*)Allocate(count * sizeof(BlockSegment));
        byte* buffer = Allocate(count * 4096);
        s_completed = 0;
        for (int i = 0; i < count; i++)
        {
            new Span<byte>(buffer + i * 4096, 4096).Fill((byte)i);
            segments[i] = new BlockSegment { Physical = (ulong)buffer + (ulong)i * 4096, Length = 4096 };
            requests[i] = new BlockRequest { Operation = BlockOperation.Write, Offset = (ulong)i * 300 * 1024 / 4096 * 4096, Length = 4096, Segments = segments + i, SegmentCount = 1, Completed = &Completed };
            disk->Device->Submit(0, requests + i);
        }
        disk->Device->Kick(0);
        Executor.RunQueued();
        Assert.Equal(count, s_completed);
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(BlockStatus.Success, requests[i].Status);
            var data = new byte[4096];
            Perform(disk->Device, BlockOperation.Read, requests[i].Offset, data);
            Assert.All(data, b => Assert.Equal((byte)i, b));
        }
        Close(disk);
    }

    private static void CountFlushes(void* context, uint queue, BlockRequest* request)
    {
        if (request->Operation == BlockOperation.Flush) s_flushes++;
        s_submit(context, queue, request);
    }

    private static void CompletedAfterFlushes(BlockRequest* request) => s_flushesBefore = s_flushes;

    private static void CloseWithin(BlockRequest* request)
    {
        ImageDisk.BeginClose(s_opened, &Closed, null);
        s_closedWithin = s_closed;
    }

    /// <summary>One sector; whoever wants to look at the request has it returned.</summary>
    private BlockRequest* Send(BlockDevice* device, BlockOperation operation, delegate*<BlockRequest*, void> completed, bool forced = false)
    {
        var segment = (BlockSegment*)Allocate(sizeof(BlockSegment));
        var request = (BlockRequest*)Allocate(sizeof(BlockRequest));
        *segment = new BlockSegment { Physical = (ulong)Allocate(4096), Length = 512 };
        *request = new BlockRequest { Operation = operation, Length = 512, Segments = segment, SegmentCount = 1, ForceUnitAccess = forced, Completed = completed };
        device->Submit(0, request);
        device->Kick(0);
        Executor.RunQueued();
        return request;
    }

    /// <summary>The volume's disk has a cache; formats write what they need beside the data, so all of it is flushed.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_write_that_must_be_stable_is_flushed_before_it_completes(bool isFormat)
    {
        string source = Path(isFormat ? "f.vhdx" : "f.img");
        if (isFormat) VhdxUnderTest.Create(VhdxType.Dynamic, 4 << 20, 1 << 20).Save(source);
        else File.WriteAllBytes(source, new byte[65536]);
        AddVolume("data", (System.IO.Path.GetFileName(source), source));
        BlockDevice* below = StorageDrivers.Disks->At(0)->Device;
        below->Limits.HasWriteCache = true;
        s_submit = below->SubmitFunction;
        below->SubmitFunction = &CountFlushes;
        ImageDisk* disk = Open("data:/" + System.IO.Path.GetFileName(source));
        Send(disk->Device, BlockOperation.Write, &CompletedAfterFlushes);
        s_flushes = 0;
        Assert.Equal(BlockStatus.Success, Send(disk->Device, BlockOperation.Write, &CompletedAfterFlushes)->Status);
        Assert.Equal(0, s_flushesBefore);
        Assert.Equal(BlockStatus.Success, Send(disk->Device, BlockOperation.Write, &CompletedAfterFlushes, forced: true)->Status);
        Assert.True(s_flushesBefore > 0);
        Close(disk);
    }

    /// <summary>The last request of a disk that was taken away has just ended: whoever is told closes it, and the disk is at work further up.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_disk_that_is_closed_within_a_completion_stays_until_that_is_over(bool writable)
    {
        string file = Path("f.img");
        File.WriteAllBytes(file, new byte[65536]);
        AddVolume("data", ("f.img", file));
        ImageDisk* disk = Open("data:/f.img", writable);
        Send(disk->Device, BlockOperation.Read, &CloseWithin);
        Assert.Equal(0, s_closedWithin);
        Assert.Equal(1, s_closed);
    }

    /// <summary>More than the store has places for: of other file systems, or exFAT but not wanted.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_volume_is_found_among_any_number(bool othersAreExFat)
    {
        const int bytes = 4 << 20, others = ImageStore.VolumeCapacity + 4;
        string file = Path("f.img");
        File.WriteAllBytes(file, new byte[4096]);
        for (int i = 0; i < others; i++)
            if (othersAreExFat) AddVolume(bytes, "other" + i, ("f.img", file));
            else AddDisk(Allocate(bytes), bytes);
        AddVolume(bytes, "data", ("f.img", file));
        ImageDisk* disk = Open("data:/f.img");
        Assert.Equal(ImageStatus.Success, s_status);
        ImageDisk* second = othersAreExFat ? Open($"other{others - 1}:/f.img") : null;
        Assert.Equal(ImageStatus.Success, s_status);
        Close(disk);
        if (second != null) Close(second);
        Assert.True(Open("none:/f.img") == null);
        Assert.Equal(ImageStatus.NoVolume, s_status);
    }

    /// <summary>Of the two that were looked at one may have made way for the others: it counts all the same.</summary>
    [Fact]
    public void A_label_that_two_volumes_have_names_none()
    {
        const int bytes = 4 << 20;
        string file = Path("f.img");
        File.WriteAllBytes(file, new byte[4096]);
        AddVolume(bytes, "data", ("f.img", file));
        for (int i = 0; i < ImageStore.VolumeCapacity + 4; i++) AddVolume(bytes, "other" + i);
        AddVolume(bytes, "data", ("f.img", file));
        Assert.True(Open("data:/f.img") == null);
        Assert.Equal(ImageStatus.NoVolume, s_status);
    }

    /// <summary>All disks of all VMs, as when the machine starts.</summary>
    [Fact]
    public void As_many_as_there_can_be_are_opened_at_once()
    {
        const int count = Lamina.Root.Config.MachineConfig.MaxVms * Lamina.Root.Worker.VmDisks.Capacity;
        AddVolume(4 << 20, "data");
        for (int i = 0; i < count; i++) Assert.True(ImageVolumes.Store->TryOpen(Encoding.UTF8.GetBytes($"data:/{i}.img"), true, &Opened, null));
        Executor.RunQueued();
        Assert.Equal(count, s_answers);
        Assert.Equal(ImageStatus.NotFound, s_status);
    }

    /// <summary>Of the volume's only file, as its entry has it.</summary>
    private uint LastModified()
    {
        for (int at = 0; at < VolumeBytes; at += 32)
            if (_volume[at] == 0x85 && _volume[at + 32] == 0xC0) return *(uint*)(_volume + at + 12);
        return 0;
    }

    /// <summary>Whoever copies images elsewhere goes by their times.</summary>
    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, false)]
    public void An_image_that_was_written_says_when(bool grows, bool writes)
    {
        string source = Path(grows ? "f.vhdx" : "f.img");
        if (grows) VhdxUnderTest.Create(VhdxType.Dynamic, 4 << 20, 1 << 20).Save(source);
        else File.WriteAllBytes(source, new byte[65536]);
        AddVolume("data", (System.IO.Path.GetFileName(source), source));
        uint before = LastModified(), now = Lamina.Drivers.Storage.FileSystems.ExFatTimestamp.From(2023, 11, 14, 22, 13, 20);
        Assert.True(before != 0 && before != now);
        ImageDisk* disk = Open("data:/" + System.IO.Path.GetFileName(source));
        if (writes) Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Write, 4096, new byte[4096]));
        Close(disk);
        Assert.Equal(writes ? now : before, LastModified());
    }

    [Theory]
    [InlineData(0ul, 1980u, 1u, 1u, 0u, 0u)]
    [InlineData(315532800ul, 1980u, 1u, 1u, 0u, 0u)]
    [InlineData(951827696ul, 2000u, 2u, 29u, 12u, 34u)]
    [InlineData(4107542399ul, 2100u, 2u, 28u, 23u, 59u)]
    [InlineData(4107542400ul, 2100u, 3u, 1u, 0u, 0u)]
    public void Seconds_become_a_date(ulong seconds, uint year, uint month, uint day, uint hour, uint minute) =>
        Assert.Equal(Lamina.Drivers.Storage.FileSystems.ExFatTimestamp.From(year, month, day, hour, minute, seconds < 315532800 ? 0 : (uint)(seconds % 60)),
            Lamina.Drivers.Storage.FileSystems.ExFatTimestamp.FromUnix(seconds));

    private static byte* s_highest, s_lowest;
    private static int s_more;

    private static void MeasureStack(BlockRequest* request)
    {
        byte here;
        if (s_highest == null || &here > s_highest) s_highest = &here;
        if (s_lowest == null || &here < s_lowest) s_lowest = &here;
        s_completed++;
        if (s_more-- > 0) s_opened->Device->Submit(0, request);
    }

    /// <summary>A guest that trims a disk on which little has been written: its requests end without a step, each of up to 64 ranges in a row.</summary>
    [Fact]
    public void Requests_that_end_at_once_do_not_pile_up_on_the_stack()
    {
        const int count = 128, ranges = 64;
        VhdxUnderTest.Create(VhdxType.Dynamic, 256 << 20, 1 << 20).Save(Path("f.vhdx"));
        AddVolume("data", ("f.vhdx", Path("f.vhdx")));
        ImageDisk* disk = Open("data:/f.vhdx");
        Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Write, 0, new byte[512]));
        var requests = (BlockRequest*)Allocate(count * sizeof(BlockRequest));
        s_completed = 0;
        s_highest = s_lowest = null;
        s_more = count * (ranges - 1);
        for (int i = 0; i < count; i++)
        {
            requests[i] = new BlockRequest { Operation = BlockOperation.Discard, Offset = (ulong)(i + 1) << 20, Length = 1 << 20, Completed = &MeasureStack };
            disk->Device->Submit(0, requests + i);
        }
        disk->Device->Kick(0);
        Executor.RunQueued();
        Assert.Equal(count * ranges, s_completed);
        Assert.True(s_highest - s_lowest < 4096, $"{s_highest - s_lowest} bytes of stack");
        Close(disk);
    }

    [Fact]
    public void What_is_not_there_is_said()
    {
        string file = Path("f.img");
        File.WriteAllBytes(file, new byte[4096]);
        AddVolume("data", ("f.img", file));
        foreach ((string name, ImageStatus expected) in new[]
        {
            ("other:/f.img", ImageStatus.NoVolume), ("data:/g.img", ImageStatus.NotFound), ("data:/x/f.img", ImageStatus.NotFound), ("data:/", ImageStatus.WrongKind),
            ("data:/f.img/x", ImageStatus.NotFound), ("f.img", ImageStatus.NoVolume), (":/f.img", ImageStatus.NoVolume),
        })
        {
            Assert.True(Open(name) == null, name);
            Assert.True(s_status == expected || s_status == ImageStatus.WrongKind || s_status == ImageStatus.NotFound && expected == ImageStatus.WrongKind, $"{name}: {s_status}");
        }
        ImageDisk* disk = Open("mem0:/f.img");
        Assert.True(disk != null);
        Assert.True(Open("data:/f.img") == null);
        Assert.Equal(ImageStatus.Busy, s_status);
        Close(disk);
        Assert.False(StorageDrivers.Disks->IsClaimed(StorageDrivers.Disks->At(0)));
    }

    [Fact]
    public void What_only_looks_like_an_image_is_refused()
    {
        string file = Path("f.vhdx");
        File.WriteAllBytes(file, Enumerable.Range(0, 1 << 16).Select(i => (byte)(i * 7)).ToArray());
        AddVolume("data", ("f.vhdx", file), ("f.vhd", file), ("f.img", file));
        Assert.True(Open("data:/f.vhdx") == null);
        Assert.Equal(ImageStatus.Invalid, s_status);
        Assert.True(Open("data:/f.vhd") == null);
        ImageDisk* raw = Open("data:/f.img", writable: false);
        Assert.Equal(65536ul, raw->Device->Limits.Bytes);
        Assert.Equal(BlockStatus.ReadOnly, Perform(raw->Device, BlockOperation.Write, 0, new byte[512]));
        Close(raw);
    }

    [Fact]
    public void A_differencing_image_reads_its_parent()
    {
        const int bytes = 8 << 20;
        var model = new byte[bytes];
        new Random(3).NextBytes(model.AsSpan(0, bytes / 2));
        using (VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, bytes, 1 << 20)))
        {
            Assert.Equal(ImageStatus.Success, parent.Write(0, model.AsSpan(0, bytes / 2).ToArray()));
            SparseFile childFile = VhdxUnderTest.Create(VhdxType.Differencing, bytes, 2 << 20, 0, parent);
            Assert.Equal(ImageStatus.Success, parent.Close());
            parent.File.Save(Path("parent.vhdx"));
            childFile.Save(Path("child.vhdx"));
        }
        AddVolume("data", ("vms/parent.vhdx", Path("parent.vhdx")), ("vms/child.vhdx", Path("child.vhdx")));
        ImageDisk* disk = Open("data:/vms/child.vhdx");
        Assert.Equal(ImageStatus.Success, s_status);
        var random = new Random(5);
        for (int i = 0; i < 200; i++)
        {
            int length = random.Next(1, 129) * 512, offset = random.Next(0, (bytes - length) / 512 + 1) * 512;
            var data = new byte[length];
            if (random.Next(2) == 0)
            {
                random.NextBytes(data);
                Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Write, (ulong)offset, data, random));
                data.CopyTo(model, offset);
                continue;
            }
            Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Read, (ulong)offset, data, random));
            Assert.True(model.AsSpan(offset, length).SequenceEqual(data));
        }
        // Its parent is in use, too, and must not change under it.
        Assert.True(Open("data:/vms/parent.vhdx") == null);
        Assert.Equal(ImageStatus.Busy, s_status);
        Close(disk);
    }

    /// <summary>Its blocks are larger than the sectors that a guest may read: better refused than failing at each of them.</summary>
    [Fact]
    public void A_parent_of_larger_sectors_is_none()
    {
        const int bytes = 8 << 20;
        using (VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, bytes, 1 << 20, 4096)))
        {
            VhdxUnderTest.Create(VhdxType.Differencing, bytes, 2 << 20, 512, parent).Save(Path("child.vhdx"));
            parent.File.Save(Path("parent.vhdx"));
        }
        AddVolume("data", ("parent.vhdx", Path("parent.vhdx")), ("child.vhdx", Path("child.vhdx")));
        ImageDisk* disk = Open("data:/child.vhdx");
        if (disk != null) Close(disk);
        Assert.Equal(ImageStatus.WrongParent, s_status);
    }

    [Theory]
    [InlineData("/vms/child.vhdx", @".\base.vhdx", "/vms/base.vhdx")]
    [InlineData("/vms/a/child.vhdx", @"..\base.vhdx", "/vms/base.vhdx")]
    [InlineData("/child.vhdx", "base.vhdx", "/base.vhdx")]
    [InlineData("child.vhdx", @"..\..\base.vhdx", @"/..\..\base.vhdx")]
    [InlineData("/vms/child.vhdx", @"C:\images\base.vhdx", "/vms/base.vhdx")]
    [InlineData("/vms/child.vhdx", @"\\?\Volume{0}\images\Größe.vhdx", "/vms/Größe.vhdx")]
    [InlineData("/vms/child.vhdx", "", "")]
    public void A_parent_is_found_beside_its_child(string child, string name, string expected)
    {
        byte* target = stackalloc byte[256];
        foreach (bool bigEndian in new[] { false, true })
        {
            byte[] units = [.. (bigEndian ? Encoding.BigEndianUnicode : Encoding.Unicode).GetBytes(name), 0, 0];
            fixed (byte* first = units)
            {
                int length = ParentPath.Write(Encoding.UTF8.GetBytes(child), first, (uint)units.Length, bigEndian, target, 256);
                Assert.Equal(expected, Encoding.UTF8.GetString(target, length));
            }
        }
    }
}
