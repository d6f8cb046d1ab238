// The state in which a guest's first processor starts, in the terms of HvCallSetVpRegisters.
using System.Runtime.InteropServices;

namespace Lamina.Root.Loader;

/// <summary>Laid out and encoded as HV_X64_SEGMENT_REGISTER. Source: TLFS, "Virtual Processor Register Formats".</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SegmentState
{
    public ulong Base;
    /// <summary>In bytes, granularity already applied.</summary>
    public uint Limit;
    public ushort Selector;
    /// <summary>Type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15.</summary>
    public ushort Attributes;

    public SegmentState(ushort selector, ulong @base, uint limit, ushort attributes)
    {
        Selector = selector;
        Base = @base;
        Limit = limit;
        Attributes = attributes;
    }
}

public enum StartMode : byte { Protected32, Long64 }

/// <summary>Registers not named here start as zero; the other processors wait for INIT-SIPI.</summary>
public struct InitialRegisters
{
    public StartMode Mode;
    public ulong Rip, Rsp, Rax, Rbx, Rsi, RFlags;
    public ulong Cr0, Cr3, Cr4, Efer;
    public ulong GdtBase, IdtBase;
    public ushort GdtLimit, IdtLimit;
    public SegmentState Cs, Ds, Es, Fs, Gs, Ss, Tr, Ldtr;

    private const ushort Code64 = 0xA09B, Code32 = 0xC09B, Data32 = 0xC093, BusyTss = 0x008B, Ldt = 0x0082;
    private const ulong Cr0Pe = 1, Cr0Et = 1 << 4, Cr0Pg = 1UL << 31, Cr4Pae = 1 << 5, EferLme = 1 << 8, EferLma = 1 << 10;

    /// <summary>32-bit protected mode, paging off, flat segments.</summary>
    public static InitialRegisters CreateProtected32(ulong entry, ulong stack)
    {
        InitialRegisters registers = Create(entry, stack, BootLayout.CodeSelector32, Code32);
        registers.Mode = StartMode.Protected32;
        registers.Cr0 = Cr0Pe | Cr0Et;
        return registers;
    }

    /// <summary>Long mode on the identity page tables of <see cref="BootLayout"/>.</summary>
    public static InitialRegisters CreateLong64(ulong entry, ulong stack)
    {
        InitialRegisters registers = Create(entry, stack, BootLayout.CodeSelector64, Code64);
        registers.Mode = StartMode.Long64;
        registers.Cr0 = Cr0Pe | Cr0Et | Cr0Pg;
        registers.Cr3 = BootLayout.PageTables;
        registers.Cr4 = Cr4Pae;
        registers.Efer = EferLme | EferLma;
        return registers;
    }

    private static InitialRegisters Create(ulong entry, ulong stack, ushort codeSelector, ushort codeAttributes)
    {
        SegmentState data = new(BootLayout.DataSelector, 0, uint.MaxValue, Data32);
        return new InitialRegisters
        {
            Rip = entry,
            Rsp = stack,
            RFlags = 2, // bit 1 always reads as one; interrupts are off
            Cs = new SegmentState(codeSelector, 0, uint.MaxValue, codeAttributes),
            Ds = data, Es = data, Fs = data, Gs = data, Ss = data,
            // Both vendors want a busy TSS in TR before they enter a guest in protected or long mode.
            Tr = new SegmentState(BootLayout.TssSelector, BootLayout.Tss, BootLayout.TssLimit, BusyTss),
            Ldtr = new SegmentState(0, 0, 0xFFFF, Ldt),
            GdtBase = BootLayout.Gdt,
            GdtLimit = BootLayout.GdtLimit,
            IdtLimit = 0xFFFF,
        };
    }
}
