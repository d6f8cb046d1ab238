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
public sealed unsafe partial class StoreTests : IDisposable
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
}
