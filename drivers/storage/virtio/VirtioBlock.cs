// The virtio disk: finds out what it is, gives it queues, and is a block device to its users. Virtio 1.2, "Block Device".
using System;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.Drivers.Bus.Virtio;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Registry;

namespace Lamina.Drivers.Storage.Virtio;

/// <summary>
/// Lives in memory of its own and does not move. Its lines in the log begin with <c>virtio-blk</c>. A device that breaks the rules is
/// stopped for good; one that asks for a reset, or does not answer in time, is reset and goes on.
/// </summary>
public unsafe partial struct VirtioBlock<THost> where THost : struct, IDriverHost
{
    private const ushort DeviceType = 2, TransitionalId = 0x1001;
    private const uint MaximumQueues = 4, LeastSegments = 2;
    private const ushort MaximumRing = 256, LeastRing = 4;
    private const uint MaximumTransferBytes = 1 << 20;
    private const ulong Wanted = VirtioFeature.Transport | VirtioBlockFeature.Known;

    private BlockDevice device;
    private VirtioPciDevice<THost> transport;
    private VirtioBlockLane<THost>* lanes;
    private DmaMemory laneMemory;
    private uint laneCount;
    private ulong features;
    private VirtioBlockBounds bounds;
    private InterruptMessage configurationMessage;
    private ushort configurationVector;
    private WorkItem changed;
    private DeadlineTimer watch;
    private bool running;
    private uint restarts;

    private BlockRequest identify, lastFlush;
    private BlockSegment identifySegment;
    private DmaMemory identity;
    private BlockRegistry* disks;
    private int controller;

    public static bool Matches(in PciFunction function) => VirtioPciDevice<THost>.Matches(function, DeviceType, TransitionalId);

    /// <summary>
    /// Starts the device in memory that its host gives it, and announces it to <paramref name="registry"/>, which gets the disk once its
    /// serial number is known. A device that cannot be used costs one line.
    /// </summary>
    public static void Start(in PciFunction function, BlockRegistry* registry)
    {
        if (!THost.TryAllocateDma((ulong)sizeof(VirtioBlock<THost>), out DmaMemory memory))
        {
            PciReport.Line<THost>(DriverName, function.Address, "no memory"u8);
            return;
        }
        VirtioBlock<THost>* self = (VirtioBlock<THost>*)memory.Address;
        bool opened = self->transport.TryOpen(function, out ReadOnlySpan<byte> why);
        if (opened && self->TryBegin(out why) && self->TryAllocate(self, out why) && self->TryStartQueues(out why))
        {
            self->disks = registry;
            self->controller = registry->AddController("virtio"u8, 1);
            registry->OnShutDown(self->controller, &OnShutDown, self);
            self->AskSerial(self);
            return;
        }
        self->Report(why);
        // What a message may have queued is still to run, and finds its memory.
        bool isQuiet = self->configurationMessage.Vector == 0;
        if (opened) self->Dismiss();
        if (isQuiet) THost.FreeDma(memory);
    }

    /// <summary>Reset, features, configuration: all that is not memory of ours.</summary>
    private bool TryBegin(out ReadOnlySpan<byte> why)
    {
        why = "it cannot be reset"u8;
        if (!transport.TryReset()) return false;
        if (!transport.TryNegotiate(Wanted, out features, out why)) return false;
        why = "its configuration cannot be read"u8;
        if (!TryReadConfiguration(out VirtioBlockConfiguration configuration)) return false;
        features = VirtioBlockConfiguration.FeaturesWithin(features, transport.ConfigurationBytes);
        why = "its blocks have a size that cannot be used"u8;
        if (!configuration.TryMakeLimits(features, out BlockLimits limits)) return false;
        limits.MaximumTransferBytes = MaximumTransferBytes;
        bounds = new VirtioBlockBounds
        {
            Segments = Math.Min(configuration.MaximumSegments(features), VirtioBlockQueue<VirtioDoorbell>.MaximumSegments),
            SegmentBytes = configuration.MaximumSegmentBytes(features),
            DiscardBytes = limits.MaximumDiscardBytes,
            WriteZerosBytes = limits.MaximumDiscardBytes,
            HasFlush = (features & VirtioBlockFeature.VIRTIO_BLK_F_FLUSH) != 0,
        };
        why = "it takes too little in a request"u8;
        if (bounds.Segments < LeastSegments || bounds.SegmentBytes < limits.BlockBytes) return false;
        // A request with more than the device takes is cut; only where it takes more than everyone must, users learn of it.
        limits.MaximumSegments = Math.Max(bounds.Segments, BlockLimits.LeastSegments);
        limits.MaximumInFlight = device.Limits.MaximumInFlight;
        device.Limits = limits;
        if (device.QueueCount == 0) device.QueueCount = Math.Min(configuration.QueueCount(features), MaximumQueues);
        return true;
    }

    private bool TryAllocate(VirtioBlock<THost>* self, out ReadOnlySpan<byte> why)
    {
        why = "no memory"u8;
        changed = new WorkItem { Handler = &OnChanged, Context = self };
        watch = new DeadlineTimer { Handler = &OnWatch, Context = self };
        if (!THost.TryAllocateDma(VirtioBlockType.IdBytes, out identity)) return false;
        if (!THost.TryAllocateDma(device.QueueCount * (ulong)sizeof(VirtioBlockLane<THost>), out laneMemory)) return false;
        lanes = (VirtioBlockLane<THost>*)laneMemory.Address;
        // Entry 0 of the message table is the configuration's if there are more than one.
        configurationVector = transport.MessageCount > 1 ? (ushort)0 : VirtioPciDevice<THost>.NoVector;
        if (configurationVector == 0)
        {
            why = "no message was allotted"u8;
            if (!THost.TryConnectMessage(transport.Function.Address, &OnConfigurationInterrupt, self, out configurationMessage)) return false;
            transport.SetMessage(configurationVector, configurationMessage);
        }
        uint possible = Math.Min(device.QueueCount, Math.Min(transport.QueueCount, (uint)Math.Max(transport.MessageCount - 1, 1)));
        while (laneCount < possible && TryAddLane(self, out why)) laneCount++;
        if (laneCount == 0) return false;
        device.QueueCount = laneCount;
        device.Context = self;
        device.SubmitFunction = &Submit;
        device.KickFunction = &Kick;
        for (uint i = 0; i < laneCount; i++) device.Limits.MaximumInFlight += lanes[i].SlotCount;
        return true;
    }

    private readonly bool TryAddLane(VirtioBlock<THost>* self, out ReadOnlySpan<byte> why)
    {
        VirtioBlockLane<THost>* lane = lanes + laneCount;
        uint size = Math.Min((uint)transport.ReadQueueSize((ushort)laneCount), MaximumRing);
        while ((size & (size - 1)) != 0) size &= size - 1;
        why = "its queues are too short"u8;
        if (size < LeastRing) return false;
        why = "no memory"u8;
        bool indirect = (features & VirtioFeature.VIRTIO_F_INDIRECT_DESC) != 0;
        uint tables = indirect ? VirtioBlockQueue<VirtioDoorbell>.MaximumSegments + VirtioBlockQueue<VirtioDoorbell>.FrameSegments : 0;
        bool allocated = lane->TryAllocate((ushort)size, tables);
        if (allocated && THost.TryConnectMessage(transport.Function.Address, &OnInterrupt, lane, out lane->Message))
        {
            lane->Owner = self;
            lane->Arrived = new WorkItem { Handler = &OnArrived, Context = lane };
            transport.SetMessage(VectorOf(laneCount), lane->Message);
            return true;
        }
        if (allocated) why = "no message was allotted"u8;
        lane->Free();
        return false;
    }

    /// <summary>Empty rings for a device that has been reset and negotiated with; then it runs.</summary>
    private bool TryStartQueues(out ReadOnlySpan<byte> why)
    {
        why = "it does not take its queues"u8;
        if (!transport.TrySetConfigurationVector(configurationVector)) return false;
        for (uint i = 0; i < laneCount; i++)
        {
            VirtioBlockLane<THost>* lane = lanes + i;
            lane->InitializeRing((features & VirtioFeature.VIRTIO_F_EVENT_IDX) != 0);
            // A chain must not be longer than the queue, indirect or not.
            VirtioBlockBounds own = bounds;
            own.Segments = Math.Min(own.Segments, lane->Queue.Ring.Size - VirtioBlockQueue<VirtioDoorbell>.FrameSegments);
            fixed (BlockDevice* of = &device) lane->InitializeQueue(of, own);
            if (!transport.TryEnableQueue((ushort)i, lane->Queue.Ring, VectorOf(i), out lane->Queue.Doorbell)) return false;
        }
        transport.Start();
        running = true;
        return true;
    }

    private void AskSerial(VirtioBlock<THost>* self)
    {
        identifySegment = new BlockSegment { Physical = identity.Physical, Length = VirtioBlockType.IdBytes };
        identify = new BlockRequest { Length = VirtioBlockType.IdBytes, SegmentCount = 1, Segments = &self->identifySegment, Completed = &OnIdentified, Context = self };
        lanes->Queue.SubmitIdentify(&self->identify);
        RunLane(lanes);
    }

    /// <summary>A device without a serial number is one, too; one that failed meanwhile is not shown to anybody.</summary>
    private static void OnIdentified(BlockRequest* request)
    {
        VirtioBlock<THost>* self = (VirtioBlock<THost>*)request->Context;
        int length = 0;
        while (length < VirtioBlockType.IdBytes && self->identity.Address[length] != 0) length++;
        if (request->Status == BlockStatus.Success) self->device.SetSerial(new ReadOnlySpan<byte>(self->identity.Address, length));
        if (self->running) self->disks->AddDisk(self->controller, 0, 0, &self->device);
        self->disks->FinishController(self->controller);
    }

    private static void Submit(void* context, uint queue, BlockRequest* request) => ((VirtioBlock<THost>*)context)->lanes[queue].Queue.Submit(request);

    private static void Kick(void* context, uint queue) => RunLane(((VirtioBlock<THost>*)context)->lanes + queue);

    private readonly ushort VectorOf(uint lane) => configurationVector == 0 ? (ushort)(lane + 1) : (ushort)0;

    private readonly bool TryReadConfiguration(out VirtioBlockConfiguration configuration)
    {
        VirtioBlockConfiguration copy = default;
        uint bytes = Math.Min(transport.ConfigurationBytes, VirtioBlockConfiguration.Bytes);
        bool read = bytes >= sizeof(ulong) && transport.TryReadConfiguration((byte*)&copy, bytes);
        configuration = copy;
        return read;
    }

    private static ReadOnlySpan<byte> DriverName => "virtio-blk"u8;

    private readonly void Report(ReadOnlySpan<byte> text, ulong? number = null) =>
        PciReport.Line<THost>(DriverName, transport.Function.Address, text, number);
}
