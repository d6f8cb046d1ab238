// Creates a VHD in an empty file.
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>What to create. Pointers must stay valid until the creation is finished.</summary>
public unsafe struct VhdParameters
{
    public VhdType Type;
    /// <summary>A multiple of 512, at most <see cref="VhdFooter.MaximumVirtualBytes"/>; a differencing disk has its parent's.</summary>
    public ulong VirtualBytes;
    /// <summary>0 for the usual 2 MiB; else a power of two.</summary>
    public uint BlockBytes;
    /// <summary>16 bytes, best random.</summary>
    public byte* UniqueId;
    /// <summary>Seconds since 2000-01-01 UTC.</summary>
    public uint Timestamp;
    /// <summary>Differencing: the parent's <see cref="VhdFooter.UniqueId"/> and <see cref="VhdFooter.Timestamp"/>.</summary>
    public byte* ParentUniqueId;
    public uint ParentTimestamp;
    /// <summary>Differencing: the path relative to the child, UTF-16, little-endian, at most 512 bytes.</summary>
    public byte* ParentName;
    public uint ParentNameBytes;
}

/// <summary>The copy of the footer at the start, which makes a dynamic file a VHD, is written last.</summary>
public unsafe struct VhdCreation
{
    public const uint WorkspaceBytes = VhdFooter.Bytes + VhdDynamicHeader.Bytes + FillBytes;

    private const uint FillBytes = 4096, HeaderOffset = VhdFooter.Bytes, TableOffset = HeaderOffset + VhdDynamicHeader.Bytes;

    private enum State : byte { Start, Header, Table, Locator, TailFooter, Flush, HeadFooter, LastFlush, Finished }

    private readonly VhdParameters parameters;
    private readonly byte* footer, header, fill;
    private State state;
    private uint tableBytes, tableWritten;

    /// <param name="workspace"><see cref="WorkspaceBytes"/>, 8-byte aligned.</param>
    public VhdCreation(byte* workspace, in VhdParameters parameters)
    {
        this = default;
        this.parameters = parameters;
        footer = workspace;
        header = footer + VhdFooter.Bytes;
        fill = header + VhdDynamicHeader.Bytes;
    }

    private readonly ulong TableEnd => TableOffset + (ulong)tableBytes;
    private readonly ulong MetadataEnd => TableEnd + (parameters.Type == VhdType.Differencing ? 512u : 0);

    public BlockStep Advance(bool success)
    {
        if (!success) return Finish(ImageStatus.InputOutputError);
        switch (state)
        {
            case State.Start:
                return Begin();
            case State.Header:
            case State.Table:
                if (tableWritten == tableBytes) return AfterTable();
                uint at = tableWritten, length = Math.Min(FillBytes, tableBytes - at);
                tableWritten += length;
                return Write(State.Table, TableOffset + at, fill, length);
            case State.Locator:
                return Write(State.TailFooter, MetadataEnd, footer, VhdFooter.Bytes);
            case State.TailFooter:
                return Then(State.Flush, BlockStep.Of(StepKind.Flush));
            case State.Flush:
                return parameters.Type == VhdType.Fixed ? Finish(ImageStatus.Success) : Write(State.HeadFooter, 0, footer, VhdFooter.Bytes);
            case State.HeadFooter:
                return Then(State.LastFlush, BlockStep.Of(StepKind.Flush));
            default:
                return Finish(state == State.LastFlush ? ImageStatus.Success : ImageStatus.Invalid);
        }
    }

    private BlockStep Begin()
    {
        ulong size = parameters.VirtualBytes;
        if (parameters.Type is not (VhdType.Fixed or VhdType.Dynamic or VhdType.Differencing) || size == 0 || size % 512 != 0 || size > VhdFooter.MaximumVirtualBytes)
            return Finish(ImageStatus.OutOfRange);
        VhdFooter.Write(footer, parameters.Type, size, parameters.UniqueId, parameters.Timestamp);
        if (parameters.Type == VhdType.Fixed) return Write(State.TailFooter, size, footer, VhdFooter.Bytes);

        uint block = parameters.BlockBytes == 0 ? VhdDynamicHeader.DefaultBlockBytes : parameters.BlockBytes;
        if (block is < VhdDynamicHeader.MinimumBlockBytes or > VhdDynamicHeader.MaximumBlockBytes || (block & block - 1) != 0) return Finish(ImageStatus.OutOfRange);
        ulong entries = (size + block - 1) / block;
        tableBytes = (uint)((entries * 4 + 511) & ~511UL);
        VhdDynamicHeader.Write(header, TableOffset, (uint)entries, block);
        if (parameters.Type == VhdType.Differencing)
        {
            if (parameters.ParentName == null || parameters.ParentNameBytes is 0 or > 512 || parameters.ParentNameBytes % 2 != 0) return Finish(ImageStatus.OutOfRange);
            VhdDynamicHeader.WriteParent(header, parameters.ParentUniqueId, parameters.ParentTimestamp, parameters.ParentName, parameters.ParentNameBytes, TableEnd);
        }
        new Span<byte>(fill, (int)FillBytes).Fill(0xFF);
        return Write(State.Header, HeaderOffset, header, VhdDynamicHeader.Bytes);
    }

    private BlockStep AfterTable()
    {
        if (parameters.Type != VhdType.Differencing) return Write(State.TailFooter, MetadataEnd, footer, VhdFooter.Bytes);
        new Span<byte>(fill, 512).Clear();
        new ReadOnlySpan<byte>(parameters.ParentName, (int)parameters.ParentNameBytes).CopyTo(new Span<byte>(fill, 512));
        return Write(State.Locator, TableEnd, fill, 512);
    }

    private BlockStep Write(State next, ulong offset, byte* buffer, uint length) => Then(next, BlockStep.Metadata(StepKind.Write, offset, buffer, length));

    private BlockStep Finish(ImageStatus status) => Then(State.Finished, BlockStep.Finish(status));

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}
