// Where a PCI function sits.

namespace Lamina.Drivers.Bus.Pci;

/// <summary>Segment group, bus, device and function.</summary>
public readonly struct PciAddress(ushort segment, ushort busDeviceFunction)
{
    public readonly ushort Segment = segment;

    /// <summary>Bus in 15:8, device in 7:3, function in 2:0.</summary>
    public readonly ushort BusDeviceFunction = busDeviceFunction;

    public PciAddress(ushort segment, byte bus, int device, int function) : this(segment, (ushort)(bus << 8 | device << 3 | function)) { }

    public byte Bus => (byte)(BusDeviceFunction >> 8);
    public byte Device => (byte)(BusDeviceFunction >> 3 & 0x1F);
    public byte Function => (byte)(BusDeviceFunction & 7);
}
