// What every loader is given, and the two things that all of them do alike: place an initrd, name a lack of memory.
using System;
using Lamina.Root.Devices;
using Lamina.Text;

namespace Lamina.Root.Loader;

/// <summary>One guest to load. The files are the user's, hence unchecked; the memory is zeroed RAM of the guest.</summary>
public ref struct LoadRequest
{
    public ReadOnlySpan<byte> Kernel;
    /// <summary>The kernel's file name: the first word of a Multiboot command line.</summary>
    public ReadOnlySpan<byte> KernelName;
    /// <summary>Empty when there is none.</summary>
    public ReadOnlySpan<byte> Initrd;
    public ReadOnlySpan<byte> CommandLine;
    public GuestMemory Memory;
    /// <summary>Guest-physical address of the RSDP; 0 when there are no ACPI tables.</summary>
    public ulong AcpiRsdp;
}

internal static class Placement
{
    public const ulong PageMask = 0xFFF;

    /// <summary>Copies the initrd as high as possible below <paramref name="ceiling"/>, page-aligned, in the RAM below the hole and above the kernel.</summary>
    public static bool TryPlaceInitrd(in LoadRequest request, ulong kernelEnd, ulong ceiling, out ulong gpa, ref TextWriter error)
    {
        gpa = 0;
        ulong size = (ulong)request.Initrd.Length, top = Math.Min(request.Memory.LowEnd, ceiling);
        if (size == 0) return true;
        if (size <= top) gpa = top - size & ~PageMask;
        if (gpa >= kernelEnd && gpa >= BootLayout.KernelFloor && request.Memory.TryCopyIn(gpa, request.Initrd)) return true;
        error.Text("initrd: its "u8).Mebibytes(size).Text(" do not fit beside the kernel, the VM has "u8).Mebibytes(request.Memory.TotalLength);
        return false;
    }

    /// <summary>Reports that RAM would have to reach up to <paramref name="end"/>. Always false.</summary>
    public static bool RefuseForMemory(in LoadRequest request, ulong end, ref TextWriter error)
    {
        error.Text("kernel: needs "u8).Mebibytes(end).Text(", the VM has "u8).Mebibytes(request.Memory.TotalLength);
        return false;
    }

    /// <summary>Writes a size, rounded up to whole MiB.</summary>
    public static ref TextWriter Mebibytes(this ref TextWriter writer, ulong bytes) =>
        ref writer.Decimal((bytes >> 20) + ((bytes & 0xFFFFF) != 0 ? 1UL : 0)).Text(" MiB"u8);
}

/// <summary>Little-endian fields of a file. The caller has checked that they lie inside it.</summary>
internal static class FileBytes
{
    public static ushort U16(this ReadOnlySpan<byte> file, int offset) => (ushort)(file[offset] | file[offset + 1] << 8);
    public static uint U32(this ReadOnlySpan<byte> file, int offset) => U16(file, offset) | (uint)U16(file, offset + 2) << 16;
    public static ulong U64(this ReadOnlySpan<byte> file, int offset) => U32(file, offset) | (ulong)U32(file, offset + 4) << 32;

    /// <summary>Whether <paramref name="length"/> bytes from <paramref name="offset"/> on lie inside the file.</summary>
    public static bool Holds(this ReadOnlySpan<byte> file, ulong offset, ulong length) =>
        offset <= (ulong)file.Length && length <= (ulong)file.Length - offset;
}
