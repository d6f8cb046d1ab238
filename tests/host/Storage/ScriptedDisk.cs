// A block device over an array that keeps requests until the test lets them go, in an order of its choosing.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Tests.Host.Storage;

/// <summary>Also checks its user: limits kept, memory not touched after completion is the user's own affair.</summary>
public sealed unsafe class ScriptedDisk : IDisposable
{
    private readonly GCHandle self;
    public readonly byte[] Content;
    public readonly BlockDevice* Device;
    public readonly List<nint> Held = [];
    private readonly List<nint> submitted = [];
    public int Requests, Kicks;

    /// <summary>Status to answer with instead of doing the request; Success does it.</summary>
    public Func<BlockRequest, BlockStatus> Fate = _ => BlockStatus.Success;

    /// <summary>Complete within Kick, as the memory disk does.</summary>
    public bool Immediate;

    public ScriptedDisk(byte[] content, uint blockBytes = 512, string serial = "", uint queues = 1)
    {
        Content = content;
        self = GCHandle.Alloc(this);
        Device = (BlockDevice*)NativeMemory.AllocZeroed((nuint)sizeof(BlockDevice));
        Device->Limits = new BlockLimits
        {
            Bytes = (ulong)content.Length, BlockBytes = blockBytes, PhysicalBlockBytes = 4096, MaximumTransferBytes = BlockLimits.LeastTransferBytes,
            MaximumSegments = BlockLimits.LeastSegments, SegmentAlignment = 4, NeedsPageSegments = true, MaximumInFlight = 32, CanDiscard = true, CanWriteZeros = true,
            MaximumDiscardBytes = 1 << 20, HasWriteCache = true,
        };
        Device->QueueCount = queues;
        Device->Context = (void*)GCHandle.ToIntPtr(self);
        Device->SubmitFunction = &Submit;
        Device->KickFunction = &Kick;
        Device->SetSerial(System.Text.Encoding.ASCII.GetBytes(serial));
    }

    private static ScriptedDisk Of(void* context) => (ScriptedDisk)GCHandle.FromIntPtr((nint)context).Target;

    private static void Submit(void* context, uint queue, BlockRequest* request)
    {
        ScriptedDisk disk = Of(context);
        if (queue >= disk.Device->QueueCount) throw new InvalidOperationException("no such queue");
        disk.CheckSegments(request);
        disk.submitted.Add((nint)request);
        disk.Requests++;
    }

    private static void Kick(void* context, uint queue)
    {
        ScriptedDisk disk = Of(context);
        disk.Kicks++;
        disk.Held.AddRange(disk.submitted);
        disk.submitted.Clear();
        while (disk.Immediate && disk.Held.Count != 0) disk.Complete(0);
    }

    /// <summary>Lets the held request go.</summary>
    public void Complete(int index)
    {
        BlockRequest* request = (BlockRequest*)Held[index];
        Held.RemoveAt(index);
        request->Status = Device->Check(request);
        if (request->Status == BlockStatus.Success) request->Status = Fate(*request);
        if (request->Status == BlockStatus.Success) Perform(request);
        request->Completed(request);
    }

    /// <summary>Lets all go, those that come meanwhile too.</summary>
    public void CompleteAll()
    {
        while (Held.Count != 0) Complete(0);
    }

    private void CheckSegments(BlockRequest* request)
    {
        if (request->Operation is not (BlockOperation.Read or BlockOperation.Write)) return;
        ulong sum = 0;
        for (uint i = 0; i < request->SegmentCount; i++)
        {
            BlockSegment segment = request->Segments[i];
            sum += segment.Length;
            bool aligned = segment.Physical % 4 == 0 && segment.Length % 4 == 0 && segment.Length != 0;
            bool pages = (i == 0 || segment.Physical % 4096 == 0) && (i == request->SegmentCount - 1 || (segment.Physical + segment.Length) % 4096 == 0);
            if (!aligned || !pages) throw new InvalidOperationException("a segment that the device cannot take");
        }
        if (sum != request->Length || request->Length > Device->Limits.MaximumTransferBytes || request->SegmentCount > Device->Limits.MaximumSegments)
            throw new InvalidOperationException("segments do not make up the length, or are too many");
    }

    private void Perform(BlockRequest* request)
    {
        int at = (int)request->Offset;
        switch (request->Operation)
        {
            case BlockOperation.Read or BlockOperation.Write:
                for (uint i = 0; i < request->SegmentCount; i++)
                {
                    Span<byte> memory = new((void*)request->Segments[i].Physical, (int)request->Segments[i].Length), content = Content.AsSpan(at, memory.Length);
                    if (request->Operation == BlockOperation.Read) content.CopyTo(memory);
                    else memory.CopyTo(content);
                    at += memory.Length;
                }
                break;
            case BlockOperation.WriteZeros: Content.AsSpan(at, (int)request->Length).Clear(); break;
            case BlockOperation.Discard: Content.AsSpan(at, (int)request->Length).Fill(0xD1); break;
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(Device);
        self.Free();
    }
}
