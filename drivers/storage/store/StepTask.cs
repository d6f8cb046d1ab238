// One planner at work on a device: the step that it is at, and the request that performs it.
using System;
using System.Runtime.CompilerServices;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Store;

/// <summary>Lives in its owner's memory and stays put while it runs. All zero is one that does nothing.</summary>
internal unsafe struct StepTask
{
    internal enum Phase : byte { Idle, Ready, Waiting, InFlight }

    /// <summary>Context, outcome of the step before, memory that it asked for; the next step.</summary>
    public delegate*<void*, bool, byte*, BlockStep> Advance;
    public void* Planner;

    /// <summary>Called from within the runner's turn; the task may be started anew from there.</summary>
    public delegate*<void*, ImageStatus, void> Finished;
    public void* Context;

    /// <summary>What steps without a buffer are about: the planner's data begins <see cref="DataStart"/> bytes into these segments.</summary>
    public BlockSegment* Data;
    public uint DataCount, DataStart;

    /// <summary>There are no segments: what is written is zeros.</summary>
    public bool DataIsZeros;

    /// <summary>Where memory that the planner asks for is noted.</summary>
    public StoreMemory* Memory;

    internal StepRunner* Runner;
    internal StepTask* Next;
    internal BlockStep Step;
    internal uint Done, Piece;
    internal Phase State;
    internal bool Success;
    internal BlockRequest Request;
    private SegmentBuffer segments;

    [InlineArray((int)BlockLimits.LeastSegments)] private struct SegmentBuffer { private BlockSegment first; }

    internal BlockSegment* Segments => (BlockSegment*)Unsafe.AsPointer(ref segments);

    /// <summary>Whether the step in progress has a rest to do.</summary>
    internal readonly bool HasRest => Step.Kind is StepKind.Read or StepKind.Write or StepKind.WriteZeros && Done < Step.Length;

    /// <summary>Fills the segments for the next piece of the step, at most <paramref name="limit"/> bytes; returns how many it is.</summary>
    internal uint FillSegments(uint limit, byte* zeroPage, out uint count)
    {
        count = 0;
        if (Step.Buffer != null)
        {
            Segments[count++] = new BlockSegment { Physical = (ulong)(Step.Buffer + Done), Length = limit };
            return limit;
        }
        return DataIsZeros || Step.Kind == StepKind.WriteZeros ? FillZeros(limit, zeroPage, ref count) : FillData(limit, ref count);
    }

    private uint FillZeros(uint limit, byte* zeroPage, ref uint count)
    {
        const uint page = 4096;
        uint filled = 0;
        while (filled < limit && count < BlockLimits.LeastSegments)
        {
            uint length = Math.Min(page, limit - filled);
            Segments[count++] = new BlockSegment { Physical = (ulong)zeroPage, Length = length };
            filled += length;
        }
        return filled;
    }

    private uint FillData(uint limit, ref uint count)
    {
        uint filled = 0, skip = DataStart + Step.DataOffset + Done;
        for (uint i = 0; i < DataCount && filled < limit && count < BlockLimits.LeastSegments; i++)
        {
            if (skip >= Data[i].Length)
            {
                skip -= Data[i].Length;
                continue;
            }
            uint length = Math.Min(Data[i].Length - skip, limit - filled);
            Segments[count++] = new BlockSegment { Physical = Data[i].Physical + skip, Length = length };
            filled += length;
            skip = 0;
        }
        return filled;
    }

    /// <summary>Sets a part of the data to zero.</summary>
    internal readonly void ClearData(uint offset, uint length) => SegmentList.Clear(Data, DataCount, DataStart + offset, length);
}

/// <summary>What is done with the data of a request by the processor.</summary>
internal static unsafe class SegmentList
{
    public static void Clear(BlockSegment* segments, uint count, uint offset, uint length)
    {
        for (uint i = 0; i < count && length != 0; i++)
        {
            if (offset >= segments[i].Length)
            {
                offset -= segments[i].Length;
                continue;
            }
            uint part = Math.Min(segments[i].Length - offset, length);
            new Span<byte>((byte*)segments[i].Physical + offset, (int)part).Clear();
            length -= part;
            offset = 0;
        }
    }

    /// <summary>The part of a list that <paramref name="length"/> bytes from <paramref name="offset"/> on are; returns its number of pieces.</summary>
    public static uint Slice(BlockSegment* segments, uint count, uint offset, uint length, BlockSegment* slice)
    {
        uint used = 0;
        for (uint i = 0; i < count && length != 0; i++)
        {
            if (offset >= segments[i].Length)
            {
                offset -= segments[i].Length;
                continue;
            }
            uint part = Math.Min(segments[i].Length - offset, length);
            slice[used++] = new BlockSegment { Physical = segments[i].Physical + offset, Length = part };
            length -= part;
            offset = 0;
        }
        return used;
    }
}
