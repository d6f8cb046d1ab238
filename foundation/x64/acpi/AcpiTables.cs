// ACPI's root pointer, table header and the tables that find processors, interrupt controllers and PCI. ACPI Specification, "ACPI Software Programming Model".

using System.Runtime.InteropServices;

namespace Lamina.X64.Acpi;

/// <summary>Root System Description Pointer, 36 bytes; revision 0 has the first 20 only.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct Rsdp
{
    /// <summary>"RSD PTR ".</summary>
    public const ulong ExpectedSignature = 0x2052_5450_2044_5352;

    /// <summary>Bytes that <see cref="Checksum"/> covers.</summary>
    public const int Revision0Length = 20;

    public ulong Signature;

    /// <summary>Makes the first 20 bytes sum to zero.</summary>
    public byte Checksum;
    public fixed byte OemId[6];

    /// <summary>0: ACPI 1.0; 2: all of this structure.</summary>
    public byte Revision;
    public uint RsdtAddress;
    public uint Length;
    public ulong XsdtAddress;

    /// <summary>Makes all <see cref="Length"/> bytes sum to zero.</summary>
    public byte ExtendedChecksum;
    public fixed byte Reserved[3];
}

/// <summary>System Description Table header, 36 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct AcpiTableHeader
{
    /// <summary>A constant of <see cref="AcpiSignature"/>.</summary>
    public uint Signature;

    /// <summary>Of the whole table, in bytes.</summary>
    public uint Length;
    public byte Revision;

    /// <summary>Makes the table sum to zero.</summary>
    public byte Checksum;
    public fixed byte OemId[6];
    public fixed byte OemTableId[8];
    public uint OemRevision;
    public uint CreatorId;
    public uint CreatorRevision;
}

/// <summary>Signatures as 32-bit values.</summary>
public static class AcpiSignature
{
    /// <summary>32-bit table addresses follow the header.</summary>
    public const uint RSDT = 0x54445352;

    /// <summary>64-bit table addresses follow the header, not aligned.</summary>
    public const uint XSDT = 0x54445358;

    /// <summary>"APIC": the MADT.</summary>
    public const uint MADT = 0x43495041;

    /// <summary>"FACP": the FADT.</summary>
    public const uint FADT = 0x50434146;
    public const uint MCFG = 0x4746434D;
    public const uint DSDT = 0x54445344;
    public const uint SSDT = 0x54445353;
    public const uint HPET = 0x54455048;
    public const uint DMAR = 0x52414D44;
    public const uint IVRS = 0x53525649;
    public const uint SRAT = 0x54415253;
}

/// <summary>Generic Address Structure, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct GenericAddress
{
    public const byte SystemMemory = 0;
    public const byte SystemIo = 1;
    public const byte PciConfiguration = 2;

    /// <summary>One of the constants above.</summary>
    public byte AddressSpaceId;
    public byte RegisterBitWidth;
    public byte RegisterBitOffset;
    public byte AccessSize;
    public ulong Address;
}

/// <summary>Fixed ACPI Description Table, 276 bytes in revision 6. Older ones end earlier: compare with Header.Length.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Fadt
{
    public AcpiTableHeader Header;
    public uint FIRMWARE_CTRL;
    public uint DSDT;
    public byte Reserved0;
    public byte Preferred_PM_Profile;

    /// <summary>Global system interrupt of the SCI, after overrides.</summary>
    public ushort SCI_INT;
    public uint SMI_CMD;
    public byte ACPI_ENABLE;
    public byte ACPI_DISABLE;
    public byte S4BIOS_REQ;
    public byte PSTATE_CNT;
    public uint PM1a_EVT_BLK;
    public uint PM1b_EVT_BLK;
    public uint PM1a_CNT_BLK;
    public uint PM1b_CNT_BLK;
    public uint PM2_CNT_BLK;

    /// <summary>Port of the 3.579545 MHz timer.</summary>
    public uint PM_TMR_BLK;
    public uint GPE0_BLK;
    public uint GPE1_BLK;
    public byte PM1_EVT_LEN;
    public byte PM1_CNT_LEN;
    public byte PM2_CNT_LEN;
    public byte PM_TMR_LEN;
    public byte GPE0_BLK_LEN;
    public byte GPE1_BLK_LEN;
    public byte GPE1_BASE;
    public byte CST_CNT;
    public ushort P_LVL2_LAT;
    public ushort P_LVL3_LAT;
    public ushort FLUSH_SIZE;
    public ushort FLUSH_STRIDE;
    public byte DUTY_OFFSET;
    public byte DUTY_WIDTH;
    public byte DAY_ALRM;
    public byte MON_ALRM;
    public byte CENTURY;
    public ushort IAPC_BOOT_ARCH;
    public byte Reserved1;

    /// <summary>Bits of the constants below.</summary>
    public uint Flags;
    public GenericAddress RESET_REG;
    public byte RESET_VALUE;
    public ushort ARM_BOOT_ARCH;
    public byte FadtMinorVersion;
    public ulong X_FIRMWARE_CTRL;
    public ulong X_DSDT;
    public GenericAddress X_PM1a_EVT_BLK;
    public GenericAddress X_PM1b_EVT_BLK;
    public GenericAddress X_PM1a_CNT_BLK;
    public GenericAddress X_PM1b_CNT_BLK;
    public GenericAddress X_PM2_CNT_BLK;
    public GenericAddress X_PM_TMR_BLK;
    public GenericAddress X_GPE0_BLK;
    public GenericAddress X_GPE1_BLK;
    public GenericAddress SLEEP_CONTROL_REG;
    public GenericAddress SLEEP_STATUS_REG;
    public ulong HypervisorVendorIdentity;

    /// <summary>The timer counts 32 bits, not 24.</summary>
    public const uint TMR_VAL_EXT = 1u << 8;
    public const uint RESET_REG_SUP = 1u << 10;
    public const uint HW_REDUCED_ACPI = 1u << 20;
}

/// <summary>MCFG's head: 44 bytes, then <see cref="McfgAllocation"/>s to the table's end. PCI Firmware Specification, "MCFG Table Description".</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Mcfg
{
    public AcpiTableHeader Header;
    public ulong Reserved;
}

/// <summary>One segment's memory-mapped configuration space, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct McfgAllocation
{
    /// <summary>Physical address that bus 0 would have.</summary>
    public ulong BaseAddress;
    public ushort PciSegmentGroup;
    public byte StartBusNumber;
    public byte EndBusNumber;
    public uint Reserved;
}

/// <summary>IA-PC High Precision Event Timer table, 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Hpet
{
    public AcpiTableHeader Header;
    public uint EventTimerBlockId;
    public GenericAddress BaseAddress;
    public byte HpetNumber;
    public ushort MinimumClockTick;
    public byte PageProtection;
}
