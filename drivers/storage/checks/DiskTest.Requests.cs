// Which requests a disk test makes, what the blocks must hold, and how that is seen.
using System;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Checks;

public unsafe partial struct DiskTest
{
    /// <summary>What is known of a block: nothing, that it is zero, or the version last written. When only reading: its sum, made odd.</summary>
    private const uint Unknown = 0, Zero = 1, FirstVersion = 2;
    private const uint Sizes = 6;

    /// <summary>Makes the slot's next request; false when there is none to make now.</summary>
    private bool TryFill(Slot* slot)
    {
        if (HasFailed) return false;
        // Stages follow each other only when nothing of the one before is out.
        if (stage == Stage.InOrder && nextInOrder == blockCount && busy == 0) stage = Stage.Anywhere;
        if (stage == Stage.Anywhere && anywhereLeft == 0 && busy == 0)
        {
            if (!writes) return false;
            stage = Stage.Flushing;
            nextInOrder = 0;
            return Make(slot, BlockOperation.Flush, 0, 0);
        }
        if (stage == Stage.Flushing && busy == 0) stage = Stage.Checking;
        return stage switch
        {
            Stage.InOrder or Stage.Checking => TryNext(slot),
            Stage.Anywhere when anywhereLeft != 0 => TryAnywhere(slot),
            _ => false,
        };
    }

    private bool TryNext(Slot* slot)
    {
        if (nextInOrder == blockCount) return false;
        uint count = Length(blockCount - nextInOrder);
        nextInOrder += count;
        return Make(slot, BlockOperation.Read, nextInOrder - count, count);
    }

    private bool TryAnywhere(Slot* slot)
    {
        BlockOperation operation = writes ? Choose() : BlockOperation.Read;
        if (operation == BlockOperation.Flush) return Make(slot, operation, 0, 0);
        for (int attempt = 0; attempt < 16; attempt++)
        {
            ulong first = blockCount <= uint.MaxValue ? Random((uint)blockCount) : Random(uint.MaxValue);
            uint count = Length(blockCount - first);
            if (IsTouched(first, count, operation)) continue;
            ulong length = (ulong)count * blockBytes;
            anywhereLeft -= Math.Min(length, anywhereLeft);
            return Make(slot, operation, first, count);
        }
        return false;
    }

    private BlockOperation Choose() => Random(100) switch
    {
        < 45 => BlockOperation.Write,
        < 50 => BlockOperation.Flush,
        < 57 when device->Limits.CanDiscard => BlockOperation.Discard,
        < 65 when device->Limits.CanWriteZeros => BlockOperation.WriteZeros,
        _ => BlockOperation.Read,
    };

    /// <summary>Blocks of a request: one, few or many, each size as likely as the others.</summary>
    private uint Length(ulong available)
    {
        uint most = Math.Min(MostBytes, device->Limits.MaximumTransferBytes) / blockBytes;
        uint limit = Random(Sizes) switch { 0 => 1, 1 => 4, 2 => 8, 3 => 32, 4 => 128, _ => most };
        uint count = 1 + Random(Math.Min(limit, most));
        return count < available ? count : (uint)available;
    }

    /// <summary>Whether the range lies in one that is out; reads may lie in reads.</summary>
    private bool IsTouched(ulong first, uint count, BlockOperation operation)
    {
        ulong start = first * blockBytes, end = start + (ulong)count * blockBytes;
        for (int i = 0; i < SlotCount; i++)
        {
            BlockRequest* other = &At(i)->Request;
            bool harmless = operation == BlockOperation.Read && other->Operation == BlockOperation.Read;
            if (At(i)->IsBusy && !harmless && start < other->Offset + other->Length && other->Offset < end) return true;
        }
        return false;
    }

    private bool Make(Slot* slot, BlockOperation operation, ulong first, uint count)
    {
        slot->Request = new BlockRequest { Operation = operation, Offset = first * blockBytes, Length = (ulong)count * blockBytes, Completed = &OnCompleted, Context = slot };
        if (operation is not (BlockOperation.Read or BlockOperation.Write)) return true;
        Scatter(slot);
        if (operation == BlockOperation.Read) return true;
        slot->Request.ForceUnitAccess = Random(10) == 0;
        slot->Version = version++;
        Fill(slot);
        return true;
    }

    /// <summary>Data begins somewhere in a page and goes on in pages that do not follow each other.</summary>
    private void Scatter(Slot* slot)
    {
        uint within = Random(4) == 0 ? 8 * Random(PageBytes / 8) : 512 * Random(PageBytes / 512), left = (uint)slot->Request.Length, page = Random(SlotPages);
        // 65 pages hold the largest request from anywhere; a step that has no common divisor with 65 comes to each of them once.
        uint step = Random(2) == 0 ? 1u : 27;
        uint index = 0;
        for (; left != 0; index++)
        {
            uint length = Math.Min(PageBytes - within, left);
            slot->Segments[index] = new BlockSegment { Physical = (ulong)slot->Pages + page * PageBytes + within, Length = length };
            page = (page + step) % SlotPages;
            left -= length;
            within = 0;
        }
        slot->Request.Segments = slot->Segments;
        slot->Request.SegmentCount = index;
    }

    /// <summary>The 64-bit word at a place of the device, in a version of it.</summary>
    private static ulong Word(ulong place, uint version)
    {
        ulong value = (place + ((ulong)version << 40)) * 0x9E3779B97F4A7C15;
        return value ^ value >> 29;
    }

    private static void Fill(Slot* slot)
    {
        ulong place = slot->Request.Offset / 8;
        for (uint i = 0; i < slot->Request.SegmentCount; i++)
        {
            ulong* word = (ulong*)slot->Segments[i].Physical;
            for (uint left = slot->Segments[i].Length / 8; left != 0; left--) *word++ = Word(place++, slot->Version);
        }
    }

    /// <summary>A request has succeeded: remembers or checks what its blocks hold.</summary>
    private void Account(Slot* slot)
    {
        BlockRequest* request = &slot->Request;
        if (request->Operation is BlockOperation.Read or BlockOperation.Write) Transferred += request->Length;
        if (request->Operation == BlockOperation.Read)
        {
            CheckRead(slot);
            return;
        }
        uint known = request->Operation switch { BlockOperation.Write => slot->Version, BlockOperation.WriteZeros => Zero, _ => Unknown };
        ulong first = request->Offset / blockBytes, count = request->Length / blockBytes;
        for (ulong i = 0; i < count; i++) blocks[first + i] = known;
    }

    private void CheckRead(Slot* slot)
    {
        ulong place = slot->Request.Offset / 8, wordsOfBlock = blockBytes / 8;
        uint* block = blocks + slot->Request.Offset / blockBytes;
        ulong inBlock = 0, sum = 0;
        for (uint i = 0; i < slot->Request.SegmentCount; i++)
        {
            ulong* word = (ulong*)slot->Segments[i].Physical;
            for (uint left = slot->Segments[i].Length / 8; left != 0; left--, place++)
            {
                ulong value = *word++;
                if (!writes) sum = (sum ^ value) * 0x9E3779B97F4A7C15;
                else if (*block != Unknown && value != (*block == Zero ? 0 : Word(place, *block)))
                {
                    Fail("not what was written"u8, place * 8, BlockStatus.Success);
                    return;
                }
                if (++inBlock != wordsOfBlock) continue;
                if (!writes && !Remember(block, (uint)(sum >> 32) | 1, place * 8)) return;
                inBlock = sum = 0;
                block++;
            }
        }
    }

    /// <summary>False: the block was read before, and was different.</summary>
    private bool Remember(uint* block, uint sum, ulong at)
    {
        bool isSame = *block == Unknown || *block == sum;
        if (!isSame) Fail("not what was read before"u8, at, BlockStatus.Success);
        *block = sum;
        return isSame;
    }
}
