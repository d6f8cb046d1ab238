// What a controller is made with, and what it counts.
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Storage;

public struct StorageConfiguration
{
    public const uint MaximumSlots = 1024, MaximumDisks = 64, MaximumSubChannels = 63;

    /// <summary>The instance in the channel offer: disks are identified by it.</summary>
    public VMBusGuid Instance;

    /// <summary>Requests at a time over all channels, 1 to <see cref="MaximumSlots"/>; 128 keep a fast disk busy.</summary>
    public uint Slots;

    /// <summary>Disks at a time, those that are being detached included; 1 to <see cref="MaximumDisks"/>.</summary>
    public uint Disks;

    /// <summary>Offered to the guest beside the primary channel; at most <see cref="MaximumSubChannels"/>. Linux opens at most one for each further processor.</summary>
    public uint SubChannels;
}

/// <summary>Since the controller was made.</summary>
public struct StorageCounters
{
    /// <summary>SCSI commands that were taken from a ring.</summary>
    public ulong Requests;
    /// <summary>Requests to the devices, by operation, and the bytes of those that succeeded. A command may need several.</summary>
    public ulong Reads, Writes, Flushes, Discards;
    public ulong BytesRead, BytesWritten;
    /// <summary>Commands that ended in anything but GOOD, those for absent units included.</summary>
    public ulong Errors;
    /// <summary>Commands whose data went through a buffer of ours.</summary>
    public ulong Buffered;
    public ulong GuestSignals, HostSignals;
    /// <summary>Turns in which requests were handed to devices: one kick per device's queue each.</summary>
    public ulong Batches;
    /// <summary>Times that a ring was left alone for lack of slots, and that answers had to wait for room in one.</summary>
    public ulong SlotStalls, RingStalls;
    public uint InFlight, InFlightHighWater;
}

/// <summary>What became of a wish to take a disk away.</summary>
public enum StorageDetach
{
    /// <summary>No disk is there.</summary>
    Absent,
    /// <summary>The device is not used any more.</summary>
    Detached,
    /// <summary>It has requests in flight; a call follows.</summary>
    InFlight,
}
