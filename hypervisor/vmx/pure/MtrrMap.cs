// Memory types by the machine's MTRRs. SDM 3A, "Memory Type Range Registers (MTRRs)".
using System;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Vmx;

/// <summary>The registers, as read; zero is "disabled": all memory uncacheable.</summary>
public unsafe struct MtrrMap
{
    public const int MaximumVariable = 32, FixedRegisters = 11;
    private const ulong Enable = 1 << 11, FixedEnable = 1 << 10, RangeValid = 1 << 11;
    private const ulong FixedEnd = 0x100000, Fixed16K = 0x80000, Fixed4K = 0xC0000;

    public ulong DefType;
    /// <summary>IA32_MTRR_PHYSBASEn and IA32_MTRR_PHYSMASKn.</summary>
    public fixed ulong Base[MaximumVariable];
    public fixed ulong Mask[MaximumVariable];
    public int VariableCount;
    /// <summary>One of 64 KiB pieces, two of 16 KiB, eight of 4 KiB.</summary>
    public fixed ulong Fixed[FixedRegisters];
    /// <summary>Mask of the physical addresses that the processor has.</summary>
    public ulong AddressMask;

    /// <summary>Type at a page's address, and where the next piece begins that may have another.</summary>
    public readonly MemoryType TypeAt(ulong address, out ulong end)
    {
        end = AddressMask + 1;
        if ((DefType & Enable) == 0)
            return MemoryType.Uncacheable;
        if (address < FixedEnd && (DefType & FixedEnable) != 0)
            return FixedTypeAt(address, out end);
        if (address < FixedEnd)
            end = FixedEnd;
        bool matched = false;
        MemoryType type = (MemoryType)(DefType & 0xFF);
        for (int i = 0; i < VariableCount; i++)
        {
            if ((Mask[i] & RangeValid) == 0)
                continue;
            if (!Covers(i, address, out ulong boundary))
                end = Math.Min(end, boundary);
            else
            {
                end = Math.Min(end, boundary);
                MemoryType own = (MemoryType)(Base[i] & 0xFF);
                type = matched ? Combine(type, own) : own;
                matched = true;
            }
        }
        return type;
    }

    /// <summary>Uncacheable wins, write-through beats write-back; other overlaps are undefined and taken for uncacheable.</summary>
    private static MemoryType Combine(MemoryType a, MemoryType b)
    {
        if (a == b)
            return a;
        bool known = a is MemoryType.WriteThrough or MemoryType.WriteBack && b is MemoryType.WriteThrough or MemoryType.WriteBack;
        return known ? MemoryType.WriteThrough : MemoryType.Uncacheable;
    }

    private readonly bool Covers(int range, ulong address, out ulong boundary)
    {
        ulong mask = Mask[range] & AddressMask & ~0xFFFUL, start = Base[range] & mask, piece = mask & (0 - mask);
        if (mask == 0)
        {
            boundary = AddressMask + 1; // everything
            return true;
        }
        bool covers = (address & mask) == start;
        bool isContiguous = (mask | piece - 1) == AddressMask;
        if (!isContiguous || covers)
            boundary = (address | piece - 1) + 1;
        else
            boundary = address < start ? start : AddressMask + 1;
        return covers;
    }

    private readonly MemoryType FixedTypeAt(ulong address, out ulong end)
    {
        ulong piece = address < Fixed16K ? 0x10000UL : address < Fixed4K ? 0x4000UL : 0x1000UL;
        ulong index = address < Fixed16K ? address >> 16 : address < Fixed4K ? 8 + (address - Fixed16K >> 14) : 24 + (address - Fixed4K >> 12);
        end = (address | piece - 1) + 1;
        return (MemoryType)(Fixed[index >> 3] >> (int)((index & 7) * 8) & 0xFF);
    }
}
