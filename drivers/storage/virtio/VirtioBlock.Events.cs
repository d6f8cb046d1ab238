// What happens to a virtio disk: completions, changes of its size, silence, breach of the rules.
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Virtio;

public unsafe partial struct VirtioBlock<THost>
{
    /// <summary>A request is given up when it has been the device's for so many watches: after 20 to 30 s.</summary>
    private const ulong WatchInterval = 100_000_000; // 10 s
    private const uint Patience = 3;
    private const uint MostRestarts = 16;
    private const ulong ShutDownPatience = 20_000_000; // 2 s

    private static void OnInterrupt(void* context) => THost.Queue(&((VirtioBlockLane<THost>*)context)->Arrived);

    private static void OnConfigurationInterrupt(void* context) => THost.Queue(&((VirtioBlock<THost>*)context)->changed);

    private static void OnArrived(void* context)
    {
        VirtioBlockLane<THost>* lane = (VirtioBlockLane<THost>*)context;
        VirtioBlock<THost>* self = lane->Owner;
        if (!self->running) return;
        if (!lane->Queue.Reap()) THost.Queue(&lane->Arrived);
        if (lane->Queue.Ring.IsBroken && self->running) self->Stop("it broke the rules of its queue"u8);
        else self->Watch(lane);
    }

    private static void RunLane(VirtioBlockLane<THost>* lane)
    {
        lane->Queue.Run();
        lane->Owner->Watch(lane);
    }

    /// <summary>No clock is read for a request: while the device has any, a timer looks at how many of its own ticks each has seen.</summary>
    private readonly void Watch(VirtioBlockLane<THost>* lane)
    {
        if (watch.IsArmed || !running || !lane->Queue.IsBusy) return;
        THost.Arm(&lane->Owner->watch, THost.Now + WatchInterval);
    }

    private static void OnWatch(void* context)
    {
        VirtioBlock<THost>* self = (VirtioBlock<THost>*)context;
        if (!self->running) return;
        bool overdue = false;
        for (uint i = 0; i < self->laneCount; i++)
        {
            // A message that was lost must not cost a request: look before judging.
            OnArrived(self->lanes + i);
            if (!self->running) return;
            overdue |= self->lanes[i].Queue.Tick() >= Patience;
        }
        if (overdue) self->Restart("no answer in time; it is reset"u8, BlockStatus.Aborted);
        for (uint i = 0; i < self->laneCount; i++) self->Watch(self->lanes + i);
    }

    private static void OnChanged(void* context)
    {
        VirtioBlock<THost>* self = (VirtioBlock<THost>*)context;
        if (!self->running) return;
        if ((self->transport.ReadStatus() & Bus.Virtio.VirtioStatus.DEVICE_NEEDS_RESET) != 0)
        {
            self->Restart("it asks to be reset"u8, BlockStatus.DeviceError);
            return;
        }
        if (!self->TryReadConfiguration(out VirtioBlockConfiguration configuration)) return;
        ulong bytes = configuration.SizeInBytes(self->device.Limits.BlockBytes);
        if (bytes == self->device.Limits.Bytes) return;
        self->device.Limits.Bytes = bytes;
        self->Report("its size in bytes is now"u8, bytes);
    }

    /// <summary>Reset and begin again; what the device had ends with <paramref name="status"/>, what waits is then started.</summary>
    private void Restart(System.ReadOnlySpan<byte> reason, BlockStatus status)
    {
        if (++restarts > MostRestarts)
        {
            Stop("it was reset too often"u8);
            return;
        }
        Report(reason);
        running = false;
        BlockLimits before = device.Limits;
        ulong featuresBefore = features;
        bool begun = TryBegin(out System.ReadOnlySpan<byte> why);
        if (begun && (features != featuresBefore || device.Limits.BlockBytes != before.BlockBytes))
        {
            why = "it is not what it was before"u8;
            begun = false;
        }
        // Only now has the device let go of what it had.
        for (uint i = 0; i < laneCount; i++) lanes[i].Queue.GiveUp(status);
        if (!begun || !TryStartQueues(out why))
        {
            Stop(why);
            return;
        }
        for (uint i = 0; i < laneCount; i++) RunLane(lanes + i);
    }

    /// <summary>For good: the device is reset and cut off from memory, then its requests are handed back.</summary>
    private void Stop(System.ReadOnlySpan<byte> reason)
    {
        Report(reason);
        running = false;
        Silence();
        for (uint i = 0; i < laneCount; i++) lanes[i].Queue.Stop(BlockStatus.DeviceError);
        for (uint i = 0; i < laneCount; i++) lanes[i].Queue.Run();
    }

    /// <summary>Power goes: what was written is made stable. What is out gets no answer any more.</summary>
    private static void OnShutDown(void* context)
    {
        VirtioBlock<THost>* self = (VirtioBlock<THost>*)context;
        if (!self->running) return;
        ulong end = THost.Now + ShutDownPatience;
        self->lastFlush = new BlockRequest { Operation = BlockOperation.Flush, Status = BlockStatus.Aborted, Completed = &OnFlushed };
        self->lanes->Queue.Submit(&self->lastFlush);
        self->lanes->Queue.Run();
        while (self->lastFlush.Completed != null && !self->lanes->Queue.Ring.IsBroken && THost.Now < end) self->lanes->Queue.Reap();
        self->running = false;
        self->Silence();
        for (uint i = 0; i < self->laneCount; i++) self->lanes[i].Queue.Stop(BlockStatus.DeviceError);
    }

    private static void OnFlushed(BlockRequest* request) => request->Completed = null;

    /// <summary>Reset, and no bus mastership: from here on it reaches nobody's memory.</summary>
    private readonly void Silence()
    {
        if (transport.TryReset()) transport.GiveUp();
        transport.Function.SetCommand(0, Bus.Pci.PciHeader.CommandBusMaster);
    }

    /// <summary>Gives back what an attempt to attach had taken.</summary>
    private void Dismiss()
    {
        Silence();
        for (uint i = 0; i < laneCount; i++)
        {
            THost.DisconnectMessage(transport.Function.Address, lanes[i].Message);
            lanes[i].Free();
        }
        if (configurationMessage.Vector != 0) THost.DisconnectMessage(transport.Function.Address, configurationMessage);
        if (laneMemory.Bytes != 0 && laneCount == 0) THost.FreeDma(laneMemory);
        if (identity.Bytes != 0) THost.FreeDma(identity);
        laneCount = 0;
    }
}
