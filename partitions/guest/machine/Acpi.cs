// As much of ACPI as guests need: the FADT, in it the timer, and the MADT.
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>ACPI Specification, "Finding the RSDP on IA-PC Systems".</summary>
public static unsafe class Acpi
{
    private const ulong SearchStart = 0xE0000, SearchEnd = 0x100000;
    private const ulong RsdPtr = 0x2052545020445352; // "RSD PTR "
    private const uint Facp = 0x50434146;            // "FACP"
    private const uint Apic = 0x43495041;            // "APIC"
    private const int HeaderLength = 36;

    /// <summary>Address of the RSDP; 0: none, or its checksum is wrong.</summary>
    public static ulong FindRsdp()
    {
        for (ulong at = SearchStart; at < SearchEnd; at += 16)
            if (*(ulong*)at == RsdPtr && Sum((byte*)at, 20) == 0) return at;
        return 0;
    }

    /// <summary>The FADT; null: none.</summary>
    public static byte* FindFadt() => Find(Facp);

    /// <summary>The MADT; null: none.</summary>
    public static byte* FindMadt() => Find(Apic);

    private static byte* Find(uint signature)
    {
        ulong rsdp = FindRsdp();
        if (rsdp == 0) return null;
        bool extended = *(byte*)(rsdp + 15) >= 2 && *(ulong*)(rsdp + 24) != 0;
        ulong table = extended ? *(ulong*)(rsdp + 24) : *(uint*)(rsdp + 16);
        uint size = extended ? 8u : 4u, length = *(uint*)(table + 4);
        for (ulong at = table + HeaderLength; at + size <= table + length; at += size)
        {
            byte* found = (byte*)(extended ? *(ulong*)at : *(uint*)at);
            if (*(uint*)found == signature) return found;
        }
        return null;
    }

    public static byte Sum(byte* data, uint length)
    {
        byte sum = 0;
        for (uint i = 0; i < length; i++) sum += data[i];
        return sum;
    }
}

/// <summary>The power-management timer, 3.579545 MHz. ACPI Specification, "Power Management Timer".</summary>
public static unsafe class PmTimer
{
    public const ulong Hz = 3579545;
    private const int PmTimerBlock = 76;
    private const uint Mask = 0xFFFFFF; // at least 24 bits are there

    private static ushort port;
    private static bool searched;

    public static bool IsPresent => Port != 0;

    private static ushort Port
    {
        get
        {
            if (!searched)
            {
                searched = true;
                byte* fadt = Acpi.FindFadt();
                if (fadt != null) port = (ushort)*(uint*)(fadt + PmTimerBlock);
            }
            return port;
        }
    }

    public static uint Read() => Instructions.In32(Port) & Mask;

    /// <summary>Ticks of the timer between two readings.</summary>
    public static uint Elapsed(uint from, uint to) => (to - from) & Mask;

    private static ulong ReadWide() => Read();

    /// <summary>TSC ticks per second, measured for so many milliseconds; 0: the timer stands still.</summary>
    public static ulong MeasureTsc(ulong milliseconds)
    {
        uint want = (uint)(Hz * milliseconds / 1000), start = (uint)Clock.ReadTogether(&ReadWide, out ulong first);
        for (int i = 0; i < 10_000_000 && Elapsed(start, Read()) < want; i++) { }
        uint passed = Elapsed(start, (uint)Clock.ReadTogether(&ReadWide, out ulong last));
        return passed < want ? 0 : (last - first) * Hz / passed;
    }
}
