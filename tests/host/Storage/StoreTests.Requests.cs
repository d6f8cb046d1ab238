// Requests to images: many at once, flushed, ended within each other, and a disk that is closed meanwhile.
using System;
using System.IO;
using System.Linq;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Store;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe partial class StoreTests
{
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
}
