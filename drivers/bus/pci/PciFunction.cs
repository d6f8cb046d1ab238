// One PCI function: what it is, its registers' place, its capabilities.
using Lamina.X64.Paging;

namespace Lamina.Drivers.Bus.Pci;

/// <summary>A base address register, decoded. Size is not known until it is asked for: finding it out disturbs the device.</summary>
public readonly struct PciBaseAddress(ulong address, bool isMemory, bool isPrefetchable, bool is64Bit)
{
    public readonly ulong Address = address;

    /// <summary>Memory, else I/O ports.</summary>
    public readonly bool IsMemory = isMemory;
    public readonly bool IsPrefetchable = isPrefetchable;

    /// <summary>It takes the next register, too.</summary>
    public readonly bool Is64Bit = is64Bit;
}

/// <summary>What enumeration found at one address.</summary>
public struct PciFunction
{
    public PciAddress Address;
    public ushort VendorId;
    public ushort DeviceId;
    public byte BaseClass;
    public byte Subclass;
    public byte ProgrammingInterface;

    /// <summary>0 device, 1 bridge to another PCI bus.</summary>
    public byte HeaderLayout;

    private const byte IoSpaceIndicator = 1;
    private const int CapabilityLimit = 48; // a list cannot be longer: each takes at least 4 of 192 bytes

    /// <summary>Lets the function answer at its memory and port addresses, and read and write memory by itself.</summary>
    public readonly void Enable() =>
        SetCommand(PciHeader.CommandIoSpace | PciHeader.CommandMemorySpace | PciHeader.CommandBusMaster, 0);

    /// <summary>The register <paramref name="index"/> (0..5) as firmware left it; false if it is not implemented or holds no address.</summary>
    public readonly bool TryReadBaseAddress(int index, out PciBaseAddress register)
    {
        int offset = PciHeader.BaseAddress0 + 4 * index;
        uint low = PciConfiguration.Read32(Address, offset);
        bool isMemory = (low & IoSpaceIndicator) == 0;
        bool is64Bit = isMemory && (low >> 1 & 3) == 2 && index < 5;
        ulong address = isMemory ? low & ~0xFUL : low & ~3UL;
        if (is64Bit) address |= (ulong)PciConfiguration.Read32(Address, offset + 4) << 32;
        register = new PciBaseAddress(address, isMemory, isMemory && (low & 8) != 0, is64Bit);
        return address != 0 && low != uint.MaxValue;
    }

    /// <summary>Size in bytes of what the register decodes, found by writing ones to it while the function is deaf.</summary>
    public readonly ulong MeasureBaseAddress(int index)
    {
        int offset = PciHeader.BaseAddress0 + 4 * index;
        ushort command = PciConfiguration.Read16(Address, PciHeader.Command);
        SetCommand(0, PciHeader.CommandIoSpace | PciHeader.CommandMemorySpace);
        uint low = PciConfiguration.Read32(Address, offset);
        bool isMemory = (low & IoSpaceIndicator) == 0;
        bool is64Bit = isMemory && (low >> 1 & 3) == 2 && index < 5;
        ulong mask = Probe(offset, low) & (isMemory ? ~0xFu : ~3u);
        if (is64Bit) mask |= (ulong)Probe(offset + 4, PciConfiguration.Read32(Address, offset + 4)) << 32;
        else if (mask != 0) mask |= 0xFFFF_FFFF_0000_0000;
        if (!isMemory) mask |= 0xFFFF_FFFF_FFFF_0000; // ports have 16 bits, the upper ones may read 0
        PciConfiguration.Write16(Address, PciHeader.Command, command);
        return mask == 0 ? 0 : ~mask + 1;
    }

    /// <summary>Maps the registers behind a memory base address, all of them or the first <paramref name="bytes"/>.</summary>
    public readonly bool TryMapRegisters<THost>(int index, ulong bytes, out ulong address) where THost : struct, IDriverHost
    {
        address = 0;
        return TryReadBaseAddress(index, out PciBaseAddress register) && register.IsMemory
            && THost.TryMapRegisters(register.Address, bytes, MemoryType.Uncacheable, out address);
    }

    /// <summary>Offset of a capability's header. PCI Local Bus 3.0, "Capabilities List".</summary>
    public readonly bool TryFindCapability(byte id, out int offset)
    {
        offset = 0;
        if ((PciConfiguration.Read16(Address, PciHeader.Status) & PciHeader.StatusCapabilitiesList) == 0) return false;
        int next = PciConfiguration.Read8(Address, PciHeader.CapabilitiesPointer) & ~3;
        for (int i = 0; i < CapabilityLimit && next >= 0x40; i++)
        {
            offset = next;
            if (PciConfiguration.Read8(Address, offset) == id) return true;
            next = PciConfiguration.Read8(Address, offset + 1) & ~3;
        }
        return false;
    }

    internal readonly void SetCommand(int set, int clear)
    {
        ushort command = PciConfiguration.Read16(Address, PciHeader.Command);
        PciConfiguration.Write16(Address, PciHeader.Command, (ushort)(command & ~clear | set));
    }

    private readonly uint Probe(int offset, uint original)
    {
        PciConfiguration.Write32(Address, offset, uint.MaxValue);
        uint mask = PciConfiguration.Read32(Address, offset);
        PciConfiguration.Write32(Address, offset, original);
        return mask;
    }
}
