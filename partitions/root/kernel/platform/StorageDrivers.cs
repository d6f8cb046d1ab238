// The machine's disks: a driver for every storage controller that the bus has, and the list that the drivers fill.
using System;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.Drivers.Storage.Ahci;
using Lamina.Drivers.Storage.Nvme;
using Lamina.Drivers.Storage.Registry;
using Lamina.Drivers.Storage.Virtio;
using Lamina.Text;

namespace Lamina.Root.Kernel;

public static unsafe class StorageDrivers
{
    /// <summary>How long those who wait for disks wait for the slowest of them.</summary>
    private const ulong Patience = 30 * ReferenceClock.TicksPerSecond;

    private static BlockRegistry* disks;
    private static DiskListener announcer;
    private static DeadlineTimer overdue;

    /// <summary>The disks and partitions of the machine.</summary>
    public static BlockRegistry* Disks => disks;

    /// <summary>Starts a driver on each controller, in the order of addresses; disks appear as the executor runs.</summary>
    public static void Start()
    {
        disks = BlockRegistry.Create(PhysicalMemory.RequirePages(PageCount.ForBytes(BlockRegistry.MemoryBytes).Value));
        announcer.Added = &OnAdded;
        announcer.Settled = &OnSettled;
        fixed (DiskListener* listener = &announcer) disks->Listen(listener);
        overdue.Handler = &OnOverdue;
        fixed (DeadlineTimer* timer = &overdue) DriverHost.Arm(timer, ReferenceClock.Now + Patience);
        foreach (PciFunction function in PciBus.Functions) Attach(function);
        disks->Complete();
    }

    /// <summary>Before power goes or the machine is reset. Waits for the disks, and none can be used afterwards.</summary>
    public static void ShutDown()
    {
        if (disks != null) disks->ShutDown();
    }

    /// <summary>One line a driver: it allots itself what it needs, announces itself to the list, and goes on by itself.</summary>
    private static void Attach(PciFunction function)
    {
        if (function.HeaderLayout != 0) return;
        if (NvmeDriver<DriverHost>.IsNvme(function)) NvmeDriver<DriverHost>.TryStart(function, disks);
        else if (VirtioBlock<DriverHost>.Matches(function)) VirtioBlock<DriverHost>.Start(function, disks);
        else if (AhciController<DriverHost>.Matches(function)) AhciController<DriverHost>.Start(function, disks);
    }

    private static void OnAdded(void* context, DiskEntry* disk)
    {
        if (disk->IsPartition) return;
        byte* buffer = stackalloc byte[DiskText.LineCapacity];
        TextWriter line = new(buffer, DiskText.LineCapacity);
        DiskText.Announcement(ref line, disk);
        ConsoleOutput.Line(line.Written);
    }

    private static void OnSettled(void* context)
    {
        fixed (DeadlineTimer* timer = &overdue) DriverHost.Cancel(timer);
    }

    private static void OnOverdue(void* context)
    {
        ConsoleOutput.Line("root: not all disks have answered; going on without them"u8);
        disks->StopWaiting();
    }
}
