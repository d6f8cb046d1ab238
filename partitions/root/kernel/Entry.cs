// The root's start, from the first C# instruction to the loop that never ends.
using System;
using System.Runtime;
using Lamina.Abi;
using Lamina.Drivers.Bus.Pci;
using Lamina.Root.Worker;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class Entry
{
    /// <summary>Called by entry.asm on the root's own stack, with interrupts disabled and the core's first tables in place.</summary>
    [RuntimeExport("lamina_root_main")]
    private static void Main(BootHandover* handover)
    {
        SettleIn(handover);
        MeetTheCore();
        FindDevices(handover);
        StartServices();
        Executor.Run();
    }

    /// <summary>What the root needs of its own: a voice, exceptions, memory, an address space.</summary>
    private static void SettleIn(BootHandover* handover)
    {
        DescriptorTables.Initialize();
        ConsoleOutput.InitializeSerial();
        if (handover->Magic != BootHandover.ExpectedMagic || handover->Version != BootHandover.ExpectedVersion) RootPanic.Stop("handover of another version"u8);
        PhysicalMemory.Initialize(handover);
        AddressSpace.Initialize(handover);
        MachineLog.Initialize();
        BootModules.Initialize(handover);
        ConsoleOutput.InitializeScreen(handover->Framebuffer);
        Introduce(handover);
    }

    /// <summary>Calls, interrupts, time and messages, all by way of the core.</summary>
    private static void MeetTheCore()
    {
        Enlightenments.Initialize();
        Interrupts.Initialize();
        Enlightenments.ShareAssistPage();
        ReferenceClock.Initialize();
        WallClock.Initialize();
        Timers.Initialize();
        Synic.Initialize();
        DeviceInterrupts.Initialize();
    }

    private static void FindDevices(BootHandover* handover)
    {
        Platform.Initialize(handover->Rsdp);
        if (!PciBus.TryEnumerate<DriverHost>()) RootPanic.Stop("out of memory"u8);
        byte* buffer = stackalloc byte[80];
        TextWriter line = new(buffer, 80);
        line.Text("root: "u8).Decimal((ulong)PciBus.Functions.Length).Text(" PCI functions"u8);
        ConsoleOutput.Line(line.Written);
    }

    private static void StartServices()
    {
        Instructions.Sti();
        ManagementConsole.Start();
        StorageDrivers.Start();
        ImageVolumes.Initialize();
        VmWorker.Initialize();
        ConsoleOutput.Line("root: ready"u8);
    }

    private static void Introduce(BootHandover* handover)
    {
        byte* buffer = stackalloc byte[200];
        TextWriter line = new(buffer, 200);
        line.Text("root: Lamina root partition, "u8).Decimal(BootMemory.MemoryBytes(handover) >> 20).Text(" MiB of memory, "u8)
            .Decimal(PhysicalMemory.FreePageCount).Text(" pages free"u8);
        ConsoleOutput.Line(line.Written);
        for (uint i = 0; i < BootModules.Count; i++)
        {
            line.Length = 0;
            line.Text("root: module "u8).Printable(BootModules.NameOf(i)).Text(", "u8).Decimal(BootModules.SizeOf(i)).Text(" bytes"u8);
            ConsoleOutput.Line(line.Written);
        }
    }
}
