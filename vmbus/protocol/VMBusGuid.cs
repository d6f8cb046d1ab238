// GUIDs as they lie in messages, and those of the device classes.

using System.Runtime.InteropServices;

namespace Lamina.VMBus;

/// <summary>16 bytes: the first three groups little-endian, the last two as printed.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16, Pack = 4)]
public readonly struct VMBusGuid
{
    [FieldOffset(0)] public readonly ulong Low;
    [FieldOffset(8)] public readonly ulong High;

    public VMBusGuid(ulong low, ulong high)
    {
        Low = low;
        High = high;
    }

    /// <summary>From the printed groups; the last two together are <paramref name="d"/> (16 digits).</summary>
    public VMBusGuid(uint a, ushort b, ushort c, ulong d)
    {
        Low = a | (ulong)b << 32 | (ulong)c << 48;
        ulong reversed = 0;
        for (int i = 0; i < 8; i++) reversed = reversed << 8 | (d >> i * 8 & 0xFF);
        High = reversed;
    }

    public bool Matches(VMBusGuid other) => Low == other.Low && High == other.High;
}

/// <summary>Interface types of the synthetic devices. Source: Linux, "include/linux/hyperv.h".</summary>
public static class DeviceClasses
{
    public static VMBusGuid Network => new(0xf8615163, 0xdf3e, 0x46c5, 0x913ff2d2f965ed0e);
    public static VMBusGuid Ide => new(0x32412632, 0x86cb, 0x44a2, 0x9b5c50d1417354f5);
    public static VMBusGuid Scsi => new(0xba6163d9, 0x04a1, 0x4d29, 0xb60572e2ffb1dc7f);
    public static VMBusGuid FibreChannel => new(0x2f9bcc4a, 0x0069, 0x4af3, 0xb76b6fd0be528cda);
    public static VMBusGuid Shutdown => new(0x0e0b6031, 0x5213, 0x4934, 0x818b38d90ced39db);
    public static VMBusGuid TimeSynchronization => new(0x9527e630, 0xd0ae, 0x497b, 0xadcee80ab0175caf);
    public static VMBusGuid Heartbeat => new(0x57164f39, 0x9115, 0x4e78, 0xab55382f3bd5422d);
    public static VMBusGuid KeyValuePairs => new(0xa9a0f4e7, 0x5a45, 0x4d96, 0xb8278a841e8c03e6);
    public static VMBusGuid VolumeShadowCopy => new(0x35fa2e29, 0xea23, 0x4236, 0x96ae3a6ebacba440);
    public static VMBusGuid FileCopy => new(0x34d14be3, 0xdee4, 0x41c8, 0x9ae76b174977c192);
    public static VMBusGuid DynamicMemory => new(0x525074dc, 0x8985, 0x46e2, 0x8057a307dc18a502);
    public static VMBusGuid Mouse => new(0xcfa8b69e, 0x5b4a, 0x4cc0, 0xb98b8ba1a1f3f95a);
    public static VMBusGuid Keyboard => new(0xf912ad6d, 0x2b17, 0x48ea, 0xbd65f927a61c7684);
    public static VMBusGuid Video => new(0xda0a7802, 0xe377, 0x4aac, 0x8e770558eb1073f8);
    public static VMBusGuid PciExpress => new(0x44c4f61d, 0x4444, 0x4400, 0x9d52802e27ede19f);
}
