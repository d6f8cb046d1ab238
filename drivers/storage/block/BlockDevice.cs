// What stores blocks, as its users see it: what it can do, and two functions.
using System;

namespace Lamina.Drivers.Storage.Block;

/// <summary>What a device can do. Users keep to it; a device need not check lengths and counts of segments against it again.</summary>
public struct BlockLimits
{
    /// <summary>What every device takes at least in one request: 256 KiB that touch 65 pages.</summary>
    public const uint LeastTransferBytes = 256 * 1024, LeastSegments = 65;

    /// <summary>Size of the device.</summary>
    public ulong Bytes;

    /// <summary>Offsets and lengths are multiples of this; 512 to 4096, a power of two.</summary>
    public uint BlockBytes;

    /// <summary>What the medium really writes at once; at least <see cref="BlockBytes"/>.</summary>
    public uint PhysicalBlockBytes;
    public uint MaximumTransferBytes;
    public uint MaximumSegments;

    /// <summary>Addresses and lengths of segments are multiples of this; 1, 2 or 4. Whoever has others copies.</summary>
    public uint SegmentAlignment;
    /// <summary>Every segment but the first begins, and every one but the last ends, at a multiple of 4 KiB (NVMe's lists of pages).</summary>
    public bool NeedsPageSegments;
    public bool IsReadOnly;

    /// <summary>Writes may be lost until a flush completes.</summary>
    public bool HasWriteCache;
    public bool CanDiscard;
    public bool CanWriteZeros;

    /// <summary>Of one discard or write of zeros.</summary>
    public ulong MaximumDiscardBytes;
    /// <summary>Requests that it works on at the same time, over all queues; more may be submitted and wait.</summary>
    public uint MaximumInFlight;
}

/// <summary>
/// A disk, a partition, an image or a piece of memory. <see cref="Submit"/> hands a request over; the device may hold it back until
/// <see cref="Kick"/>, which the user calls once after a batch. Completions come in any order, in the executor, not from within
/// Submit; they may come from within Kick. Within a completion the user may submit and kick again. Every request completes, at the
/// latest after the device's own time limit.
/// </summary>
public unsafe struct BlockDevice
{
    public const int NameCapacity = 32, SerialCapacity = 40;

    public BlockLimits Limits;

    /// <summary>Queues that do not get in each other's way; users spread over them, by processor or channel.</summary>
    public uint QueueCount;

    /// <summary>The device's own, first argument of its functions.</summary>
    public void* Context;

    /// <summary>Context, queue (below <see cref="QueueCount"/>), request.</summary>
    public delegate*<void*, uint, BlockRequest*, void> SubmitFunction;
    /// <summary>Context, queue.</summary>
    public delegate*<void*, uint, void> KickFunction;

    private fixed byte name[NameCapacity];
    private fixed byte serial[SerialCapacity];
    private int nameLength, serialLength;

    public readonly void Submit(uint queue, BlockRequest* request) => SubmitFunction(Context, queue, request);
    public readonly void Kick(uint queue) => KickFunction(Context, queue);

    /// <summary>What configuration and console call it.</summary>
    public ReadOnlySpan<byte> Name
    {
        get { fixed (byte* text = name) return new ReadOnlySpan<byte>(text, nameLength); }
    }

    /// <summary>What the device says its serial number is, printable, without spaces at the ends; empty where it has none.</summary>
    public ReadOnlySpan<byte> Serial
    {
        get { fixed (byte* text = serial) return new ReadOnlySpan<byte>(text, serialLength); }
    }

    public void SetName(ReadOnlySpan<byte> text)
    {
        fixed (byte* target = name) nameLength = CopyPrintable(text, target, NameCapacity);
    }

    public void SetSerial(ReadOnlySpan<byte> text)
    {
        fixed (byte* target = serial) serialLength = CopyPrintable(text, target, SerialCapacity);
    }

    /// <summary>What devices say of themselves goes onto a console: only what is printable, trimmed.</summary>
    private static int CopyPrintable(ReadOnlySpan<byte> text, byte* target, int capacity)
    {
        int length = 0;
        for (int i = 0; i < text.Length && length < capacity; i++)
        {
            bool printable = text[i] is >= 0x20 and < 0x7F;
            if (!printable || length == 0 && text[i] == ' ') continue;
            target[length++] = text[i];
        }
        while (length > 0 && target[length - 1] == ' ') length--;
        return length;
    }

    /// <summary>What is wrong with a request's range or operation; <see cref="BlockStatus.Success"/>: nothing.</summary>
    public readonly BlockStatus Check(BlockRequest* request)
    {
        if (request->Operation == BlockOperation.Flush) return BlockStatus.Success;
        if ((request->Offset | request->Length) % Limits.BlockBytes != 0 || request->Offset > Limits.Bytes || request->Length > Limits.Bytes - request->Offset)
            return BlockStatus.OutOfRange;
        if (request->Operation != BlockOperation.Read && Limits.IsReadOnly) return BlockStatus.ReadOnly;
        if (request->Operation == BlockOperation.Discard && !Limits.CanDiscard) return BlockStatus.Unsupported;
        return request->Operation == BlockOperation.WriteZeros && !Limits.CanWriteZeros ? BlockStatus.Unsupported : BlockStatus.Success;
    }
}
