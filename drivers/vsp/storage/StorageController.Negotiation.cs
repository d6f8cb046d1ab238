// What a guest says before its commands: version, properties, sub-channels; and resets. Source: Linux, "storvsc_channel_init".
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Storage;

public unsafe partial struct StorageController<THost>
{
    /// <summary>What is expected on the primary channel.</summary>
    private enum ProtocolState : byte { BeginInitialization, QueryProtocolVersion, QueryProperties, EndInitialization, Ready }

    /// <summary>The primary channel is gone, and what was agreed upon with it.</summary>
    private void ForgetGuest()
    {
        state = ProtocolState.BeginInitialization;
        subChannelsOffered = 0;
        hasCommands = wantsRescan = false;
    }

    /// <summary>Every packet but commands. What comes at the wrong time is refused and changes nothing.</summary>
    private void Negotiate(StorageSlot* slot)
    {
        bool isPrimary = slot->Channel->SubChannelIndex == 0;
        switch (slot->Packet.Operation)
        {
            case VstorOperation.BeginInitialization when isPrimary && state == ProtocolState.BeginInitialization:
                state = ProtocolState.QueryProtocolVersion;
                Answer(slot, NtStatus.Success);
                break;
            case VstorOperation.QueryProtocolVersion when isPrimary && state == ProtocolState.QueryProtocolVersion:
                QueryProtocolVersion(slot);
                break;
            case VstorOperation.QueryProperties when isPrimary && state == ProtocolState.QueryProperties:
                QueryProperties(slot);
                break;
            case VstorOperation.EndInitialization when isPrimary && state == ProtocolState.EndInitialization:
                EndInitialization(slot);
                break;
            // Windows asks before the end of the initialization, Linux after it.
            case VstorOperation.CreateSubChannels when isPrimary && state >= ProtocolState.EndInitialization:
                CreateSubChannels(slot);
                break;
            case VstorOperation.ResetBus or VstorOperation.ResetAdapter or VstorOperation.ResetLun when state == ProtocolState.Ready:
                Reset(slot);
                break;
            case VstorOperation.BeginInitialization or VstorOperation.QueryProtocolVersion or VstorOperation.QueryProperties or VstorOperation.EndInitialization
                or VstorOperation.CreateSubChannels or VstorOperation.ResetBus or VstorOperation.ResetAdapter or VstorOperation.ResetLun:
                Answer(slot, NtStatus.InvalidDeviceState);
                break;
            // Fibre channel's questions, what only hosts say, and what nobody knows.
            default:
                Answer(slot, NtStatus.InvalidDeviceRequest);
                break;
        }
    }

    /// <summary>Versions whose requests have 64 bytes and whose controllers have more than one channel.</summary>
    private void QueryProtocolVersion(StorageSlot* slot)
    {
        bool isKnown = slot->Packet.Version.MajorMinor is VmstorageProtocolVersion.Win10 or VmstorageProtocolVersion.Win8_1 or VmstorageProtocolVersion.Win8;
        if (isKnown) state = ProtocolState.QueryProperties;
        Answer(slot, isKnown ? NtStatus.Success : NtStatus.RevisionMismatch);
    }

    private void QueryProperties(StorageSlot* slot)
    {
        state = ProtocolState.EndInitialization;
        slot->Packet.StorageChannelProperties = new VmstorageChannelProperties
        {
            MaxChannelCount = (ushort)configuration.SubChannels,
            Flags = configuration.SubChannels != 0 ? VmstorageChannelProperties.SupportsMultiChannel : 0,
            MaxTransferBytes = ScsiTask.MaximumBytes,
        };
        Answer(slot, NtStatus.Success);
    }

    private void EndInitialization(StorageSlot* slot)
    {
        state = ProtocolState.Ready;
        wantsRescan = false;
        Answer(slot, NtStatus.Success);
        for (uint i = 1; i <= configuration.SubChannels; i++) if (channels[i].Phase == StorageChannelPhase.Open) Queue(channels + i);
    }

    /// <summary>As many more as are asked for. Where not all are to be had, those that are stay offered and the guest is told of the lack.</summary>
    private void CreateSubChannels(StorageSlot* slot)
    {
        uint count = slot->Packet.SubChannelCount;
        uint status = count <= configuration.SubChannels - subChannelsOffered ? NtStatus.Success : NtStatus.InvalidParameter;
        for (uint i = 0; i < count && status == NtStatus.Success; i++)
        {
            if (Host.TryOfferSubChannel(slot->Channel->Id, (ushort)(subChannelsOffered + 1))) subChannelsOffered++;
            else status = NtStatus.InsufficientResources;
        }
        Answer(slot, status);
    }

    /// <summary>
    /// Commands that wait are aborted, those of several steps end with the one that is under way; the answer comes when all that was
    /// in flight before has ended, so that nothing of it can happen after what the guest does next.
    /// </summary>
    private void Reset(StorageSlot* slot)
    {
        if (slot->Packet.Operation == VstorOperation.ResetLun)
        {
            ref VmscsiRequest request = ref slot->Packet.VmSrb;
            slot->Disk = FindDisk(request.PathId, request.TargetId, request.Lun);
            if (slot->Disk == null)
            {
                Answer(slot, NtStatus.DeviceDoesNotExist);
                return;
            }
        }
        slot->State = StorageSlotState.Resetting;
        resets++;
        for (uint i = 0; i < configuration.Slots; i++)
        {
            StorageSlot* other = slots + i;
            if (slot->Disk != null && other->Disk != slot->Disk) continue;
            if (other->State == StorageSlotState.InFlight) other->Task.IsStopped = true;
            else if (other->State == StorageSlotState.AwaitsBuffer)
            {
                other->Task.CheckCondition(SenseCode.AbortedCommand);
                StopWaiting(other);
            }
        }
        FinishResets();
    }

    /// <summary>Answers the resets before which nothing is in flight any more.</summary>
    private void FinishResets()
    {
        for (uint i = 0; i < configuration.Slots; i++)
        {
            StorageSlot* reset = slots + i;
            if (reset->State != StorageSlotState.Resetting || IsAnyOlder(reset)) continue;
            resets--;
            Answer(reset, NtStatus.Success);
        }
    }

    private readonly bool IsAnyOlder(StorageSlot* reset)
    {
        for (uint i = 0; i < configuration.Slots; i++)
        {
            StorageSlot* slot = slots + i;
            if (slot->State == StorageSlotState.InFlight && slot->Sequence < reset->Sequence && (reset->Disk == null || slot->Disk == reset->Disk)) return true;
        }
        return false;
    }

    /// <summary>
    /// ENUMERATE_BUS: the guest looks at all addresses again, finds what is new and misses what is gone. REMOVE_DEVICE does the same to
    /// Linux and nothing to FreeBSD, so it is not sent. Full: tried again with the next answers.
    /// </summary>
    private RingStatus WriteRescan(StorageChannel* channel)
    {
        if (!wantsRescan || channel->SubChannelIndex != 0 || state != ProtocolState.Ready) return RingStatus.Ok;
        VstorPacket packet = default;
        packet.Operation = VstorOperation.EnumerateBus;
        RingStatus status = Write(channel, 0, &packet, isAnswer: false);
        if (status == RingStatus.Ok) wantsRescan = false;
        return status;
    }
}
