// The Multiple APIC Description Table and its entries. ACPI Specification, "Multiple APIC Description Table (MADT)".

using System.Runtime.InteropServices;

namespace Lamina.X64.Acpi;

/// <summary>MADT's head: 44 bytes, then entries to the table's end.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct Madt
{
    public AcpiTableHeader Header;
    public uint LocalInterruptControllerAddress;

    /// <summary>Bits of the constants below.</summary>
    public uint Flags;

    /// <summary>There is a pair of 8259s, to be masked.</summary>
    public const uint PCAT_COMPAT = 1;
}

/// <summary>What each entry begins with.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtEntry
{
    public const byte ProcessorLocalApic = 0;
    public const byte IoApic = 1;
    public const byte InterruptSourceOverride = 2;
    public const byte NmiSource = 3;
    public const byte LocalApicNmi = 4;
    public const byte LocalApicAddressOverride = 5;
    public const byte ProcessorLocalX2Apic = 9;
    public const byte LocalX2ApicNmi = 10;
    public const byte MultiprocessorWakeup = 16;

    /// <summary>One of the constants above.</summary>
    public byte Type;

    /// <summary>Of the entry, in bytes; less than 2 is an error.</summary>
    public byte Length;
}

/// <summary>Type 0, 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtProcessorLocalApic
{
    public MadtEntry Entry;
    public byte AcpiProcessorUid;
    public byte ApicId;

    /// <summary>Bits of the constants below.</summary>
    public uint Flags;

    public const uint Enabled = 1;

    /// <summary>Not enabled, but may become so.</summary>
    public const uint OnlineCapable = 2;
}

/// <summary>Type 1, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtIoApic
{
    public MadtEntry Entry;
    public byte IoApicId;
    public byte Reserved;
    public uint IoApicAddress;

    /// <summary>Global system interrupt of its pin 0.</summary>
    public uint GlobalSystemInterruptBase;
}

/// <summary>Type 2, 10 bytes: an ISA interrupt that is not where it was on the PC.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtInterruptSourceOverride
{
    public MadtEntry Entry;

    /// <summary>0: ISA.</summary>
    public byte Bus;
    public byte Source;
    public uint GlobalSystemInterrupt;
    public MpsIntiFlags Flags;
}

/// <summary>Type 3, 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtNmiSource
{
    public MadtEntry Entry;
    public MpsIntiFlags Flags;
    public uint GlobalSystemInterrupt;
}

/// <summary>Type 4, 6 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtLocalApicNmi
{
    public MadtEntry Entry;

    /// <summary>0xFF: all.</summary>
    public byte AcpiProcessorUid;
    public MpsIntiFlags Flags;
    public byte LocalApicLint;
}

/// <summary>Type 5, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtLocalApicAddressOverride
{
    public MadtEntry Entry;
    public ushort Reserved;
    public ulong LocalApicAddress;
}

/// <summary>Type 9, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct MadtProcessorLocalX2Apic
{
    public MadtEntry Entry;
    public ushort Reserved;
    public uint X2ApicId;

    /// <summary>Bits of <see cref="MadtProcessorLocalApic"/>'s constants.</summary>
    public uint Flags;
    public uint AcpiProcessorUid;
}

/// <summary>Type 10, 12 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public unsafe struct MadtLocalX2ApicNmi
{
    public MadtEntry Entry;
    public MpsIntiFlags Flags;

    /// <summary>0xFFFFFFFF: all.</summary>
    public uint AcpiProcessorUid;
    public byte LocalX2ApicLint;
    public fixed byte Reserved[3];
}

/// <summary>Polarity and trigger mode of an interrupt, 16 bits.</summary>
public readonly struct MpsIntiFlags(ushort value)
{
    public readonly ushort Value = value;

    /// <summary>Bits 1:0: 0 as the bus has it, 1 active high, 3 active low.</summary>
    public byte Polarity => (byte)(Value & 3);

    /// <summary>Bits 3:2: 0 as the bus has it, 1 edge, 3 level.</summary>
    public byte TriggerMode => (byte)(Value >> 2 & 3);

    public bool IsActiveLow => Polarity == 3;
    public bool IsLevelTriggered => TriggerMode == 3;
}
