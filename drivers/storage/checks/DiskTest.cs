// Tests a block device through its own interface: requests of all sizes, several at a time, in memory that is scattered on purpose.
using System;
using Lamina.Drivers.Storage.Block;
using Lamina.Text;

namespace Lamina.Drivers.Storage.Checks;

/// <summary>
/// Reading: every block once, in order, then blocks anywhere, which must read the same again. Writing destroys what was there: blocks
/// anywhere are written, read, zeroed, discarded, with flushes between, and all that was written must be read, at once and at the end.
/// Lives at the beginning of its owner's memory.
/// </summary>
public unsafe partial struct DiskTest
{
    private const int SlotCount = 8;
    private const uint PageBytes = 4096, SlotPages = BlockLimits.LeastSegments, MostBytes = BlockLimits.LeastTransferBytes;

    private enum Stage : byte { InOrder, Anywhere, Flushing, Checking, Over }

    private struct Slot
    {
        public BlockRequest Request;
        public DiskTest* Test;
        public byte* Pages;
        public BlockSegment* Segments;

        /// <summary>What the written blocks hold from now on.</summary>
        public uint Version;
        public bool IsBusy;
    }

    [System.Runtime.CompilerServices.InlineArray(SlotCount)]
    private struct SlotArray { private Slot first; }

    private BlockDevice* device;
    private uint* blocks;
    private SlotArray slots;
    private delegate*<void*, void> ended;
    private void* context;
    private ulong random, bytes, blockCount, nextInOrder, anywhereLeft;
    private uint blockBytes, version, busy;
    private bool writes, isPumping;
    private Stage stage;
    private ReadOnlyText failure;
    private ulong failedAt;
    private BlockStatus failedStatus;

    /// <summary>What was done.</summary>
    public ulong Requests { get; private set; }
    public ulong Transferred { get; private set; }
    public readonly bool HasFailed => failure.Length != 0;

    /// <summary>A text in the image.</summary>
    private struct ReadOnlyText
    {
        public byte* Start;
        public int Length;
    }

    /// <summary>Bytes of memory for a test of so many bytes.</summary>
    public static ulong MemoryBytes(BlockDevice* device, ulong bytes) => BuffersOffset(device, bytes) + SlotCount * SlotPages * PageBytes;

    private static ulong BuffersOffset(BlockDevice* device, ulong bytes) =>
        (ulong)sizeof(DiskTest) + SlotCount * SlotPages * (ulong)sizeof(BlockSegment) + bytes / device->Limits.BlockBytes * sizeof(uint) + PageBytes - 1 & ~(ulong)(PageBytes - 1);

    /// <summary>Begins; <paramref name="ended"/> is called with <paramref name="context"/> when it is over and no request is out any more.</summary>
    /// <param name="memory"><see cref="MemoryBytes"/> zeroed bytes that the device can reach, at a page's beginning.</param>
    /// <param name="bytes">From the device's beginning; not more than it has, at least one block.</param>
    public static DiskTest* Start(byte* memory, BlockDevice* device, ulong bytes, bool writes, ulong seed, delegate*<void*, void> ended, void* context)
    {
        DiskTest* test = (DiskTest*)memory;
        *test = new DiskTest { device = device, writes = writes, ended = ended, context = context, random = seed | 1, blockBytes = device->Limits.BlockBytes, version = FirstVersion };
        test->blockCount = bytes / test->blockBytes;
        test->bytes = test->blockCount * test->blockBytes;
        BlockSegment* segments = (BlockSegment*)(test + 1);
        test->blocks = (uint*)(segments + SlotCount * SlotPages);
        byte* pages = memory + BuffersOffset(device, bytes);
        for (int i = 0; i < SlotCount; i++)
        {
            *test->At(i) = new Slot { Test = test, Pages = pages + i * SlotPages * PageBytes, Segments = segments + i * SlotPages };
        }
        test->stage = writes ? Stage.Anywhere : Stage.InOrder;
        test->anywhereLeft = 2 * test->bytes;
        test->Pump();
        return test;
    }

    /// <summary>The outcome in one line: PASS disk NAME …, or FAIL disk NAME and why.</summary>
    public void Describe(ref TextWriter line, ulong milliseconds)
    {
        line.Text(HasFailed ? "FAIL disk "u8 : "PASS disk "u8).Text(device->Name).Text(writes ? " write: "u8 : ": "u8);
        if (HasFailed)
        {
            line.Text(new ReadOnlySpan<byte>(failure.Start, failure.Length)).Text(" at byte "u8).Decimal(failedAt);
            if (failedStatus != BlockStatus.Success) line.Text(": "u8).Text(NameOf(failedStatus));
            return;
        }
        line.Decimal(Requests).Text(" requests, "u8).Decimal(Transferred >> 10).Text(" KiB in "u8).Decimal(milliseconds).Text(" ms"u8);
    }

    public static ReadOnlySpan<byte> NameOf(BlockStatus status) => status switch
    {
        BlockStatus.Success => "success"u8,
        BlockStatus.OutOfRange => "out of range"u8,
        BlockStatus.ReadOnly => "read-only"u8,
        BlockStatus.Unsupported => "unsupported"u8,
        BlockStatus.MediumError => "medium error"u8,
        BlockStatus.DeviceError => "device error"u8,
        BlockStatus.NoSpace => "no space"u8,
        BlockStatus.Gone => "gone"u8,
        BlockStatus.Aborted => "aborted"u8,
        _ => "unknown status"u8,
    };

    private Slot* At(int index)
    {
        fixed (SlotArray* array = &slots) return (Slot*)array + index;
    }

    /// <summary>Keeps all slots busy; ends the test when nothing is left to do.</summary>
    private void Pump()
    {
        if (isPumping) return; // a device may complete within its kick
        isPumping = true;
        bool worked;
        do
        {
            worked = false;
            for (int i = 0; i < SlotCount; i++)
            {
                if (At(i)->IsBusy || !TryFill(At(i))) continue;
                worked = true;
                busy++;
                Requests++;
                At(i)->IsBusy = true;
                device->Submit((uint)i % device->QueueCount, &At(i)->Request);
            }
            if (worked) for (uint queue = 0; queue < device->QueueCount; queue++) device->Kick(queue);
        }
        while (worked && busy < SlotCount);
        isPumping = false;
        if (busy != 0 || stage == Stage.Over) return;
        stage = Stage.Over;
        ended(context);
    }

    private static void OnCompleted(BlockRequest* request)
    {
        Slot* slot = (Slot*)request->Context;
        DiskTest* test = slot->Test;
        slot->IsBusy = false;
        test->busy--;
        if (request->Status != BlockStatus.Success) test->Fail(NameOf(request->Operation), request->Offset, request->Status);
        else test->Account(slot);
        test->Pump();
    }

    private static ReadOnlySpan<byte> NameOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => "read"u8,
        BlockOperation.Write => "write"u8,
        BlockOperation.Flush => "flush"u8,
        BlockOperation.Discard => "discard"u8,
        _ => "write of zeros"u8,
    };

    /// <summary>The first failure counts; what is out comes to its end.</summary>
    private void Fail(ReadOnlySpan<byte> why, ulong at, BlockStatus status)
    {
        if (HasFailed) return;
        fixed (byte* text = why) failure = new ReadOnlyText { Start = text, Length = why.Length };
        failedAt = at;
        failedStatus = status;
    }

    private uint Random(uint below)
    {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return (uint)((random >> 32) * below >> 32);
    }
}
