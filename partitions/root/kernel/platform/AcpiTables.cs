// The tables that the firmware left, found by signature. ACPI Specification, "ACPI System Description Tables".
using Lamina.X64.Acpi;

namespace Lamina.Root.Kernel;

public static unsafe class AcpiTables
{
    private static AcpiTableHeader* list; // XSDT or RSDT
    private static ulong entryBytes;

    /// <summary>False if there is no ACPI here, or none that makes sense.</summary>
    public static bool TryInitialize(ulong rootPointer)
    {
        if (rootPointer == 0 || !AddressSpace.TryMapFirmware(rootPointer, (ulong)sizeof(Rsdp))) return false;
        Rsdp* rsdp = (Rsdp*)rootPointer;
        if (rsdp->Signature != Rsdp.ExpectedSignature) return false;
        bool extended = rsdp->Revision >= 2 && rsdp->XsdtAddress != 0;
        entryBytes = extended ? 8u : 4u;
        return TryMapTable(extended ? rsdp->XsdtAddress : rsdp->RsdtAddress, out list);
    }

    /// <summary>The first table with a signature of <see cref="AcpiSignature"/>; null if there is none.</summary>
    public static AcpiTableHeader* Find(uint signature)
    {
        if (list == null) return null;
        byte* end = (byte*)list + list->Length;
        for (byte* entry = (byte*)(list + 1); entry + entryBytes <= end; entry += entryBytes)
            if (TryMapTable(entryBytes == 8 ? *(ulong*)entry : *(uint*)entry, out AcpiTableHeader* table) && table->Signature == signature) return table;
        return null;
    }

    /// <summary>Makes a whole table accessible; false for addresses and lengths that cannot be.</summary>
    public static bool TryMapTable(ulong address, out AcpiTableHeader* table)
    {
        table = (AcpiTableHeader*)address;
        return address != 0 && AddressSpace.TryMapFirmware(address, (ulong)sizeof(AcpiTableHeader))
            && table->Length >= (uint)sizeof(AcpiTableHeader) && AddressSpace.TryMapFirmware(address, table->Length);
    }
}
