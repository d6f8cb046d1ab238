// Disks come and go while the guest runs.
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp.Storage.Scsi;

namespace Lamina.Drivers.Vsp.Storage;

public unsafe partial struct StorageController<THost>
{
    /// <summary>Linux looks at these; units have 6 bits, as in Hyper-V.</summary>
    public const byte Targets = 2, UnitsPerTarget = ScsiTarget.MaximumUnits;

    /// <summary>
    /// Puts a disk at an address; a guest that runs is told to look. <paramref name="device"/> stays until the disk is detached. False: the
    /// address is taken or out of range, there is no room for another disk, or the device breaks the rules of its interface.
    /// </summary>
    public bool TryAttachDisk(byte target, byte lun, BlockDevice* device, bool readOnly)
    {
        if (target >= Targets || lun >= UnitsPerTarget || diskAt[target * UnitsPerTarget + lun] != 0) return false;
        for (uint i = 0; i < configuration.Disks; i++)
        {
            StorageDisk* disk = disks + i;
            if (disk->IsUsed) continue;
            *disk = default;
            ScsiIdentity identity = ScsiIdentity.Of(configuration.Instance, target, lun);
            if (!ScsiDisk.TryCreate(device, readOnly, identity, out disk->Scsi)) return false;
            disk->Target = target;
            disk->Lun = lun;
            disk->IsUsed = true;
            diskAt[target * UnitsPerTarget + lun] = (byte)(i + 1);
            Rescan();
            Serve();
            return true;
        }
        return false;
    }

    /// <summary>
    /// Takes a disk away: new commands find nothing at its address from now on, those that wait are aborted, those that the device has
    /// are completed. <see cref="StorageDetach.InFlight"/>: <paramref name="detached"/> is called with target and unit when the device is
    /// not used any more, perhaps with other requests' completions still to come.
    /// </summary>
    public StorageDetach BeginDetach(byte target, byte lun, delegate*<void*, byte, byte, void> detached, void* context)
    {
        StorageDisk* disk = FindDisk(0, target, lun);
        if (disk == null) return StorageDetach.Absent;
        diskAt[target * UnitsPerTarget + lun] = 0;
        for (uint i = 0; i < configuration.Slots; i++)
        {
            StorageSlot* slot = slots + i;
            if (slot->Disk != disk) continue;
            if (slot->State == StorageSlotState.InFlight) slot->Task.IsStopped = true;
            if (slot->State != StorageSlotState.AwaitsBuffer) continue;
            slot->Task.Refuse(SrbStatus.InvalidLun);
            StopWaiting(slot);
        }
        disk->IsLeaving = true;
        bool isDetached = disk->InFlight == 0;
        if (isDetached) FinishDetach(disk);
        else
        {
            disk->Detached = detached;
            disk->DetachedContext = context;
        }
        Rescan();
        Serve();
        return isDetached ? StorageDetach.Detached : StorageDetach.InFlight;
    }

    /// <summary>The device's size has changed: the guest's next command to it says so, whereupon Linux reads the capacity anew.</summary>
    public bool TryReportCapacityChange(byte target, byte lun)
    {
        StorageDisk* disk = FindDisk(0, target, lun);
        if (disk == null) return false;
        disk->Scsi.UnitAttention = SenseCode.CapacityDataHasChanged;
        return true;
    }

    private void FinishDetach(StorageDisk* disk)
    {
        StorageDisk old = *disk;
        disksToKick &= ~(1ul << (int)(disk - disks));
        *disk = default;
        // Slots that answer or reset must not take the next disk in this place for theirs.
        for (uint i = 0; i < configuration.Slots; i++)
        {
            if (slots[i].Disk != disk) continue;
            slots[i].Disk = null;
        }
        if (old.Detached != null) old.Detached(old.DetachedContext, old.Target, old.Lun);
    }

    private void Rescan()
    {
        if (!hasCommands || channels[0].Phase != StorageChannelPhase.Open) return;
        wantsRescan = true;
        Queue(channels);
    }

    private StorageDisk* FindDisk(byte path, byte target, byte lun)
    {
        if (path != 0 || target >= Targets || lun >= UnitsPerTarget) return null;
        int index = diskAt[target * UnitsPerTarget + lun];
        return index == 0 ? null : disks + (index - 1);
    }

    /// <summary>A bit per unit that is there.</summary>
    private ulong UnitsOf(byte path, byte target)
    {
        ulong units = 0;
        if (path != 0 || target >= Targets) return 0;
        for (int lun = 0; lun < UnitsPerTarget; lun++) if (diskAt[target * UnitsPerTarget + lun] != 0) units |= 1ul << lun;
        return units;
    }
}
