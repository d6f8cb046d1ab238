// Where a virtio device keeps its registers: its vendor capabilities, read out of a copy of its configuration space and checked.
// Virtio 1.2, "Virtio Structure PCI Capabilities".
using System;

namespace Lamina.Drivers.Bus.Virtio;

/// <summary>A piece of a memory base address; length 0: there is none.</summary>
public struct VirtioRegion
{
    public byte Bar;
    public uint Offset;
    public uint Length;

    public readonly bool IsPresent => Length != 0;
    public readonly ulong End => (ulong)Offset + Length;
}

/// <summary>The structures that a driver needs. Sizes of base addresses are not known here; whoever maps a region checks it against them.</summary>
public struct VirtioPciLayout
{
    public const int ConfigurationBytes = 256;

    /// <summary>Length of the common configuration up to queue_device.</summary>
    public const uint CommonBytes = 0x38;

    private const int CapabilitiesPointer = 0x34, FirstCapability = 0x40, CapabilityLimit = 48;
    private const byte VendorCapability = 0x09;
    private const int CfgType = 3, Bar = 4, Offset = 8, Length = 12, CapabilityBytes = 16, NotifyOffMultiplier = 16, NotifyCapabilityBytes = 20;
    private const byte VIRTIO_PCI_CAP_COMMON_CFG = 1, VIRTIO_PCI_CAP_NOTIFY_CFG = 2, VIRTIO_PCI_CAP_DEVICE_CFG = 4;
    private const byte LastBar = 5;

    public VirtioRegion Common;
    public VirtioRegion Notify;

    /// <summary>The device type's own configuration.</summary>
    public VirtioRegion Device;

    /// <summary>Bytes between the notification addresses of neighbouring queue_notify_off values; may be 0.</summary>
    public uint NotifyMultiplier;

    /// <summary>
    /// Reads the capabilities of <paramref name="configuration"/> (256 bytes). Of each kind the first that can be used counts. False:
    /// what a driver of the modern interface cannot do without is missing.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> configuration, out VirtioPciLayout layout)
    {
        layout = default;
        if (configuration.Length < ConfigurationBytes) return false;
        int at = configuration[CapabilitiesPointer] & ~3;
        for (int i = 0; i < CapabilityLimit && at >= FirstCapability; i++)
        {
            if (configuration[at] == VendorCapability) layout.Take(configuration, at);
            at = configuration[at + 1] & ~3;
        }
        return layout.Common.IsPresent && layout.Notify.IsPresent;
    }

    /// <summary>Where a queue is notified, from the beginning of the notification region; false if that lies outside of it.</summary>
    public readonly bool TryNotifyOffset(ushort queueNotifyOff, out ulong offset)
    {
        offset = (ulong)queueNotifyOff * NotifyMultiplier;
        return offset + sizeof(ushort) <= Notify.Length && (offset & 1) == 0;
    }

    private void Take(ReadOnlySpan<byte> configuration, int at)
    {
        int bytes = configuration[at + 2];
        if (bytes < CapabilityBytes || at + bytes > ConfigurationBytes || configuration[at + Bar] > LastBar) return;
        VirtioRegion region = new() { Bar = configuration[at + Bar], Offset = Read32(configuration, at + Offset), Length = Read32(configuration, at + Length) };
        switch (configuration[at + CfgType])
        {
            case VIRTIO_PCI_CAP_COMMON_CFG when !Common.IsPresent && region.Length >= CommonBytes && region.Offset % 4 == 0:
                Common = region;
                break;
            case VIRTIO_PCI_CAP_NOTIFY_CFG when !Notify.IsPresent && bytes >= NotifyCapabilityBytes && region.Length >= sizeof(ushort) && region.Offset % 2 == 0:
                Notify = region;
                NotifyMultiplier = Read32(configuration, at + NotifyOffMultiplier);
                break;
            case VIRTIO_PCI_CAP_DEVICE_CFG when !Device.IsPresent && region.Offset % 4 == 0:
                Device = region;
                break;
        }
    }

    private static uint Read32(ReadOnlySpan<byte> bytes, int at) => bytes[at] | (uint)bytes[at + 1] << 8 | (uint)bytes[at + 2] << 16 | (uint)bytes[at + 3] << 24;
}
