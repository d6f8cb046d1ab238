// The synthetic SCSI controller: serves the guest's storage channels from block devices. Sources: Linux, "drivers/scsi/storvsc_drv.c"; OpenVMM, "storvsp".
using System;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp.Storage.Scsi;

namespace Lamina.Drivers.Vsp.Storage;

/// <summary>
/// Lives in memory of its owner and never allocates. Not for two processors at a time; everything here and the devices' completions run
/// in one executor. The guest's packets are copied out of its ring once; of its memory, only what a command's data is, is touched.
/// </summary>
public unsafe partial struct StorageController<THost> where THost : struct, IStorageHost
{
    private const uint PageBytes = 4096;

    /// <summary>Longest packet that is taken: some 500 pages of data. A guest that keeps to the announced transfer sends 65 at most.</summary>
    private const uint PacketCapacity = 4096;

    public THost Host;
    public StorageCounters Counters;

    private StorageConfiguration configuration;
    private StorageChannel* channels;
    private StorageDisk* disks;
    private StorageSlot* slots, freeSlots;
    private byte* packetBuffer;
    private BufferPool buffers;
    private ulong sequence;

    // A bit per channel: to be served; waiting for a slot; written to or read from since its indexes were last published.
    private ulong queued, stalled, touched;
    private int lastResumed;

    // Within Serve. What completes or arrives from within is put into the queue, so that nothing recurses.
    private bool isServing;
    private ulong turn;

    /// <summary>A bit per disk whose device has been given requests since its last kick.</summary>
    private ulong disksToKick;

    // Commands that wait for a buffer, oldest first.
    private StorageSlot* firstWaiting, lastWaiting;

    /// <summary>Resets that wait for what was in flight before them.</summary>
    private uint resets;

    private ProtocolState state;
    private uint subChannelsOffered;

    /// <summary>
    /// The guest has sent a command since it became ready. Before that a scan is still to come anyway, and Linux's driver falls over
    /// a wish for one, as it has not made the queue yet in which it would note it.
    /// </summary>
    private bool hasCommands;
    private bool wantsRescan;

    /// <summary>Index into the disks plus one, by target and unit; 0: nothing there.</summary>
    private fixed byte diskAt[Targets * UnitsPerTarget];

    /// <summary>How the owner's memory is cut up: the buffers first, as they want pages, then the controller and its tables.</summary>
    private struct Layout
    {
        public ulong Controller, Packet, Channels, Disks, Slots, End;

        public Layout(in StorageConfiguration configuration)
        {
            Controller = BufferPool.Bytes;
            Packet = Align(Controller + (ulong)sizeof(StorageController<THost>));
            Channels = Packet + PacketCapacity;
            Disks = Align(Channels + (ulong)sizeof(StorageChannel) * (configuration.SubChannels + 1));
            Slots = Align(Disks + (ulong)sizeof(StorageDisk) * configuration.Disks);
            End = Align(Slots + (ulong)sizeof(StorageSlot) * configuration.Slots);
        }

        private static ulong Align(ulong offset) => (offset + 63) & ~63ul;
    }

    /// <summary>Bytes that <see cref="Create"/> wants: 256 KiB and 4 KiB, some hundred bytes a channel and a disk, about 1.3 KiB a slot.</summary>
    public static ulong MemoryBytes(in StorageConfiguration configuration) => new Layout(configuration).End;

    /// <summary>
    /// A controller without disks in <paramref name="memory"/>: page-aligned, contiguous for devices, of <see cref="MemoryBytes"/>, and the
    /// owner's again when no channel is open or closing and no disk attached or leaving. Null: the configuration is out of bounds.
    /// </summary>
    public static StorageController<THost>* Create(byte* memory, in StorageConfiguration configuration, THost host)
    {
        if (configuration.Slots is 0 or > StorageConfiguration.MaximumSlots || configuration.Disks is 0 or > StorageConfiguration.MaximumDisks) return null;
        if (configuration.SubChannels > StorageConfiguration.MaximumSubChannels) return null;
        Layout layout = new(configuration);
        new Span<byte>(memory + layout.Controller, (int)(layout.End - layout.Controller)).Clear();
        var controller = (StorageController<THost>*)(memory + layout.Controller);
        controller->Host = host;
        controller->configuration = configuration;
        controller->channels = (StorageChannel*)(memory + layout.Channels);
        controller->disks = (StorageDisk*)(memory + layout.Disks);
        controller->slots = (StorageSlot*)(memory + layout.Slots);
        controller->packetBuffer = memory + layout.Packet;
        controller->buffers = new BufferPool(memory);
        for (uint i = configuration.Slots; i-- != 0;)
        {
            StorageSlot* slot = controller->slots + i;
            slot->Controller = controller;
            slot->Task.Block.Completed = &BlockCompleted;
            slot->Task.Block.Context = slot;
            slot->Next = controller->freeSlots;
            controller->freeSlots = slot;
        }
        return controller;
    }

    /// <summary>Whether nothing of a guest's or a device's is in use: the memory may be given up.</summary>
    public readonly bool IsIdle
    {
        get
        {
            for (uint i = 0; i <= configuration.SubChannels; i++) if (channels[i].Phase != StorageChannelPhase.Free) return false;
            for (uint i = 0; i < configuration.Disks; i++) if (disks[i].IsUsed) return false;
            return true;
        }
    }

    private static void BlockCompleted(BlockRequest* request)
    {
        var slot = (StorageSlot*)request->Context;
        ((StorageController<THost>*)slot->Controller)->DeviceDone(slot);
    }

    /// <summary>The controller stays where <see cref="Create"/> put it, so that its address may be taken anywhere.</summary>
    private StorageSlot* TakeSlot(StorageChannel* channel)
    {
        StorageSlot* slot = freeSlots;
        freeSlots = slot->Next;
        slot->Next = null;
        slot->Channel = channel;
        slot->Disk = null;
        slot->Sequence = ++sequence;
        slot->State = StorageSlotState.Answering;
        return slot;
    }

    /// <summary>A slot is free again; a channel that waits for one goes on.</summary>
    private void ReleaseSlot(StorageSlot* slot)
    {
        slot->State = StorageSlotState.Free;
        slot->Next = freeSlots;
        freeSlots = slot;
        if (stalled != 0) ResumeStalled();
    }
}
