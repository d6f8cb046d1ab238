// Who uses a block device in tests: requests with scattered memory, their completions, and what the disk should hold.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Block;
using Xunit;

namespace Lamina.Tests.Host.Virtio;

public sealed unsafe class BlockUser : IDisposable
{
    private readonly List<nint> memory = [];
    private readonly GCHandle self;
    private readonly HashSet<nint> outstanding = [];

    public readonly List<(nint Request, BlockStatus Status)> Completed = [];
    public Action<nint> OnCompleted;
    public int Outstanding => outstanding.Count;
    public bool MayComplete;

    public BlockUser() => self = GCHandle.Alloc(this);

    private byte* Allocate(int bytes)
    {
        byte* at = (byte*)NativeMemory.AllocZeroed((nuint)Math.Max(bytes, 1));
        memory.Add((nint)at);
        return at;
    }

    /// <summary>A request whose bytes lie in pieces of the given sizes; what is left over is the last piece.</summary>
    public BlockRequest* Make(BlockOperation operation, ulong offset, int length, params int[] pieces)
    {
        BlockRequest* request = (BlockRequest*)Allocate(sizeof(BlockRequest));
        *request = new BlockRequest
        {
            Operation = operation, Offset = offset, Length = (ulong)length, Completed = &Done, Context = (void*)GCHandle.ToIntPtr(self), Status = (BlockStatus)99,
        };
        if (operation > BlockOperation.Write) return request;
        request->Segments = (BlockSegment*)Allocate((pieces.Length + 1) * sizeof(BlockSegment));
        foreach (int piece in pieces)
        {
            int bytes = Math.Min(piece, length);
            request->Segments[request->SegmentCount++] = new BlockSegment { Physical = (ulong)Allocate(bytes), Length = (uint)bytes };
            length -= bytes;
        }
        if (length != 0) request->Segments[request->SegmentCount++] = new BlockSegment { Physical = (ulong)Allocate(length), Length = (uint)length };
        return request;
    }

    public void Sent(BlockRequest* request) => Assert.True(outstanding.Add((nint)request));

    public static byte[] DataOf(BlockRequest* request)
    {
        var data = new List<byte>();
        for (uint i = 0; i < request->SegmentCount; i++)
            data.AddRange(new ReadOnlySpan<byte>((void*)request->Segments[i].Physical, (int)request->Segments[i].Length));
        return data.ToArray();
    }

    public static void Fill(BlockRequest* request, ReadOnlySpan<byte> data)
    {
        for (uint i = 0; i < request->SegmentCount; i++)
        {
            data[..(int)request->Segments[i].Length].CopyTo(new Span<byte>((void*)request->Segments[i].Physical, (int)request->Segments[i].Length));
            data = data[(int)request->Segments[i].Length..];
        }
    }

    private static void Done(BlockRequest* request)
    {
        BlockUser user = (BlockUser)GCHandle.FromIntPtr((nint)request->Context).Target;
        Assert.True(user.MayComplete, "not from within Submit");
        Assert.True(user.outstanding.Remove((nint)request), "once");
        user.Completed.Add(((nint)request, request->Status));
        user.OnCompleted?.Invoke((nint)request);
    }

    public void Dispose()
    {
        foreach (nint at in memory) NativeMemory.Free((void*)at);
        self.Free();
    }
}
