// How this machine is wired: interrupt lines by the MADT, PCI configuration space by the MCFG.
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.X64.Acpi;
using Lamina.X64.Paging;

namespace Lamina.Root.Kernel;

public static unsafe class Platform
{
    private const ulong ConfigurationBytesPerBus = 1 << 20;
    private static Madt* madt;

    /// <summary>Reads the tables; without them PCI is reached by ports and no interrupt line is known.</summary>
    public static void Initialize(ulong rootPointer)
    {
        if (!AcpiTables.TryInitialize(rootPointer))
        {
            ConsoleOutput.Line("root: no ACPI tables: no interrupt lines, no power-off"u8);
            return;
        }
        madt = (Madt*)AcpiTables.Find(AcpiSignature.MADT);
        FindConfigurationSpace();
    }

    /// <summary>The IOAPIC pin of an ISA interrupt: pin = number, edge, active high, unless the MADT says otherwise.</summary>
    public static bool TryFindIsaLine(byte number, out IoApicLine line)
    {
        uint interrupt = number;
        MpsIntiFlags flags = default;
        line = default;
        for (MadtEntry* entry = First(); entry != null; entry = Next(entry))
        {
            MadtInterruptSourceOverride* wiring = (MadtInterruptSourceOverride*)entry;
            if (entry->Type != MadtEntry.InterruptSourceOverride || wiring->Bus != 0 || wiring->Source != number) continue;
            interrupt = wiring->GlobalSystemInterrupt;
            flags = wiring->Flags;
        }
        return TryFindLine(interrupt, flags.IsLevelTriggered, flags.IsActiveLow, out line);
    }

    /// <summary>The IOAPIC with the highest base at or below a global system interrupt.</summary>
    public static bool TryFindLine(uint globalSystemInterrupt, bool isLevel, bool isActiveLow, out IoApicLine line)
    {
        MadtIoApic* best = null;
        for (MadtEntry* entry = First(); entry != null; entry = Next(entry))
        {
            MadtIoApic* candidate = (MadtIoApic*)entry;
            if (entry->Type != MadtEntry.IoApic || candidate->GlobalSystemInterruptBase > globalSystemInterrupt) continue;
            if (best == null || candidate->GlobalSystemInterruptBase > best->GlobalSystemInterruptBase) best = candidate;
        }
        line = best == null ? default : new IoApicLine(best->IoApicId, globalSystemInterrupt - best->GlobalSystemInterruptBase, isLevel, isActiveLow);
        return best != null;
    }

    private static MadtEntry* First() => madt == null ? null : Checked((byte*)(madt + 1));
    private static MadtEntry* Next(MadtEntry* entry) => Checked((byte*)entry + entry->Length);

    /// <summary>The entry at an address, or null at the table's end and at an entry that lies about its length.</summary>
    private static MadtEntry* Checked(byte* address)
    {
        byte* end = (byte*)madt + madt->Header.Length;
        MadtEntry* entry = (MadtEntry*)address;
        return address + sizeof(MadtEntry) <= end && entry->Length >= sizeof(MadtEntry) && address + entry->Length <= end ? entry : null;
    }

    private static void FindConfigurationSpace()
    {
        Mcfg* mcfg = (Mcfg*)AcpiTables.Find(AcpiSignature.MCFG);
        if (mcfg == null) return;
        McfgAllocation* end = (McfgAllocation*)((byte*)mcfg + mcfg->Header.Length);
        for (McfgAllocation* allocation = (McfgAllocation*)(mcfg + 1); allocation + 1 <= end; allocation++)
        {
            if (allocation->PciSegmentGroup != 0) continue;
            ulong first = allocation->BaseAddress + allocation->StartBusNumber * ConfigurationBytesPerBus;
            ulong bytes = (ulong)(allocation->EndBusNumber - allocation->StartBusNumber + 1) * ConfigurationBytesPerBus;
            if (!AddressSpace.TryMapDevice(first, bytes, MemoryType.Uncacheable)) continue;
            PciConfiguration.UseMemory(allocation->BaseAddress, allocation->StartBusNumber, allocation->EndBusNumber);
            return;
        }
    }
}
