// A VM's synthetic SCSI controller: its memory, its place on the bus, its disks.
using Lamina.Abi;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Root.Kernel;
using Lamina.VMBus;

namespace Lamina.Root.Worker;

internal static unsafe class VmStorage
{
    /// <summary>Requests at a time: with 64 and some, a guest at depth 32 on each of two disks never waits for a place.</summary>
    private const uint Slots = 128;

    /// <summary>Linux opens one channel a processor; more than this many bring nothing over one executor.</summary>
    private const uint MaximumSubChannels = 15;

    /// <summary>All disks are LUNs of one target.</summary>
    private const byte Target = 0;

    // Disks that are on their way out count as well.
    private static StorageConfiguration Configure(Vm* vm) => new()
    {
        Instance = InstanceOf(vm),
        Slots = Slots,
        Disks = 2 * VmDisks.Capacity,
        SubChannels = System.Math.Min((uint)vm->Config->Processors - 1, MaximumSubChannels),
    };

    /// <summary>
    /// The same at each start, so that a guest finds its disks by the same names: made of the VM's name by FNV-1a, in the form of a
    /// version 8 GUID, which is for such numbers (RFC 9562).
    /// </summary>
    private static VMBusGuid InstanceOf(Vm* vm)
    {
        ulong low = Hash(vm, 0xCBF29CE484222325), high = Hash(vm, low);
        const ulong versionBits = 0xFUL << 60, version = 8UL << 60, variantBits = 0xC0, variant = 0x80;
        return new VMBusGuid(low & ~versionBits | version, high & ~variantBits | variant);
    }

    private static ulong Hash(Vm* vm, ulong start)
    {
        const ulong prime = 0x100000001B3;
        foreach (byte letter in vm->Name) start = (start ^ letter) * prime;
        return start;
    }

    /// <summary>Offers the controller on the VM's bus. False: reported.</summary>
    public static bool TryCreate(Vm* vm)
    {
        StorageConfiguration configuration = Configure(vm);
        vm->Machine->StoragePages = PageCount.ForBytes(StorageController<VspHost>.MemoryBytes(in configuration)).Value;
        if (!PhysicalMemory.TryAllocate(vm->Machine->StoragePages, 1, out vm->Machine->StorageMemory))
        {
            vm->Machine->StorageMemory = 0;
            VmLog.Line(vm, "out of memory"u8);
            return false;
        }
        vm->Machine->Storage = StorageController<VspHost>.Create((byte*)vm->Machine->StorageMemory, in configuration, new VspHost(vm));
        OfferChannelMessage offer = default;
        offer.InterfaceId = DeviceClasses.Scsi;
        offer.InstanceId = configuration.Instance;
        offer.Flags = OfferFlags.EnumerateDeviceInterface;
        return vm->Machine->Bus->TryOffer(in offer, BusDevice.Storage, 0);
    }

    /// <summary>Gives the memory back. The bus is closed and the disks are detached.</summary>
    public static void Release(Vm* vm)
    {
        if (vm->Machine->StorageMemory == 0) return;
        PhysicalMemory.Free(vm->Machine->StorageMemory, vm->Machine->StoragePages);
        vm->Machine->StorageMemory = 0;
        vm->Machine->Storage = null;
    }

    public static uint Open(Vm* vm, uint channel, ushort subChannel, RingPages pages, uint downstreamPage) =>
        vm->Machine->Storage->Open(channel, subChannel, pages, downstreamPage);

    public static void Signaled(Vm* vm, uint channel) => vm->Machine->Storage->Signaled(channel);

    public static void Continue(Vm* vm, uint channel) => vm->Machine->Storage->Continue(channel);

    public static bool Close(Vm* vm, uint channel) => vm->Machine->Storage->Close(channel);

    public static bool TryAttach(Vm* vm, int lun, BlockDevice* device, bool readOnly) => vm->Machine->Storage->TryAttachDisk(Target, (byte)lun, device, readOnly);

    /// <summary>False: it has requests in flight, <see cref="VmDisks.Detached"/> follows.</summary>
    public static bool TryDetach(Vm* vm, int lun) => vm->Machine->Storage->BeginDetach(Target, (byte)lun, &OnDetached, vm) != StorageDetach.InFlight;

    private static void OnDetached(void* context, byte target, byte lun) => VmDisks.Detached((Vm*)context, lun);
}
