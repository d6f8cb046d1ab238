// Feature bits and status bits that all virtio devices share. Virtio 1.2, "Reserved Feature Bits", "Device Status Field".

namespace Lamina.Drivers.Bus.Virtio;

/// <summary>Masks over the 64 feature bits.</summary>
public static class VirtioFeature
{
    public const ulong VIRTIO_F_INDIRECT_DESC = 1UL << 28;
    public const ulong VIRTIO_F_EVENT_IDX = 1UL << 29;
    public const ulong VIRTIO_F_VERSION_1 = 1UL << 32;
    /// <summary>The device's addresses go through the platform's IOMMU; here they are physical either way.</summary>
    public const ulong VIRTIO_F_ACCESS_PLATFORM = 1UL << 33;
    public const ulong VIRTIO_F_ORDER_PLATFORM = 1UL << 36;

    /// <summary>What transport and queues understand.</summary>
    public const ulong Transport = VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_ORDER_PLATFORM;
}

/// <summary>Bits of the device status.</summary>
public static class VirtioStatus
{
    public const byte ACKNOWLEDGE = 1;
    public const byte DRIVER = 2;
    public const byte DRIVER_OK = 4;
    public const byte FEATURES_OK = 8;
    public const byte DEVICE_NEEDS_RESET = 64;
    public const byte FAILED = 128;
}
