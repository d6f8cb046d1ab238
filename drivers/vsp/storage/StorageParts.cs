// The controller's own tables: channels, disks, slots of requests.
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Storage;

internal enum StorageChannelPhase : byte
{
    Free = 0,
    Open,
    /// <summary>The guest broke its rules; the owner will close it.</summary>
    Failed,
    /// <summary>Closed, with requests in flight.</summary>
    Closing,
}

internal unsafe struct StorageChannel
{
    public IncomingRing<RingPages> Incoming;
    public OutgoingRing<RingPages> Outgoing;

    /// <summary>The owner's number.</summary>
    public uint Id;
    public ushort SubChannelIndex;
    public StorageChannelPhase Phase;

    /// <summary>The guest's ring has been read to its end in this turn.</summary>
    public bool IsDrained;
    public bool AwaitsRoom;

    /// <summary>Packets that may still be read in this turn, and which turn that is.</summary>
    public uint Budget;
    public ulong Turn;

    /// <summary>Answers not yet in the ring, oldest first.</summary>
    public StorageSlot* FirstAnswer, LastAnswer;
    public uint AnswerCount;

    /// <summary>Slots whose commands are with a device or wait for a buffer.</summary>
    public uint InFlight;
}

internal unsafe struct StorageDisk
{
    public ScsiDisk Scsi;
    public byte Target, Lun;
    public bool IsUsed;
    /// <summary>No address leads here any more; free when nothing is in flight.</summary>
    public bool IsLeaving;
    public uint InFlight;
    /// <summary>A bit per queue of the device that has been given requests since its last kick.</summary>
    public ulong QueuesToKick;
    public delegate*<void*, byte, byte, void> Detached;
    public void* DetachedContext;
}

internal enum StorageSlotState : byte
{
    Free = 0,
    /// <summary>Being looked at, or its answer is on its way.</summary>
    Answering,
    /// <summary>With the device.</summary>
    InFlight,
    /// <summary>In flight for everyone else, but waits for a buffer.</summary>
    AwaitsBuffer,
    /// <summary>A reset that is answered when what was in flight before it has ended.</summary>
    Resetting,
}

internal unsafe struct StorageSlot
{
    /// <summary>First: a completion's address is the slot's.</summary>
    public ScsiTask Task;
    public VstorPacket Packet;
    public ulong TransactionId;
    /// <summary>Counts all packets: which came first.</summary>
    public ulong Sequence;
    /// <summary>In the list of free slots, of answers, or of those that wait for a buffer.</summary>
    public StorageSlot* Next;
    public StorageChannel* Channel;
    /// <summary>Null: no disk is concerned.</summary>
    public StorageDisk* Disk;
    public void* Controller;
    public StorageSlotState State;
}
