// The memory of core and root: reserved, filled with their images, written into the handover.
using System;
using Lamina.Abi;
using Lamina.Text;

namespace Lamina.Boot;

public static unsafe class ImageReservation
{
    private const ulong CorePoolBytes = 24 * 1024 * 1024;
    private const ulong RootRoomBytes = 8 * 1024 * 1024;

    /// <summary>Reserves both blocks and puts the images at their starts, zeros behind them. False: why has been said.</summary>
    public static bool TryReserve<TMemory>(ref TMemory memory, ref BootHandover handover, out PeImage core) where TMemory : struct, IBootMemory
    {
        ReadOnlySpan<byte> coreImage = EmbeddedImages.Core;
        ReadOnlySpan<byte> rootImage = EmbeddedImages.Root;
        if (!EmbeddedImages.TryRead(coreImage, "core"u8, BootPages.LargePageBytes, out core)
            || !EmbeddedImages.TryRead(rootImage, "root"u8, BootPages.PageBytes, out PeImage root)
            || !TryReserve(ref memory, "core"u8, core.SizeOfImage + CorePoolBytes, MemoryRangeType.Hypervisor, out handover.CoreMemoryPhysical, out handover.CoreMemorySize)
            || !TryReserve(ref memory, "root"u8, root.SizeOfImage + RootRoomBytes, MemoryRangeType.RootImage, out handover.RootMemoryPhysical, out handover.RootMemorySize))
        {
            return false;
        }
        handover.CoreImagePhysical = handover.CoreMemoryPhysical;
        handover.CoreImageSize = core.SizeOfImage;
        handover.RootImagePhysical = handover.RootMemoryPhysical;
        handover.RootImageSize = root.SizeOfImage;
        EmbeddedImages.Place(coreImage, handover.CoreMemoryPhysical, handover.CoreMemorySize);
        EmbeddedImages.Place(rootImage, handover.RootMemoryPhysical, handover.RootMemorySize);
        return true;
    }

    private static bool TryReserve<TMemory>(ref TMemory memory, ReadOnlySpan<byte> name, ulong bytes, uint type, out ulong address, out ulong size)
        where TMemory : struct, IBootMemory
    {
        size = BootPages.RoundUp(bytes, BootPages.LargePageBytes);
        bool reserved = memory.TryAllocateLarge(size, type, out address);
        TextWriter line = BootConsole.BeginLine();
        if (reserved)
        {
            line.Text("boot: "u8).Text(name).Text(" memory: "u8).Decimal(size >> 20).Text(" MiB at "u8).Hex(address);
        }
        else
        {
            line.Text("boot: out of memory: expected "u8).Decimal(size >> 20).Text(" MiB in one free piece for the "u8).Text(name);
        }
        BootConsole.WriteLine(ref line);
        return reserved;
    }
}
