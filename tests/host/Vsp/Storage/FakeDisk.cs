// A block device whose requests complete when the test says so, in any order, and which checks that its user keeps to the rules.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Block;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

public sealed unsafe class FakeDisk : IDisposable
{
    private readonly GCHandle handle;
    private readonly List<(uint Queue, nint Request)> submitted = [];

    public readonly BlockDevice* Device;
    public readonly byte[] Content;
    public readonly List<nint> Pending = [];
    public readonly List<BlockOperation> Operations = [];
    public readonly HashSet<uint> QueuesUsed = [];
    public readonly List<(ulong Offset, ulong Length)> Discarded = [];

    /// <summary>Requests complete from within Kick.</summary>
    public bool IsSynchronous;
    public int Kicks, Requests, ForcedWrites, LargestSegmentCount;
    public ulong LargestRequest;
    /// <summary>What the next requests end with.</summary>
    public BlockStatus Outcome;
    /// <summary>Whether memory may be given to the device at all; an address out of it fails the test.</summary>
    public Func<ulong, uint, bool> IsMemory = (_, _) => true;

    public FakeDisk(int bytes = 4 << 20, uint blockBytes = 512, uint alignment = 1, uint queues = 1)
    {
        Content = new byte[bytes];
        new Random(bytes).NextBytes(Content);
        handle = GCHandle.Alloc(this);
        Device = (BlockDevice*)NativeMemory.AllocZeroed((nuint)sizeof(BlockDevice));
        Device->Limits = new BlockLimits
        {
            Bytes = (ulong)bytes, BlockBytes = blockBytes, PhysicalBlockBytes = 4096, MaximumTransferBytes = 256 * 1024, MaximumSegments = 65,
            SegmentAlignment = alignment, NeedsPageSegments = alignment != 1, HasWriteCache = true, CanDiscard = true, CanWriteZeros = true,
            MaximumDiscardBytes = 1 << 20, MaximumInFlight = 64,
        };
        Device->QueueCount = queues;
        Device->Context = (void*)GCHandle.ToIntPtr(handle);
        Device->SubmitFunction = &Submit;
        Device->KickFunction = &Kick;
    }

    private static FakeDisk Of(void* context) => (FakeDisk)GCHandle.FromIntPtr((nint)context).Target;

    private static void Submit(void* context, uint queue, BlockRequest* request)
    {
        FakeDisk disk = Of(context);
        Assert.True(queue < disk.Device->QueueCount);
        disk.QueuesUsed.Add(queue);
        disk.Requests++;
        disk.CheckSegments(request);
        disk.submitted.Add((queue, (nint)request));
    }

    private static void Kick(void* context, uint queue)
    {
        FakeDisk disk = Of(context);
        disk.Kicks++;
        disk.Pending.AddRange(disk.submitted.Where(one => one.Queue == queue).Select(one => one.Request));
        disk.submitted.RemoveAll(one => one.Queue == queue);
        while (disk.IsSynchronous && disk.Pending.Count != 0) disk.Complete();
    }

    private void CheckSegments(BlockRequest* request)
    {
        ref BlockLimits limits = ref Device->Limits;
        Assert.NotEqual(0ul, (ulong)request->Completed);
        if (request->Operation is not (BlockOperation.Read or BlockOperation.Write))
        {
            Assert.True(request->Operation == BlockOperation.Flush || request->Length <= limits.MaximumDiscardBytes && request->Length != 0);
            return;
        }
        Assert.InRange(request->SegmentCount, 1u, limits.MaximumSegments);
        Assert.InRange(request->Length, 1ul, limits.MaximumTransferBytes);
        LargestSegmentCount = Math.Max(LargestSegmentCount, (int)request->SegmentCount);
        LargestRequest = Math.Max(LargestRequest, request->Length);
        ulong total = 0;
        for (uint i = 0; i < request->SegmentCount; i++)
        {
            BlockSegment segment = request->Segments[i];
            Assert.NotEqual(0u, segment.Length);
            Assert.True(IsMemory(segment.Physical, segment.Length), "segment outside of guest and buffers");
            Assert.Equal(0ul, (segment.Physical | segment.Length) % limits.SegmentAlignment);
            if (limits.NeedsPageSegments)
            {
                if (i != 0) Assert.Equal(0ul, segment.Physical % 4096);
                if (i != request->SegmentCount - 1) Assert.Equal(0ul, (segment.Physical + segment.Length) % 4096);
            }
            total += segment.Length;
        }
        Assert.Equal(request->Length, total);
    }

    /// <summary>Completes one of the requests that wait, the oldest unless told.</summary>
    public void Complete(int index = 0)
    {
        Assert.DoesNotContain(submitted, one => one.Request == Pending[index]);
        var request = (BlockRequest*)Pending[index];
        Pending.RemoveAt(index);
        Operations.Add(request->Operation);
        request->Status = Outcome != BlockStatus.Success ? Outcome : Device->Check(request);
        if (request->Status == BlockStatus.Success) Perform(request);
        request->Completed(request);
    }

    public void CompleteAll()
    {
        while (Pending.Count != 0) Complete();
    }

    /// <summary>Whether something was handed over that nobody has kicked.</summary>
    public bool HasUnkicked => submitted.Count != 0;

    private void Perform(BlockRequest* request)
    {
        if (request->ForceUnitAccess) ForcedWrites++;
        int at = (int)request->Offset;
        switch (request->Operation)
        {
            case BlockOperation.Read:
            case BlockOperation.Write:
                for (uint i = 0; i < request->SegmentCount; i++)
                {
                    Span<byte> memory = new((byte*)request->Segments[i].Physical, (int)request->Segments[i].Length), content = Content.AsSpan(at, memory.Length);
                    if (request->Operation == BlockOperation.Read) content.CopyTo(memory);
                    else memory.CopyTo(content);
                    at += memory.Length;
                }
                break;
            case BlockOperation.WriteZeros: Content.AsSpan(at, (int)request->Length).Clear(); break;
            case BlockOperation.Discard:
                Content.AsSpan(at, (int)request->Length).Fill(0xDD);
                Discarded.Add((request->Offset, request->Length));
                break;
        }
    }

    public void Dispose()
    {
        handle.Free();
        NativeMemory.Free(Device);
    }
}
