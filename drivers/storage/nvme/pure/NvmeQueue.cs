// A submission queue and its completion queue in memory that driver and device share. What the device says is never believed unchecked.
using System.Threading;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>A command that the device has, or may have.</summary>
public unsafe struct NvmeSlot
{
    /// <summary>The owner's.</summary>
    public void* Context;

    /// <summary>The owner's clock when the command went out.</summary>
    public uint Issued;
    internal byte Generation;
    internal bool InUse;
    internal ushort NextFree;
}

public enum NvmeReap : byte
{
    Nothing,
    Completed,
    /// <summary>A completion of a command that the device does not have, or of another queue: nothing it says can be relied on any more.</summary>
    Broken,
}

/// <summary>
/// As many commands as slots, fewer than the rings have entries, so that neither ring can be overrun. A command's id is its slot with a
/// generation above it: a completion that comes twice is not taken for the next command's.
/// </summary>
public unsafe struct NvmeQueue
{
    public const uint MaximumSlots = 255;
    private const ushort None = ushort.MaxValue;

    private NvmeCommand* commands;
    private ulong* completions;
    private NvmeSlot* slots;
    private uint entries, slotCount;
    private uint tail, rungTail, head;
    private ushort id, firstFree;
    private bool phase, headMoved;

    public readonly uint Entries => entries;
    public readonly uint SlotCount => slotCount;

    /// <summary>Commands that the device has or may have.</summary>
    public uint InFlight { get; private set; }

    /// <summary>Sets both rings up anew. Slots keep their generations, everything else is forgotten.</summary>
    /// <param name="entries">2 to 65536, of either ring.</param>
    /// <param name="slotCount">1 to 255, less than the entries.</param>
    public void Initialize(ushort id, NvmeCommand* commands, ulong* completions, NvmeSlot* slots, uint entries, uint slotCount)
    {
        this.id = id;
        this.commands = commands;
        this.completions = completions;
        this.slots = slots;
        this.entries = entries;
        this.slotCount = slotCount;
        tail = rungTail = head = 0;
        phase = true;
        headMoved = false;
        InFlight = 0;
        for (uint i = 0; i < 2 * entries; i++) completions[i] = 0;
        for (uint i = 0; i < slotCount; i++)
        {
            if (slots[i].InUse) slots[i].Generation++;
            slots[i].InUse = false;
            slots[i].Context = null;
            slots[i].NextFree = i + 1 == slotCount ? None : (ushort)(i + 1);
        }
        firstFree = 0;
    }

    public readonly bool HasFreeSlot => firstFree != None;

    /// <summary>The slot that <see cref="Push"/> will take.</summary>
    public readonly uint NextSlot => firstFree;

    public readonly NvmeSlot* Slot(uint index) => slots + index;
    public readonly bool IsInUse(uint index) => slots[index].InUse;

    /// <summary>Puts a command into the ring, in <see cref="NextSlot"/>, which must be there. The device does not know of it yet.</summary>
    public void Push(in NvmeCommand command, void* context, uint issued)
    {
        NvmeSlot* slot = slots + firstFree;
        NvmeCommand* place = commands + tail;
        *place = command;
        place->CommandId = (ushort)(firstFree | slot->Generation << 8);
        firstFree = slot->NextFree;
        slot->InUse = true;
        slot->Context = context;
        slot->Issued = issued;
        InFlight++;
        if (++tail == entries) tail = 0;
    }

    /// <summary>The value for the tail's doorbell; false: it has that already.</summary>
    public bool TryTakeTail(out uint value)
    {
        value = tail;
        bool moved = tail != rungTail;
        rungTail = tail;
        return moved;
    }

    /// <summary>The value for the head's doorbell; false: it has that already.</summary>
    public bool TryTakeHead(out uint value)
    {
        value = head;
        bool moved = headMoved;
        headMoved = false;
        return moved;
    }

    /// <summary>The next completion; its slot is free again, its context still there until the slot is taken.</summary>
    public NvmeReap Reap(out uint slotIndex, out NvmeStatus status, out uint result)
    {
        ulong* entry = completions + 2 * head;
        NvmeCompletion completion = new(Volatile.Read(ref entry[1]));
        slotIndex = completion.CommandId & 0xFFu;
        status = completion.Status;
        result = 0;
        if (completion.Phase != phase) return NvmeReap.Nothing;
        if (completion.SQID != id || completion.SQHD >= entries || slotIndex >= slotCount) return NvmeReap.Broken;
        NvmeSlot* slot = slots + slotIndex;
        if (!slot->InUse || slot->Generation != completion.CommandId >> 8) return NvmeReap.Broken;
        result = (uint)Volatile.Read(ref entry[0]);
        if (++head == entries)
        {
            head = 0;
            phase = !phase;
        }
        headMoved = true;
        Free(slotIndex);
        return NvmeReap.Completed;
    }

    /// <summary>Takes a command back that the device no longer has: it has been stopped.</summary>
    public void Free(uint slotIndex)
    {
        NvmeSlot* slot = slots + slotIndex;
        slot->InUse = false;
        slot->Generation++;
        slot->NextFree = firstFree;
        firstFree = (ushort)slotIndex;
        InFlight--;
    }
}
