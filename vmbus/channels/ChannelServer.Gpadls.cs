// GPADLs: lists of guest pages, assembled from a header and bodies, torn down when nobody uses them any more.

using System;

namespace Lamina.VMBus;

public unsafe partial struct ChannelServer<TSink, TDevices>
{
    /// <summary>GPADLs in any state, and the page numbers that they occupy.</summary>
    public readonly uint GpadlsUsed => gpadlsUsed;
    public readonly uint PagesUsed => pagesUsed;

    private GpadlSlot* FindGpadl(uint gpadl)
    {
        for (uint i = 0; i < memory.GpadlCount; i++)
            if (memory.Gpadls[i].State != GpadlState.Free && memory.Gpadls[i].Gpadl == gpadl) return memory.Gpadls + i;
        return null;
    }

    /// <summary>A complete GPADL of a channel, for devices whose messages name one.</summary>
    public bool TryGetGpadl(uint relid, uint gpadl, out GpadlView view)
    {
        view = default;
        GpadlSlot* slot = FindGpadl(gpadl);
        if (slot == null || slot->RelId != relid || slot->State != GpadlState.Ready) return false;
        view = ViewOf(slot);
        return true;
    }

    private GpadlView ViewOf(GpadlSlot* slot)
    {
        GpadlView view = default;
        view.Gpadl = slot->Gpadl;
        view.ByteOffset = slot->ByteOffset;
        view.ByteCount = slot->ByteCount;
        view.Pages = new ReadOnlySpan<ulong>(memory.Pages + slot->FirstPage, (int)slot->PageCount);
        return view;
    }

    private void OnGpadlHeader(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out GpadlHeaderMessage message) || !TryFindKnown(message.RelId, out ChannelSlot* channel)) return;
        if (FindGpadl(message.Gpadl) != null)
        {
            EndChannel(message.RelId, "GPADL handle used twice"u8);
            return;
        }
        ulong pages = GpaRange.PagesOf(message.ByteOffset, message.ByteCount);
        // One range only: guests send no others.
        bool valid = !channel->Rescinded && message.RangeCount == 1 && message.ByteCount != 0 && message.ByteOffset < ChannelLimits.PageSize &&
            pages <= ChannelLimits.MaximumGpadlPages && message.RangeBufferLength == 8 + pages * 8;
        if (!valid)
        {
            AnswerCreated(message.RelId, message.Gpadl, ChannelStatus.InvalidParameter);
            return;
        }
        GpadlSlot* slot = FreeGpadl();
        if (slot == null || !TryPlacePages((uint)pages, out uint firstPage))
        {
            AnswerCreated(message.RelId, message.Gpadl, ChannelStatus.InsufficientResources);
            return;
        }
        *slot = default;
        slot->State = GpadlState.Assembling;
        slot->Gpadl = message.Gpadl;
        slot->RelId = message.RelId;
        slot->ByteOffset = message.ByteOffset;
        slot->ByteCount = message.ByteCount;
        slot->FirstPage = firstPage;
        slot->PageCount = (uint)pages;
        gpadlsUsed++;
        pagesUsed += (uint)pages;
        channel->GpadlCount++;
        Append(slot, bytes.Slice(GpadlHeaderMessage.PagesOffset));
    }

    private void OnGpadlBody(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out GpadlBodyMessage message)) return;
        GpadlSlot* slot = FindGpadl(message.Gpadl);
        // The rest of one that was refused at its header.
        if (slot == null || slot->State == GpadlState.TearingDown) return;
        if (slot->State == GpadlState.Ready)
        {
            EndChannel(slot->RelId, "body for a complete GPADL"u8);
            return;
        }
        Append(slot, bytes.Slice(GpadlBodyMessage.PagesOffset));
    }

    private void Append(GpadlSlot* slot, ReadOnlySpan<byte> numbers)
    {
        uint count = (uint)numbers.Length / 8;
        if (count > slot->PageCount - slot->PagesReceived || (count == 0 && slot->PagesReceived != 0))
        {
            Refuse(slot);
            return;
        }
        ulong* target = memory.Pages + slot->FirstPage + slot->PagesReceived;
        for (uint i = 0; i < count; i++)
        {
            ulong page = Wire.ReadUInt64(numbers, (int)i * 8);
            if (page > limits.HighestPage)
            {
                Refuse(slot);
                return;
            }
            target[i] = page;
        }
        slot->PagesReceived += count;
        if (slot->PagesReceived != slot->PageCount) return;
        slot->State = GpadlState.Ready;
        GpadlView view = ViewOf(slot);
        Devices.GpadlReady(slot->RelId, in view);
        AnswerCreated(slot->RelId, slot->Gpadl, ChannelStatus.Success);
    }

    // Too many pages, none where some were due, or pages that no guest has.
    private void Refuse(GpadlSlot* slot)
    {
        uint relid = slot->RelId, gpadl = slot->Gpadl;
        FreeSlot(slot);
        AnswerCreated(relid, gpadl, ChannelStatus.InvalidParameter);
    }

    private void AnswerCreated(uint relid, uint gpadl, uint status)
    {
        GpadlCreatedMessage answer = default;
        answer.Header = HeaderOf(ChannelMessageType.GpadlCreated);
        answer.RelId = relid;
        answer.Gpadl = gpadl;
        answer.Status = status;
        Answer(ref answer);
    }

    private void OnGpadlTeardown(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out GpadlTeardownMessage message) || !TryFindKnown(message.RelId, out _)) return;
        GpadlSlot* slot = FindGpadl(message.Gpadl);
        if (slot == null || slot->RelId != message.RelId || (slot->State == GpadlState.TearingDown && slot->AnswerTornDown))
        {
            EndChannel(message.RelId, "teardown of a GPADL that it does not have"u8);
            return;
        }
        BeginTeardown(slot, true);
    }

    private void BeginTeardown(GpadlSlot* slot, bool answer)
    {
        if (slot->State == GpadlState.Free) return;
        slot->AnswerTornDown = answer;
        if (slot->State == GpadlState.Assembling)
        {
            FinishTeardown(slot);
            return;
        }
        slot->State = GpadlState.TearingDown;
        ContinueTeardown(slot);
    }

    // A ring's GPADL waits for its channel to close; others for the device that uses them.
    private void ContinueTeardown(GpadlSlot* slot)
    {
        ChannelSlot* channel = memory.Channels + slot->RelId - 1;
        bool isRing = channel->State is ChannelState.Open or ChannelState.Closing && channel->RingGpadl == slot->Gpadl;
        if (isRing || slot->DeviceAsked) return;
        slot->DeviceAsked = true;
        if (Devices.GpadlTornDown(slot->RelId, slot->Gpadl)) FinishTeardown(slot);
    }

    private void FinishTeardown(GpadlSlot* slot)
    {
        uint relid = slot->RelId;
        GpadlTorndownMessage answer = default;
        answer.Header = HeaderOf(ChannelMessageType.GpadlTorndown);
        answer.Gpadl = slot->Gpadl;
        bool isAwaited = slot->AnswerTornDown && connection == ConnectionPhase.Connected;
        FreeSlot(slot);
        Settle(relid, memory.Channels + relid - 1);
        if (isAwaited) Answer(ref answer);
    }

    /// <summary>The device that answered false to <see cref="IChannelDevices.GpadlTornDown"/> has let go.</summary>
    public void GpadlTeardownCompleted(uint gpadl)
    {
        GpadlSlot* slot = FindGpadl(gpadl);
        if (slot == null || slot->State != GpadlState.TearingDown || !slot->DeviceAsked) return;
        FinishTeardown(slot);
        if (connection == ConnectionPhase.Leaving) ContinueLeaving();
        Pump();
    }

    private void FreeSlot(GpadlSlot* slot)
    {
        memory.Channels[slot->RelId - 1].GpadlCount--;
        gpadlsUsed--;
        pagesUsed -= slot->PageCount;
        *slot = default;
    }

    private GpadlSlot* FreeGpadl()
    {
        for (uint i = 0; i < memory.GpadlCount; i++)
            if (memory.Gpadls[i].State == GpadlState.Free) return memory.Gpadls + i;
        return null;
    }

    // First fit. Each round either ends or moves behind a GPADL that was in the way.
    private bool TryPlacePages(uint count, out uint first)
    {
        first = 0;
        while (count <= memory.PageCount && first <= memory.PageCount - count)
        {
            GpadlSlot* obstacle = OccupantOf(first, count);
            if (obstacle == null) return true;
            first = obstacle->FirstPage + obstacle->PageCount;
        }
        return false;
    }

    private GpadlSlot* OccupantOf(uint first, uint count)
    {
        for (uint i = 0; i < memory.GpadlCount; i++)
        {
            GpadlSlot* slot = memory.Gpadls + i;
            if (slot->State != GpadlState.Free && slot->FirstPage < first + count && first < slot->FirstPage + slot->PageCount) return slot;
        }
        return null;
    }
}
