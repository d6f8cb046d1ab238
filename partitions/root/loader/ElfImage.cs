// An ELF file as a loader sees it: header, loadable segments and notes, each checked against the file's size.
// Source: System V ABI, "Object Files" and "Program Loading".
using System;
using Lamina.Root.Devices;
using Lamina.Text;

namespace Lamina.Root.Loader;

internal struct ElfSegment
{
    public uint Type;
    public ulong FileOffset, FileSize, VirtualAddress, PhysicalAddress, MemorySize;

    public readonly bool IsLoaded => Type == ElfImage.PtLoad && MemorySize != 0;
    public readonly bool HoldsPhysical(ulong address) => IsLoaded && address >= PhysicalAddress && address - PhysicalAddress < MemorySize;
    public readonly bool HoldsVirtual(ulong address) => IsLoaded && address >= VirtualAddress && address - VirtualAddress < MemorySize;
}

/// <summary>32- and 64-bit images for x86 processors.</summary>
internal ref struct ElfImage
{
    public const uint PtLoad = 1, PtNote = 4;
    public const int MaxSegments = 64;

    private const int Machine386 = 3, MachineX64 = 62, MaxNoteBytes = 1 << 16;

    private ReadOnlySpan<byte> _file;
    private bool _is64;
    private int _headers, _headerSize;

    public ulong Entry;
    public int SegmentCount;

    public static bool HasMagic(ReadOnlySpan<byte> file) => file.Length >= 4 && file[0] == 0x7F && file[1] == 'E' && file[2] == 'L' && file[3] == 'F';

    /// <summary>Checks the header and that the segment table lies in the file. False with one line in <paramref name="error"/>.</summary>
    public static bool TryOpen(ReadOnlySpan<byte> file, out ElfImage image, ref TextWriter error)
    {
        image = default;
        image._file = file;
        if (!HasMagic(file) || file.Length < 64 || file[4] is not (1 or 2)) { error.Text("kernel: not a whole ELF header"u8); return false; }
        image._is64 = file[4] == 2;
        int machine = file.U16(18);
        if (file[5] != 1 || machine is not (Machine386 or MachineX64)) { error.Text("kernel: an ELF for processor type "u8).Decimal((ulong)machine).Text(", expected x86 (3 or 62)"u8); return false; }
        image.Entry = image._is64 ? file.U64(24) : file.U32(24);
        ulong headers = image._is64 ? file.U64(32) : file.U32(28);
        int size = file.U16(image._is64 ? 54 : 42), count = file.U16(image._is64 ? 56 : 44);
        image._headerSize = image._is64 ? 56 : 32;
        if (size != image._headerSize || count is 0 or > MaxSegments)
        {
            error.Text("kernel: an ELF with "u8).Decimal((ulong)count).Text(" program headers of "u8).Decimal((ulong)size).Text(" bytes, expected 1 to 64 of "u8).Decimal((ulong)image._headerSize);
            return false;
        }
        if (!file.Holds(headers, (ulong)(size * count))) { error.Text("kernel: truncated: its ELF program headers end beyond the file"u8); return false; }
        image._headers = (int)headers;
        image.SegmentCount = count;
        return true;
    }

    /// <summary>Segment <paramref name="index"/> as the file states it; only the loader below checks where it goes.</summary>
    public readonly ElfSegment Segment(int index)
    {
        int at = _headers + index * _headerSize;
        return _is64
            ? new ElfSegment { Type = _file.U32(at), FileOffset = _file.U64(at + 8), VirtualAddress = _file.U64(at + 16), PhysicalAddress = _file.U64(at + 24), FileSize = _file.U64(at + 32), MemorySize = _file.U64(at + 40) }
            : new ElfSegment { Type = _file.U32(at), FileOffset = _file.U32(at + 4), VirtualAddress = _file.U32(at + 8), PhysicalAddress = _file.U32(at + 12), FileSize = _file.U32(at + 16), MemorySize = _file.U32(at + 20) };
    }

    /// <summary>Whether a loaded segment covers this guest-physical address.</summary>
    public readonly bool Loads(ulong address)
    {
        for (int i = 0; i < SegmentCount; i++) if (Segment(i).HoldsPhysical(address)) return true;
        return false;
    }

    /// <summary>The content of a note of this owner and type, as a number of 4 or 8 bytes.</summary>
    public readonly bool TryFindNumber(ReadOnlySpan<byte> owner, uint type, out ulong value)
    {
        value = 0;
        for (int i = 0; i < SegmentCount; i++)
        {
            ElfSegment segment = Segment(i);
            if (segment.Type != PtNote || segment.FileSize > MaxNoteBytes || !_file.Holds(segment.FileOffset, segment.FileSize)) continue;
            if (TryFindNumber(_file.Slice((int)segment.FileOffset, (int)segment.FileSize), owner, type, out value)) return true;
        }
        return false;
    }

    // A note is three words (length of name, length of content, type), then both, each padded to four bytes.
    private static bool TryFindNumber(ReadOnlySpan<byte> notes, ReadOnlySpan<byte> owner, uint type, out ulong value)
    {
        value = 0;
        ulong at = 0;
        while (notes.Holds(at, 12))
        {
            uint nameSize = notes.U32((int)at), size = notes.U32((int)at + 4);
            ulong name = at + 12, content = name + (nameSize + 3UL & ~3UL);
            if (!notes.Holds(name, nameSize) || !notes.Holds(content, size)) return false;
            bool sameOwner = nameSize == (uint)owner.Length + 1 && notes.Slice((int)name, owner.Length).SequenceEqual(owner);
            if (sameOwner && notes.U32((int)at + 8) == type && size is 4 or 8)
            {
                value = size == 4 ? notes.U32((int)content) : notes.U64((int)content);
                return true;
            }
            at = content + (size + 3UL & ~3UL);
        }
        return false;
    }

    /// <summary>Copies every loaded segment to its physical address. <paramref name="end"/> is where the highest one ends.</summary>
    public readonly bool TryLoad(in LoadRequest request, out ulong end, ref TextWriter error)
    {
        end = 0;
        // All are checked before the first is copied.
        for (int i = 0; i < SegmentCount; i++)
        {
            ElfSegment segment = Segment(i);
            if (!segment.IsLoaded) continue;
            if (!TryCheck(request, segment, i, ref error)) return false;
            end = Math.Max(end, segment.PhysicalAddress + segment.MemorySize);
        }
        if (end == 0) { error.Text("kernel: an ELF without anything to load"u8); return false; }
        for (int i = 0; i < SegmentCount; i++)
        {
            ElfSegment segment = Segment(i);
            if (!segment.IsLoaded) continue;
            request.Memory.TryCopyIn(segment.PhysicalAddress, _file.Slice((int)segment.FileOffset, (int)segment.FileSize));
            request.Memory.TryZero(segment.PhysicalAddress + segment.FileSize, segment.MemorySize - segment.FileSize);
        }
        return true;
    }

    private readonly bool TryCheck(in LoadRequest request, in ElfSegment segment, int index, ref TextWriter error)
    {
        ulong start = segment.PhysicalAddress, end = start + segment.MemorySize;
        if (segment.FileSize > segment.MemorySize || !_file.Holds(segment.FileOffset, segment.FileSize))
        {
            error.Text("kernel: truncated: ELF segment "u8).Decimal((ulong)index).Text(" has "u8).Decimal(segment.FileSize).Text(" bytes at "u8).Hex(segment.FileOffset).Text(", the file has "u8).Decimal((ulong)_file.Length);
            return false;
        }
        if (start < BootLayout.KernelFloor || end < start || end > GuestMemory.HoleStart)
        {
            error.Text("kernel: ELF segment "u8).Decimal((ulong)index).Text(" goes to "u8).Hex(start).Text(", expected from 1 MiB to 3 GiB"u8);
            return false;
        }
        for (int i = 0; i < index; i++)
        {
            ElfSegment other = Segment(i);
            if (!other.IsLoaded || start >= other.PhysicalAddress + other.MemorySize || other.PhysicalAddress >= end) continue;
            error.Text("kernel: ELF segments "u8).Decimal((ulong)i).Text(" and "u8).Decimal((ulong)index).Text(" overlap"u8);
            return false;
        }
        return end <= request.Memory.LowEnd || Placement.RefuseForMemory(request, end, ref error);
    }
}
