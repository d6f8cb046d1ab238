// Configuration space: memory-mapped where ACPI's MCFG table says so, else by ports 0xCF8 and 0xCFC (256 bytes a function).
// PCI Local Bus 3.0, "Configuration Mechanism"; PCI Express Base, "Enhanced Configuration Access Mechanism (ECAM)".
using Lamina.X64;

namespace Lamina.Drivers.Bus.Pci;

/// <summary>Offsets in the header that all functions have. PCI Local Bus 3.0, "Type 00h Configuration Space Header".</summary>
public static class PciHeader
{
    public const int VendorId = 0x00;
    public const int DeviceId = 0x02;
    public const int Command = 0x04;
    public const int Status = 0x06;
    public const int RevisionId = 0x08;
    public const int ProgrammingInterface = 0x09;
    public const int Subclass = 0x0A;
    public const int BaseClass = 0x0B;
    public const int HeaderType = 0x0E;
    public const int BaseAddress0 = 0x10;
    public const int SecondaryBus = 0x19;
    public const int CapabilitiesPointer = 0x34;

    public const ushort CommandIoSpace = 1 << 0;
    public const ushort CommandMemorySpace = 1 << 1;
    public const ushort CommandBusMaster = 1 << 2;
    public const ushort CommandInterruptDisable = 1 << 10;
    public const ushort StatusCapabilitiesList = 1 << 4;
}

/// <summary>Reads and writes of configuration space. A function that is not there reads all ones.</summary>
public static class PciConfiguration
{
    private const ushort AddressPort = 0xCF8, DataPort = 0xCFC;
    private const uint AddressEnable = 1u << 31;

    private static ulong memoryBase;   // of bus 0 of segment 0; 0: ports
    private static byte firstBus, lastBus;

    /// <summary>From now on configuration space of these buses is at <paramref name="address"/> (of bus 0), 1 MiB a bus, and mapped.</summary>
    public static void UseMemory(ulong address, byte first, byte last)
    {
        memoryBase = address;
        firstBus = first;
        lastBus = last;
    }

    public static byte Read8(PciAddress function, int offset) =>
        Find(function, offset, out ulong address) ? Mmio.Read8(address) : (byte)(ReadPort(function, offset) >> 8 * (offset & 3));

    public static ushort Read16(PciAddress function, int offset) =>
        Find(function, offset, out ulong address) ? Mmio.Read16(address) : (ushort)(ReadPort(function, offset) >> 8 * (offset & 2));

    public static uint Read32(PciAddress function, int offset) =>
        Find(function, offset, out ulong address) ? Mmio.Read32(address) : ReadPort(function, offset);

    public static void Write16(PciAddress function, int offset, ushort value)
    {
        if (Find(function, offset, out ulong address)) Mmio.Write16(address, value);
        else if (Select(function, offset)) Instructions.Out16((ushort)(DataPort + (offset & 2)), value);
    }

    public static void Write32(PciAddress function, int offset, uint value)
    {
        if (Find(function, offset, out ulong address)) Mmio.Write32(address, value);
        else if (Select(function, offset)) Instructions.Out32(DataPort, value);
    }

    private static bool Find(PciAddress function, int offset, out ulong address)
    {
        address = memoryBase + ((ulong)function.BusDeviceFunction << 12) + (ulong)offset;
        return memoryBase != 0 && function.Segment == 0 && function.Bus >= firstBus && function.Bus <= lastBus;
    }

    private static uint ReadPort(PciAddress function, int offset) => Select(function, offset) ? Instructions.In32(DataPort) : uint.MaxValue;

    private static bool Select(PciAddress function, int offset)
    {
        if (function.Segment != 0 || offset > 0xFF) return false;
        Instructions.Out32(AddressPort, AddressEnable | (uint)function.BusDeviceFunction << 8 | (uint)(offset & 0xFC));
        return true;
    }
}
