// Names of PCI device classes. PCI Code and ID Assignment Specification, "Class Codes".
using System;

namespace Lamina.Drivers.Bus.Pci;

public static class PciClass
{
    /// <summary>A name for people; the unknown is "device".</summary>
    public static ReadOnlySpan<byte> NameOf(byte baseClass, byte subclass) => (baseClass << 8 | subclass) switch
    {
        0x0100 => "SCSI controller"u8,
        0x0101 => "IDE controller"u8,
        0x0106 => "AHCI controller"u8,
        0x0108 => "NVMe controller"u8,
        0x0200 => "Ethernet controller"u8,
        0x0300 => "VGA controller"u8,
        0x0380 => "display controller"u8,
        0x0401 or 0x0403 => "audio device"u8,
        0x0600 => "host bridge"u8,
        0x0601 => "ISA bridge"u8,
        0x0604 => "PCI bridge"u8,
        0x0680 => "bridge"u8,
        0x0780 => "communication controller"u8,
        0x0806 => "IOMMU"u8,
        0x0880 => "system peripheral"u8,
        0x0C03 => "USB controller"u8,
        0x0C05 => "SMBus controller"u8,
        0x00FF => "unclassified device"u8,
        _ => "device"u8,
    };
}
