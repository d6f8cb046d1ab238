// Finds the PCI functions of the machine, following the bridges as firmware has numbered their buses.
using System;

namespace Lamina.Drivers.Bus.Pci;

/// <summary>The functions found. One list for the machine.</summary>
public static unsafe class PciBus
{
    public const int MaximumFunctions = 256;
    private const byte MultipleFunctions = 0x80, HeaderLayoutMask = 0x7F, PciBridge = 1;
    private const ushort NoVendor = 0xFFFF;

    private static PciFunction* functions;
    private static int count;

    public static ReadOnlySpan<PciFunction> Functions => new(functions, count);

    /// <summary>Scans bus 0 and what lies behind its bridges. False: no memory for the list.</summary>
    public static bool TryEnumerate<THost>() where THost : struct, IDriverHost
    {
        if (!THost.TryAllocateDma((ulong)(MaximumFunctions * sizeof(PciFunction)), out DmaMemory memory)) return false;
        functions = (PciFunction*)memory.Address;
        count = 0;
        ScanBus(0, 0);
        return true;
    }

    public static bool TryFind(ushort vendor, ushort device, out PciFunction function)
    {
        foreach (PciFunction candidate in Functions)
        {
            function = candidate;
            if (candidate.VendorId == vendor && candidate.DeviceId == device) return true;
        }
        function = default;
        return false;
    }

    private static void ScanBus(byte bus, int depth)
    {
        for (int device = 0; device < 32; device++)
        {
            PciAddress first = new(0, bus, device, 0);
            if (PciConfiguration.Read16(first, PciHeader.VendorId) == NoVendor) continue;
            bool multiple = (PciConfiguration.Read8(first, PciHeader.HeaderType) & MultipleFunctions) != 0;
            for (int function = 0; function < (multiple ? 8 : 1); function++) Add(new PciAddress(0, bus, device, function), depth);
        }
    }

    private static void Add(PciAddress address, int depth)
    {
        ushort vendor = PciConfiguration.Read16(address, PciHeader.VendorId);
        if (vendor == NoVendor || count == MaximumFunctions) return;
        PciFunction* function = functions + count++;
        function->Address = address;
        function->VendorId = vendor;
        function->DeviceId = PciConfiguration.Read16(address, PciHeader.DeviceId);
        function->BaseClass = PciConfiguration.Read8(address, PciHeader.BaseClass);
        function->Subclass = PciConfiguration.Read8(address, PciHeader.Subclass);
        function->ProgrammingInterface = PciConfiguration.Read8(address, PciHeader.ProgrammingInterface);
        function->HeaderLayout = (byte)(PciConfiguration.Read8(address, PciHeader.HeaderType) & HeaderLayoutMask);
        if (function->HeaderLayout != PciBridge) return;
        byte secondary = PciConfiguration.Read8(address, PciHeader.SecondaryBus);
        // A bus behind a bridge has a higher number; the depth is bounded for firmware that breaks the rule.
        if (secondary > address.Bus && depth < 16) ScanBus(secondary, depth + 1);
    }
}
