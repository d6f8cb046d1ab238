// The ACPI tables of a guest. Source: ACPI Specification 6.x, "ACPI Software Programming Model".
using System;
using Lamina.Root.Devices;
using Lamina.Text;

namespace Lamina.Root.Acpi;

/// <summary>What differs from guest to guest.</summary>
public struct AcpiOptions
{
    /// <summary>1–255. The processor with index n has APIC ID n and ACPI UID n.</summary>
    public uint ProcessorCount;
    public bool HasCom1;
    /// <summary>Guest-physical windows in which VMBus clients place device memory; nothing is mapped there.</summary>
    public ulong LowWindow, LowWindowLength, HighWindow, HighWindowLength;

    /// <summary>Windows of 128 MiB below the interrupt controllers and of 512 MiB above the RAM, at 64 GiB less 512 MiB if that is free.</summary>
    public static AcpiOptions CreateDefault(uint processorCount, bool hasCom1, in GuestMemory memory)
    {
        const ulong highLength = 512UL << 20, usual = (64UL << 30) - highLength;
        ulong ramEnd = 0;
        for (int i = 0; i < memory.RangeCount; i++) ramEnd = Math.Max(ramEnd, memory.RangeGpa(i) + memory.RangeLength(i));
        return new AcpiOptions
        {
            ProcessorCount = processorCount,
            HasCom1 = hasCom1,
            LowWindow = 0xF0000000,
            LowWindowLength = 128UL << 20,
            HighWindow = ramEnd <= usual ? usual : ramEnd + highLength - 1 & ~(highLength - 1),
            HighWindowLength = highLength,
        };
    }
}

/// <summary>RSDP, XSDT, FADT, FACS, MADT and DSDT in the firmware area below 1 MiB.</summary>
public static unsafe class GuestAcpiTables
{
    /// <summary>Where the RSDP is, within the range that PC operating systems search.</summary>
    public const ulong Rsdp = 0xE0000;
    /// <summary>All tables lie within this many bytes from the RSDP on.</summary>
    public const int AreaLength = 0x10000;

    private const int HeaderLength = 36, RsdpLength = 36, XsdtOffset = 0x40, XsdtLength = HeaderLength + 2 * 8, FacsOffset = 0x80, FacsLength = 64,
        FadtOffset = 0x100, FadtLength = 276, MadtOffset = 0x240;
    private const byte SystemIo = 1, AccessByte = 1, AccessWord = 2, AccessDword = 3;

    /// <summary>Writes the tables. False with one line in <paramref name="error"/> when the guest has no RAM there or too many processors.</summary>
    public static bool TryBuild(in GuestMemory memory, in AcpiOptions options, ref TextWriter error)
    {
        if (!memory.TryZero(Rsdp, AreaLength) || !memory.TryGetPointer(Rsdp, AreaLength, out byte* area))
        {
            error.Text("memory: needs 1 MiB for the ACPI tables"u8);
            return false;
        }
        if (options.ProcessorCount is 0 or > 255)
        {
            error.Text("processors: "u8).Decimal(options.ProcessorCount).Text(" are not possible, expected 1 to 255"u8);
            return false;
        }
        int madtLength = WriteMadt(area + MadtOffset, options);
        int dsdtOffset = MadtOffset + madtLength + 15 & ~15;
        if (!TryWriteDsdt(area + dsdtOffset, AreaLength - dsdtOffset, options))
        {
            error.Text("processors: no room for the ACPI tables of "u8).Decimal(options.ProcessorCount);
            return false;
        }
        WriteFacs(area + FacsOffset);
        WriteFadt(area + FadtOffset, (uint)Rsdp + (uint)dsdtOffset);
        *(ulong*)(area + XsdtOffset + HeaderLength) = Rsdp + FadtOffset;
        *(ulong*)(area + XsdtOffset + HeaderLength + 8) = Rsdp + MadtOffset;
        Finish(area + XsdtOffset, "XSDT"u8, 1, XsdtLength);
        WriteRsdp(area);
        return true;
    }

    private static void WriteRsdp(byte* rsdp)
    {
        Put(rsdp, "RSD PTR "u8);
        Put(rsdp + 9, "LAMINA"u8);
        rsdp[15] = 2;
        *(uint*)(rsdp + 20) = RsdpLength;
        *(ulong*)(rsdp + 24) = Rsdp + XsdtOffset;
        rsdp[8] = Checksum(rsdp, 20);
        rsdp[32] = Checksum(rsdp, RsdpLength);
    }

    private static void WriteFacs(byte* facs)
    {
        Put(facs, "FACS"u8);
        *(uint*)(facs + 4) = FacsLength;
        facs[32] = 2;
    }

    private static void WriteFadt(byte* fadt, uint dsdt)
    {
        const byte pmProfileEnterpriseServer = 4;
        const ushort noC2 = 0xFFFF, noC3 = 0xFFFF, vgaNotPresent = 1 << 2;
        const uint wbinvd = 1 << 0, procC1 = 1 << 2, noSleepButton = 1 << 5, noFixedRtc = 1 << 6, tmrValExt = 1 << 8, resetRegSup = 1 << 10;
        *(uint*)(fadt + 36) = (uint)Rsdp + FacsOffset;
        *(uint*)(fadt + 40) = dsdt;
        fadt[45] = pmProfileEnterpriseServer;
        *(ushort*)(fadt + 46) = AcpiPower.SciIrq;
        *(uint*)(fadt + 56) = AcpiPower.EventBlock;
        *(uint*)(fadt + 64) = AcpiPower.ControlBlock;
        *(uint*)(fadt + 76) = AcpiPower.TimerBlock;
        fadt[88] = 4; // PM1_EVT_LEN
        fadt[89] = 2; // PM1_CNT_LEN
        fadt[91] = 4; // PM_TMR_LEN
        *(ushort*)(fadt + 96) = noC2;
        *(ushort*)(fadt + 98) = noC3;
        fadt[108] = CmosClock.CenturyRegister;
        // IAPC_BOOT_ARCH: no legacy devices, no 8042, no VGA; MSI works; the CMOS clock is there.
        *(ushort*)(fadt + 109) = vgaNotPresent;
        *(uint*)(fadt + 112) = wbinvd | procC1 | noSleepButton | noFixedRtc | tmrValExt | resetRegSup;
        PutAddress(fadt + 116, AcpiPower.ResetPort, 8, AccessByte);
        fadt[128] = AcpiPower.ResetValue;
        // X_FIRMWARE_CTRL (132) stays zero: only one of the two addresses of the FACS may be given.
        *(ulong*)(fadt + 140) = dsdt;
        PutAddress(fadt + 148, AcpiPower.EventBlock, 32, AccessWord);
        PutAddress(fadt + 172, AcpiPower.ControlBlock, 16, AccessWord);
        PutAddress(fadt + 208, AcpiPower.TimerBlock, 32, AccessDword);
        Finish(fadt, "FACP"u8, 6, FadtLength);
    }

    private static int WriteMadt(byte* madt, in AcpiOptions options)
    {
        const ushort activeHighLevel = 0xD;
        *(uint*)(madt + 36) = 0xFEE00000;
        // Flags stay zero: no PCAT_COMPAT, there are no 8259s.
        byte* entry = madt + 44;
        for (uint i = 0; i < options.ProcessorCount; i++)
        {
            entry[0] = 0; // processor local APIC
            entry[1] = 8;
            entry[2] = (byte)i;
            entry[3] = (byte)i;
            *(uint*)(entry + 4) = 1;
            entry += 8;
        }
        entry[0] = 1; // I/O APIC
        entry[1] = 12;
        entry[2] = IoApic.Id;
        *(uint*)(entry + 4) = (uint)IoApic.BaseAddress;
        entry += 12;
        entry[0] = 2; // interrupt source override: the SCI
        entry[1] = 10;
        entry[3] = AcpiPower.SciIrq;
        *(uint*)(entry + 4) = AcpiPower.SciIrq;
        *(ushort*)(entry + 8) = activeHighLevel;
        entry += 10;
        int length = (int)(entry - madt);
        Finish(madt, "APIC"u8, 5, length);
        return length;
    }

    private static bool TryWriteDsdt(byte* dsdt, int capacity, in AcpiOptions options)
    {
        if (capacity < HeaderLength) return false;
        AmlBuilder aml = new(dsdt + HeaderLength, capacity - HeaderLength);
        GuestDsdt.Write(ref aml, options);
        if (aml.Overflowed) return false;
        Finish(dsdt, "DSDT"u8, 2, HeaderLength + aml.Length);
        return true;
    }

    // The header goes on last, since it holds length and checksum.
    private static void Finish(byte* table, ReadOnlySpan<byte> signature, byte revision, int length)
    {
        Put(table, signature);
        *(uint*)(table + 4) = (uint)length;
        table[8] = revision;
        Put(table + 10, "LAMINA"u8);
        Put(table + 16, "LAMINAVM"u8);
        *(uint*)(table + 24) = 1;
        Put(table + 28, "LMNA"u8);
        *(uint*)(table + 32) = 1;
        table[9] = Checksum(table, length);
    }

    private static void PutAddress(byte* field, ushort port, byte width, byte accessSize)
    {
        field[0] = SystemIo;
        field[1] = width;
        field[3] = accessSize;
        *(ulong*)(field + 4) = port;
    }

    private static void Put(byte* to, ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++) to[i] = text[i];
    }

    // The byte that makes the sum of all, itself still zero, zero.
    private static byte Checksum(byte* bytes, int length)
    {
        byte sum = 0;
        for (int i = 0; i < length; i++) sum += bytes[i];
        return (byte)-sum;
    }
}
