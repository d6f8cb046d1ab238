// The few facts of ACPI that the core needs: I/O APICs and overrides (MADT), and the PM timer that it calibrates its clocks by (FADT).
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>ACPI 6.5, "Root System Description Pointer", "MADT", "FADT". Tables are read in place: through the window, or mapped where a BIOS keeps them in reserved memory.</summary>
public static unsafe class AcpiTables
{
    private const uint FadtSignature = 0x50434146; // "FACP"
    private const uint MadtSignature = 0x43495041; // "APIC"
    private const int HeaderLength = 36, RsdpLength = 36;
    private const uint LongestTable = 1 << 16; // of those that are read here; a longer one is damaged
    private const ulong PhysicalAddressEnd = 1UL << 46;
    private const int FadtPmTimerBlock = 76, FadtFlags = 112;
    private const uint FadtFlagTimer32 = 1 << 8;
    private const byte MadtLocalApic = 0, MadtIoApic = 1, MadtLocalX2Apic = 9;
    private const uint LocalApicEnabled = 1;

    private static byte* fadt, madt;
    private static bool isMadeByBochs;

    /// <summary>Whether the machine's tables say that they are Bochs' own, and CPUID does not say that there is a hypervisor (QEMU's name themselves so, too).</summary>
    public static bool IsMachineBochs => isMadeByBochs && !Preflight.HasLeafBit(1, 2, 1u << 31);

    public static void Initialize(ulong rsdpPhysical)
    {
        if (!TryReach(rsdpPhysical, RsdpLength, out byte* rsdp))
            return;
        const ulong bochs = 0x20_53_48_43_4F_42; // "BOCHS "
        isMadeByBochs = (*(ulong*)(rsdp + 9) & 0xFFFF_FFFF_FFFF) == bochs;
        bool extended = rsdp[15] >= 2 && *(ulong*)(rsdp + 24) != 0;
        ulong root = extended ? *(ulong*)(rsdp + 24) : *(uint*)(rsdp + 16);
        int width = extended ? 8 : 4;
        if (!TryReach(root, HeaderLength, out byte* table) || !TryReach(root, *(uint*)(table + 4), out table))
            return;
        uint length = *(uint*)(table + 4);
        for (int at = HeaderLength; at + width <= length; at += width)
        {
            ulong entry = width == 8 ? *(ulong*)(table + at) : *(uint*)(table + at);
            if (!TryReach(entry, HeaderLength, out byte* header) || *(uint*)header is not (FadtSignature or MadtSignature)
                || !TryReach(entry, *(uint*)(header + 4), out byte* whole))
                continue;
            if (*(uint*)whole == FadtSignature) fadt = whole;
            else madt = whole;
        }
    }

    private static bool TryReach(ulong physical, uint length, out byte* bytes)
    {
        bytes = null;
        if (physical == 0 || physical >= PhysicalAddressEnd || length < RsdpLength || length > LongestTable)
            return false;
        bytes = PhysicalMemoryRanges.Contains(physical, length) ? PhysicalMap.ToPointer(physical)
            : (byte*)CoreAddressSpace.MapDevice(physical, length, MemoryType.WriteBack);
        return true;
    }

    /// <summary>I/O port of the power management timer, and the mask of its width.</summary>
    public static bool TryGetPmTimer(out ushort port, out uint mask)
    {
        port = fadt == null ? (ushort)0 : (ushort)*(uint*)(fadt + FadtPmTimerBlock);
        mask = fadt != null && (*(uint*)(fadt + FadtFlags) & FadtFlagTimer32) != 0 ? 0xFFFFFFFF : 0x00FFFFFF;
        return port != 0;
    }

    /// <summary>The <paramref name="index"/>th I/O APIC.</summary>
    public static bool TryGetIoApic(int index, out byte id, out ulong address, out uint firstGsi)
    {
        id = 0; address = 0; firstGsi = 0;
        if (madt == null)
            return false;
        uint length = *(uint*)(madt + 4);
        for (uint at = HeaderLength + 8; at + 2 <= length && madt[at + 1] >= 2; at += madt[at + 1])
        {
            if (madt[at] != MadtIoApic || index-- != 0)
                continue;
            id = madt[at + 2];
            address = *(uint*)(madt + at + 4);
            firstGsi = *(uint*)(madt + at + 8);
            return true;
        }
        return false;
    }

    /// <summary>APIC ID of the <paramref name="index"/>th processor that firmware has enabled.</summary>
    public static bool TryGetProcessor(int index, out uint apicId)
    {
        apicId = 0;
        if (madt == null)
            return false;
        uint length = *(uint*)(madt + 4);
        for (uint at = HeaderLength + 8; at + 2 <= length && madt[at + 1] >= 2; at += madt[at + 1])
        {
            byte* entry = madt + at;
            bool isEnabled = entry[0] == MadtLocalApic && entry[1] >= 8 && (*(uint*)(entry + 4) & LocalApicEnabled) != 0
                || entry[0] == MadtLocalX2Apic && entry[1] >= 16 && (*(uint*)(entry + 8) & LocalApicEnabled) != 0;
            if (!isEnabled || index-- != 0)
                continue;
            apicId = entry[0] == MadtLocalApic ? entry[3] : *(uint*)(entry + 4);
            return true;
        }
        return false;
    }
}
