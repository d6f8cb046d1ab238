// One descriptor of a split virtqueue. Virtio 1.2, "The Virtqueue Descriptor Table".
using System.Runtime.InteropServices;

namespace Lamina.Drivers.Bus.Virtio;

/// <summary>16 bytes, as the device reads them; little-endian.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VirtqDesc
{
    public const ushort VIRTQ_DESC_F_NEXT = 1, VIRTQ_DESC_F_WRITE = 2, VIRTQ_DESC_F_INDIRECT = 4;

    public ulong Addr;
    public uint Len;
    public ushort Flags;
    public ushort Next;
}
