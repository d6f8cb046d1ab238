// A virtio device behind PCI, modern interface: reset, features, queues, configuration. Virtio 1.2, "Virtio Over PCI Bus".
using System;
using Lamina.Drivers.Bus.Pci;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Drivers.Bus.Virtio;

/// <summary>The transport of one device. Methods that can fail say why, in words for the log.</summary>
public unsafe struct VirtioPciDevice<THost> where THost : struct, IDriverHost
{
    public const ushort VendorId = 0x1AF4;
    public const ushort NoVector = 0xFFFF; // VIRTIO_MSI_NO_VECTOR
    private const ushort FirstModernDevice = 0x1040;
    private const ulong ResetPatience = 5_000_000; // 500 ms
    private const int ConfigurationTries = 16;
    private const ulong MappedAtMost = 1 << 20; // of one region; what lies beyond is of no use here

    // struct virtio_pci_common_cfg
    private const ulong DeviceFeatureSelect = 0x00, DeviceFeature = 0x04, DriverFeatureSelect = 0x08, DriverFeature = 0x0C;
    private const ulong ConfigMsixVector = 0x10, NumQueues = 0x12, DeviceStatus = 0x14, ConfigGeneration = 0x15;
    private const ulong QueueSelect = 0x16, QueueSize = 0x18, QueueMsixVector = 0x1A, QueueEnable = 0x1C, QueueNotifyOff = 0x1E;
    private const ulong QueueDesc = 0x20, QueueDriver = 0x28, QueueDevice = 0x30;

    private VirtioPciLayout layout;
    private ulong common, notify, device;
    private ulong messageTable;

    public PciFunction Function { get; private set; }

    /// <summary>Entries of the MSI-X table.</summary>
    public int MessageCount { get; private set; }

    /// <summary>Queues that the device says it has.</summary>
    public readonly ushort QueueCount => Mmio.Read16(common + NumQueues);

    /// <summary>Bytes of the device type's configuration.</summary>
    public readonly uint ConfigurationBytes => layout.Device.Length;

    /// <summary>Whether the function is a virtio device of a type: by its modern id, or by the one it had before version 1.0.</summary>
    public static bool Matches(in PciFunction function, ushort type, ushort transitionalId) =>
        function.VendorId == VendorId && (function.DeviceId == FirstModernDevice + type || function.DeviceId == transitionalId);

    /// <summary>Maps the registers and switches MSI-X on.</summary>
    public bool TryOpen(in PciFunction function, out ReadOnlySpan<byte> why)
    {
        Function = function;
        byte* configuration = stackalloc byte[VirtioPciLayout.ConfigurationBytes];
        for (int i = 0; i < VirtioPciLayout.ConfigurationBytes; i += 4) *(uint*)(configuration + i) = PciConfiguration.Read32(function.Address, i);
        why = "legacy interface only (virtio 0.9), or capabilities that make no sense"u8;
        if (!VirtioPciLayout.TryParse(new ReadOnlySpan<byte>(configuration, VirtioPciLayout.ConfigurationBytes), out layout)) return false;
        why = "its registers cannot be mapped"u8;
        if (!TryMap(layout.Common, out common) || !TryMap(layout.Notify, out notify)) return false;
        if (layout.Device.IsPresent && !TryMap(layout.Device, out device)) return false;
        function.Enable();
        MessageCount = PciMessages.CountMsiX(function);
        why = "no MSI-X"u8;
        return MessageCount != 0 && PciMessages.TryEnableMsiX<THost>(function, out messageTable);
    }

    /// <summary>Stops the device: it touches no memory and sends no message any more. False: it does not say so in time.</summary>
    public readonly bool TryReset()
    {
        Mmio.Write8(common + DeviceStatus, 0);
        ulong deadline = THost.Now + ResetPatience;
        while (Mmio.Read8(common + DeviceStatus) != 0)
        {
            if (THost.Now > deadline) return false;
            Instructions.Pause();
        }
        return true;
    }

    /// <summary>Agrees on what both sides can of <paramref name="wanted"/>; the device must have been reset.</summary>
    public readonly bool TryNegotiate(ulong wanted, out ulong agreed, out ReadOnlySpan<byte> why)
    {
        Mmio.Write8(common + DeviceStatus, VirtioStatus.ACKNOWLEDGE);
        Mmio.Write8(common + DeviceStatus, VirtioStatus.ACKNOWLEDGE | VirtioStatus.DRIVER);
        agreed = wanted & ReadFeatures();
        why = "no VIRTIO_F_VERSION_1"u8;
        if ((agreed & VirtioFeature.VIRTIO_F_VERSION_1) == 0) return false;
        Mmio.Write32(common + DriverFeatureSelect, 0);
        Mmio.Write32(common + DriverFeature, (uint)agreed);
        Mmio.Write32(common + DriverFeatureSelect, 1);
        Mmio.Write32(common + DriverFeature, (uint)(agreed >> 32));
        AddStatus(VirtioStatus.FEATURES_OK);
        why = "it does not accept the features"u8;
        return (Mmio.Read8(common + DeviceStatus) & VirtioStatus.FEATURES_OK) != 0;
    }

    /// <summary>Copies the beginning of the device type's configuration, all of it of one moment. False: there is less, or it changes all the time.</summary>
    public readonly bool TryReadConfiguration(byte* target, uint bytes)
    {
        if (bytes > layout.Device.Length) return false;
        for (int i = 0; i < ConfigurationTries; i++)
        {
            byte generation = Mmio.Read8(common + ConfigGeneration);
            uint at = 0;
            for (; at + 4 <= bytes; at += 4) *(uint*)(target + at) = Mmio.Read32(device + at);
            for (; at < bytes; at++) target[at] = Mmio.Read8(device + at);
            if (Mmio.Read8(common + ConfigGeneration) == generation) return true;
        }
        return false;
    }

    /// <summary>Has table entry <paramref name="vector"/> send <paramref name="message"/>.</summary>
    public readonly void SetMessage(ushort vector, InterruptMessage message) => PciMessages.SetMsiX(messageTable, vector, message);

    /// <summary>Changes of the configuration come as message <paramref name="vector"/>; false: the device has no room for that.</summary>
    public readonly bool TrySetConfigurationVector(ushort vector)
    {
        Mmio.Write16(common + ConfigMsixVector, vector);
        return Mmio.Read16(common + ConfigMsixVector) == vector;
    }

    /// <summary>Entries that the device allows for a queue; 0: it has no such queue.</summary>
    public readonly ushort ReadQueueSize(ushort queue)
    {
        Mmio.Write16(common + QueueSelect, queue);
        return Mmio.Read16(common + QueueSize);
    }

    /// <summary>Gives the device a queue, with its messages; <paramref name="doorbell"/> is where it is notified.</summary>
    public readonly bool TryEnableQueue(ushort queue, in VirtQueue ring, ushort vector, out VirtioDoorbell doorbell)
    {
        doorbell = default;
        Mmio.Write16(common + QueueSelect, queue);
        if (!layout.TryNotifyOffset(Mmio.Read16(common + QueueNotifyOff), out ulong offset) || offset + sizeof(ushort) > MappedAtMost) return false;
        Mmio.Write16(common + QueueSize, ring.Size);
        Mmio.Write16(common + QueueMsixVector, vector);
        if (Mmio.Read16(common + QueueMsixVector) != vector) return false;
        Write64(common + QueueDesc, ring.DescPhysical);
        Write64(common + QueueDriver, ring.DriverPhysical);
        Write64(common + QueueDevice, ring.DevicePhysical);
        Mmio.Write16(common + QueueEnable, 1);
        doorbell = new VirtioDoorbell(notify + offset, queue);
        return true;
    }

    /// <summary>From now on the device works.</summary>
    public readonly void Start() => AddStatus(VirtioStatus.DRIVER_OK);

    /// <summary>Tells the device that it has been given up.</summary>
    public readonly void GiveUp() => AddStatus(VirtioStatus.FAILED);

    public readonly byte ReadStatus() => Mmio.Read8(common + DeviceStatus);

    private readonly ulong ReadFeatures()
    {
        Mmio.Write32(common + DeviceFeatureSelect, 0);
        ulong features = Mmio.Read32(common + DeviceFeature);
        Mmio.Write32(common + DeviceFeatureSelect, 1);
        return features | (ulong)Mmio.Read32(common + DeviceFeature) << 32;
    }

    private readonly void AddStatus(byte bit) => Mmio.Write8(common + DeviceStatus, (byte)(Mmio.Read8(common + DeviceStatus) | bit));

    // 64-bit fields may be written as two halves, and some devices take nothing else.
    private static void Write64(ulong address, ulong value)
    {
        Mmio.Write32(address, (uint)value);
        Mmio.Write32(address + 4, (uint)(value >> 32));
    }

    private readonly bool TryMap(VirtioRegion region, out ulong address)
    {
        address = 0;
        if (!Function.TryReadBaseAddress(region.Bar, out PciBaseAddress register) || !register.IsMemory) return false;
        return region.End <= Function.MeasureBaseAddress(region.Bar)
            && THost.TryMapRegisters(register.Address + region.Offset, Math.Min(region.Length, MappedAtMost), MemoryType.Uncacheable, out address);
    }
}

/// <summary>Where a queue is notified.</summary>
public readonly struct VirtioDoorbell(ulong address, ushort queue) : IVirtioDoorbell
{
    public void Ring() => Mmio.Write16(address, queue);
}
