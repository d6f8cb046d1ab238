// Commands: from a packet's ranges to a device's segments, and from its completion to an answer.
using System;
using System.Numerics;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Storage;

public unsafe partial struct StorageController<THost>
{
    private void ExecuteSrb(StorageSlot* slot, in RingPacket packet)
    {
        ref VmscsiRequest request = ref slot->Packet.VmSrb;
        Counters.Requests++;
        if (state != ProtocolState.Ready)
        {
            request.SrbStatus = SrbStatus.InvalidRequest;
            request.DataTransferLength = 0;
            Counters.Errors++;
            Answer(slot, NtStatus.InvalidDeviceState);
            return;
        }
        hasCommands = true;
        ScsiTask* task = &slot->Task;
        task->Begin(slot->Packet.VmSrb.Cdb);
        ScsiStep step;
        slot->Disk = FindDisk(request.PathId, request.TargetId, request.Lun);
        if (request.CdbLength > VmscsiRequest.MaximumCdbLength || !TryMap(task, request, packet)) step = task->Refuse(SrbStatus.InvalidRequest);
        else if (request.Cdb[0] == OperationCode.ReportLuns) step = ScsiTarget.ReportLuns(task, UnitsOf(request.PathId, request.TargetId));
        else if (slot->Disk == null) step = ScsiTarget.NoUnit(task, request.PathId);
        else step = slot->Disk->Scsi.Start(task);

        if (step == ScsiStep.Done)
        {
            AnswerCommand(slot);
            return;
        }
        slot->State = StorageSlotState.InFlight;
        slot->Channel->InFlight++;
        slot->Disk->InFlight++;
        if (++Counters.InFlight > Counters.InFlightHighWater) Counters.InFlightHighWater = Counters.InFlight;
        Perform(slot, step);
    }

    /// <summary>
    /// The packet's ranges become the task's segments, pages that follow one another one of them. False: no RAM is there, or less than
    /// the transfer length says. Without a direction the ranges mean nothing: Linux sends what an earlier command left there.
    /// </summary>
    // SAFETY: the only place where guest page numbers become addresses; Host.Page vouches for each.
    private bool TryMap(ScsiTask* task, in VmscsiRequest request, in RingPacket packet)
    {
        if (request.DataIn > VmscsiRequest.ReadType) return true;
        uint left = Math.Min(request.DataTransferLength, ScsiTask.MaximumBytes), wanted = left, count = 0, bits = 0;
        BlockSegment* segment = task->Segments - 1;
        byte* end = null;
        GpaRangeReader ranges = packet.Ranges;
        while (left != 0)
        {
            if (!ranges.TryNext(out GpaRange range, out ReadOnlySpan<ulong> pages)) return false;
            uint inRange = Math.Min(left, range.ByteCount), offset = range.ByteOffset;
            left -= inRange;
            for (int i = 0; inRange != 0; i++)
            {
                uint piece = Math.Min(inRange, PageBytes - offset);
                byte* page = Host.Page(pages[i]);
                if (page == null) return false;
                page += offset;
                bits |= (uint)page | piece;
                if (page == end) segment->Length += piece;
                else
                {
                    if (count == ScsiTask.MaximumSegments) return false;
                    if (count++ != 0 && (((ulong)page | (ulong)end) & (PageBytes - 1)) != 0) task->HasGaps = true;
                    (++segment)->Physical = (ulong)page;
                    segment->Length = piece;
                }
                end = page + piece;
                inRange -= piece;
                offset = 0;
            }
        }
        task->SegmentCount = count;
        task->AddressBits = bits;
        if (request.DataIn == VmscsiRequest.ReadType) task->DataInBytes = wanted;
        else task->DataOutBytes = wanted;
        return true;
    }

    /// <summary>Hands the task's request to the device, or lets it wait for the buffer that it needs first.</summary>
    private void Perform(StorageSlot* slot, ScsiStep step)
    {
        StorageDisk* disk = slot->Disk;
        if (step == ScsiStep.NeedBuffer)
        {
            Counters.Buffered++;
            // Nobody overtakes those that wait, or a big one would wait forever.
            byte* buffer = firstWaiting == null ? buffers.Take(slot->Task.BufferBytes) : null;
            if (buffer == null)
            {
                slot->State = StorageSlotState.AwaitsBuffer;
                slot->Next = null;
                if (firstWaiting == null) firstWaiting = slot;
                else lastWaiting->Next = slot;
                lastWaiting = slot;
                return;
            }
            slot->Task.Buffer = buffer;
            disk->Scsi.BufferGiven(&slot->Task);
        }
        BlockDevice* device = disk->Scsi.Device;
        uint queues = Math.Min(device->QueueCount, 64), queue = queues == 1 ? 0 : slot->Channel->SubChannelIndex % queues;
        disk->QueuesToKick |= 1ul << (int)queue;
        disksToKick |= 1ul << (int)(disk - disks);
        device->Submit(queue, &slot->Task.Block);
    }

    /// <summary>Each device once, each of its queues that got something. Completions from within are this turn's.</summary>
    private void KickDevices()
    {
        ulong kicked = disksToKick;
        disksToKick = 0;
        Counters.Batches++;
        while (kicked != 0)
        {
            StorageDisk* disk = disks + BitOperations.TrailingZeroCount(kicked);
            kicked &= kicked - 1;
            ulong queues = disk->QueuesToKick;
            disk->QueuesToKick = 0;
            // A completion may have been the last of a disk that is leaving.
            BlockDevice* device = disk->Scsi.Device;
            for (; queues != 0 && disk->IsUsed && disk->Scsi.Device == device; queues &= queues - 1) device->Kick((uint)BitOperations.TrailingZeroCount(queues));
        }
    }

    /// <summary>A device has completed a slot's request; from within a kick of ours or by itself.</summary>
    private void DeviceDone(StorageSlot* slot)
    {
        CountCompletion(slot);
        // The guest's memory is not the guest's any more when its channel is closing: nothing is copied into it.
        ScsiStep step = slot->Channel->Phase == StorageChannelPhase.Open ? slot->Disk->Scsi.Continue(&slot->Task) : ScsiStep.Done;
        StorageChannel* channel = slot->Channel;
        if (step == ScsiStep.Done) Retire(slot);
        else Perform(slot, step);
        // Devices tell the ends of several requests in a row: one turn answers them all.
        if (isServing) return;
        if (channel->Phase == StorageChannelPhase.Open && disksToKick == 0) Host.ContinueSoon(channel->Id);
        else Serve();
    }

    private void CountCompletion(StorageSlot* slot)
    {
        ref BlockRequest request = ref slot->Task.Block;
        ulong bytes = request.Status == BlockStatus.Success ? request.Length : 0;
        switch (request.Operation)
        {
            case BlockOperation.Read:
                Counters.Reads++;
                Counters.BytesRead += bytes;
                break;
            case BlockOperation.Write:
                Counters.Writes++;
                Counters.BytesWritten += bytes;
                break;
            case BlockOperation.Flush:
                Counters.Flushes++;
                break;
            default:
                Counters.Discards++;
                break;
        }
    }

    /// <summary>A command in flight is at its end: what it held is given back, and the guest hears of it if it still listens.</summary>
    private void Retire(StorageSlot* slot)
    {
        StorageChannel* channel = slot->Channel;
        StorageDisk* disk = slot->Disk;
        Counters.InFlight--;
        channel->InFlight--;
        disk->InFlight--;
        byte* buffer = slot->Task.Buffer;
        if (channel->Phase == StorageChannelPhase.Open) AnswerCommand(slot);
        else ReleaseSlot(slot);
        if (buffer != null)
        {
            buffers.Give(buffer, slot->Task.BufferBytes);
            GiveBuffers();
        }
        if (resets != 0) FinishResets();
        if (disk->IsLeaving && disk->InFlight == 0) FinishDetach(disk);
        if (channel->Phase != StorageChannelPhase.Closing || channel->InFlight != 0) return;
        channel->Phase = StorageChannelPhase.Free;
        Host.Closed(channel->Id);
    }

    /// <summary>To those that wait for a buffer, as far as there is room.</summary>
    private void GiveBuffers()
    {
        while (firstWaiting != null)
        {
            StorageSlot* slot = firstWaiting;
            byte* buffer = buffers.Take(slot->Task.BufferBytes);
            if (buffer == null) return;
            firstWaiting = slot->Next;
            slot->State = StorageSlotState.InFlight;
            slot->Task.Buffer = buffer;
            slot->Disk->Scsi.BufferGiven(&slot->Task);
            Perform(slot, ScsiStep.Submit);
        }
    }

    /// <summary>Ends a command that waits for a buffer. Its outcome is set, if anyone is to hear of it.</summary>
    private void StopWaiting(StorageSlot* slot)
    {
        StorageSlot* before = null;
        for (StorageSlot* at = firstWaiting; at != slot; at = at->Next) before = at;
        if (before == null) firstWaiting = slot->Next;
        else before->Next = slot->Next;
        if (lastWaiting == slot) lastWaiting = before;
        slot->State = StorageSlotState.InFlight;
        Retire(slot);
    }

    /// <summary>What became of a task, in the terms of the guest's driver.</summary>
    private void AnswerCommand(StorageSlot* slot)
    {
        ScsiTask* task = &slot->Task;
        ref VmscsiRequest request = ref slot->Packet.VmSrb;
        request.SrbStatus = task->SrbStatus;
        request.ScsiStatus = task->Status;
        request.DataTransferLength = task->Transferred;
        if (task->SrbStatus == SrbStatus.Success)
        {
            request.SenseInfoLength = 0;
            Answer(slot, NtStatus.Success);
            return;
        }
        Counters.Errors++;
        bool hasSense = (task->SrbStatus & SrbStatus.AutosenseValid) != 0;
        request.SenseInfoLength = hasSense ? (byte)Math.Min((uint)request.SenseInfoLength, SenseData.FixedLength) : (byte)0;
        // The sense data takes the CDB's place.
        for (int i = 0; i < VmscsiRequest.SenseBufferSize; i++) request.SenseData[i] = 0;
        if (hasSense) SenseData.WriteFixed(slot->Packet.VmSrb.SenseData, task->Sense);
        Answer(slot, task->SrbStatus == SrbStatus.InvalidLun ? NtStatus.DeviceDoesNotExist : NtStatus.IoDeviceError);
    }
}
