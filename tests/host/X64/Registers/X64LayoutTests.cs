// Size and every offset of descriptors, PE headers and ACPI tables against their manuals.

using System.Linq;
using Lamina.Tests.Host.Abi;
using Xunit;

namespace Lamina.Tests.Host.X64.Registers;

public sealed class X64LayoutTests
{
    private const string RegisterTable = """
        # SDM 3A, "Segment Descriptors", "64-Bit Mode IDT", "Task Management in 64-bit Mode"
        SystemDescriptor64 16: Low 0, BaseHigh 8, Reserved 12
        GateDescriptor64 16: OffsetLow 0, Selector 2, InterruptStackTable 4, Attributes 5, OffsetMiddle 6, OffsetHigh 8, Reserved 12
        TaskStateSegment64 104: Reserved0 0, RSP0 4, RSP1 12, RSP2 20, Reserved1 28, IST1 36, IST2 44, IST3 52, IST4 60, IST5 68, IST6 76, IST7 84,
          Reserved2 92, Reserved3 100, IoMapBaseAddress 102
        DescriptorTableRegister 10: Limit 0, Base 2

        # PE and COFF Specification
        ImageDosHeader 64: Magic 0, NewHeaderOffset 0x3C
        ImageFileHeader 20: Machine 0, NumberOfSections 2, TimeDateStamp 4, PointerToSymbolTable 8, NumberOfSymbols 12, SizeOfOptionalHeader 16, Characteristics 18
        ImageDataDirectory 8: VirtualAddress 0, Size 4
        ImageOptionalHeader64 112: Magic 0, MajorLinkerVersion 2, MinorLinkerVersion 3, SizeOfCode 4, SizeOfInitializedData 8, SizeOfUninitializedData 12,
          AddressOfEntryPoint 16, BaseOfCode 20, ImageBase 24, SectionAlignment 32, FileAlignment 36, MajorOperatingSystemVersion 40,
          MinorOperatingSystemVersion 42, MajorImageVersion 44, MinorImageVersion 46, MajorSubsystemVersion 48, MinorSubsystemVersion 50,
          Win32VersionValue 52, SizeOfImage 56, SizeOfHeaders 60, CheckSum 64, Subsystem 68, DllCharacteristics 70, SizeOfStackReserve 72,
          SizeOfStackCommit 80, SizeOfHeapReserve 88, SizeOfHeapCommit 96, LoaderFlags 104, NumberOfRvaAndSizes 108
        ImageSectionHeader 40: Name 0, VirtualSize 8, VirtualAddress 12, SizeOfRawData 16, PointerToRawData 20, PointerToRelocations 24,
          PointerToLinenumbers 28, NumberOfRelocations 32, NumberOfLinenumbers 34, Characteristics 36
        ImageBaseRelocation 8: PageRva 0, BlockSize 4
        """;

    private const string AcpiTable = """
        # ACPI Specification, "Root System Description Pointer", "System Description Table Header", "Generic Address Structure"
        Rsdp 36: Signature 0, Checksum 8, OemId 9, Revision 15, RsdtAddress 16, Length 20, XsdtAddress 24, ExtendedChecksum 32, Reserved 33
        AcpiTableHeader 36: Signature 0, Length 4, Revision 8, Checksum 9, OemId 10, OemTableId 16, OemRevision 24, CreatorId 28, CreatorRevision 32
        GenericAddress 12: AddressSpaceId 0, RegisterBitWidth 1, RegisterBitOffset 2, AccessSize 3, Address 4

        # "Fixed ACPI Description Table (FADT)"
        Fadt 276: Header 0, FIRMWARE_CTRL 36, DSDT 40, Reserved0 44, Preferred_PM_Profile 45, SCI_INT 46, SMI_CMD 48, ACPI_ENABLE 52, ACPI_DISABLE 53,
          S4BIOS_REQ 54, PSTATE_CNT 55, PM1a_EVT_BLK 56, PM1b_EVT_BLK 60, PM1a_CNT_BLK 64, PM1b_CNT_BLK 68, PM2_CNT_BLK 72, PM_TMR_BLK 76,
          GPE0_BLK 80, GPE1_BLK 84, PM1_EVT_LEN 88, PM1_CNT_LEN 89, PM2_CNT_LEN 90, PM_TMR_LEN 91, GPE0_BLK_LEN 92, GPE1_BLK_LEN 93, GPE1_BASE 94,
          CST_CNT 95, P_LVL2_LAT 96, P_LVL3_LAT 98, FLUSH_SIZE 100, FLUSH_STRIDE 102, DUTY_OFFSET 104, DUTY_WIDTH 105, DAY_ALRM 106, MON_ALRM 107,
          CENTURY 108, IAPC_BOOT_ARCH 109, Reserved1 111, Flags 112, RESET_REG 116, RESET_VALUE 128, ARM_BOOT_ARCH 129, FadtMinorVersion 131,
          X_FIRMWARE_CTRL 132, X_DSDT 140, X_PM1a_EVT_BLK 148, X_PM1b_EVT_BLK 160, X_PM1a_CNT_BLK 172, X_PM1b_CNT_BLK 184, X_PM2_CNT_BLK 196,
          X_PM_TMR_BLK 208, X_GPE0_BLK 220, X_GPE1_BLK 232, SLEEP_CONTROL_REG 244, SLEEP_STATUS_REG 256, HypervisorVendorIdentity 268
        Mcfg 44: Header 0, Reserved 36
        McfgAllocation 16: BaseAddress 0, PciSegmentGroup 8, StartBusNumber 10, EndBusNumber 11, Reserved 12
        Hpet 56: Header 0, EventTimerBlockId 36, BaseAddress 40, HpetNumber 52, MinimumClockTick 53, PageProtection 55

        # "Multiple APIC Description Table (MADT)"
        Madt 44: Header 0, LocalInterruptControllerAddress 36, Flags 40
        MadtEntry 2: Type 0, Length 1
        MadtProcessorLocalApic 8: Entry 0, AcpiProcessorUid 2, ApicId 3, Flags 4
        MadtIoApic 12: Entry 0, IoApicId 2, Reserved 3, IoApicAddress 4, GlobalSystemInterruptBase 8
        MadtInterruptSourceOverride 10: Entry 0, Bus 2, Source 3, GlobalSystemInterrupt 4, Flags 8
        MadtNmiSource 8: Entry 0, Flags 2, GlobalSystemInterrupt 4
        MadtLocalApicNmi 6: Entry 0, AcpiProcessorUid 2, Flags 3, LocalApicLint 5
        MadtLocalApicAddressOverride 12: Entry 0, Reserved 2, LocalApicAddress 4
        MadtProcessorLocalX2Apic 16: Entry 0, Reserved 2, X2ApicId 4, Flags 8, AcpiProcessorUid 12
        MadtLocalX2ApicNmi 12: Entry 0, Flags 2, AcpiProcessorUid 4, LocalX2ApicLint 8, Reserved 9
        """;

    private static readonly LayoutRow[] RegisterRows = LayoutTable.Parse(RegisterTable);
    private static readonly LayoutRow[] AcpiRows = LayoutTable.Parse(AcpiTable);

    public static TheoryData<string> RegisterStructures => new(RegisterRows.Select(row => row.Structure));

    public static TheoryData<string> AcpiStructures => new(AcpiRows.Select(row => row.Structure));

    [Theory]
    [MemberData(nameof(RegisterStructures))]
    public void Structure_is_laid_out_as_the_manual_prints_it(string structure) =>
        Assert.Empty(LayoutTable.Differences(RegisterRows.Single(row => row.Structure == structure), "Lamina.X64"));

    [Theory]
    [MemberData(nameof(AcpiStructures))]
    public void Acpi_structure_is_laid_out_as_the_specification_prints_it(string structure) =>
        Assert.Empty(LayoutTable.Differences(AcpiRows.Single(row => row.Structure == structure), "Lamina.X64.Acpi"));

    [Fact]
    public void Every_acpi_structure_has_a_row() => Assert.Empty(LayoutTable.Undescribed("Lamina.X64.Acpi", AcpiRows));
}
