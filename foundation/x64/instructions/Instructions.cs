// The processor's instructions that C# cannot say; each is one NASM stub of instructions.asm.
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Lamina.X64;

/// <summary>One method an instruction, named for it. All run at CPL 0; faults are the caller's own.</summary>
public static unsafe class Instructions
{
    [RuntimeImport("*", "x64_in8"), MethodImpl(MethodImplOptions.InternalCall)] public static extern byte In8(ushort port);
    [RuntimeImport("*", "x64_in16"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ushort In16(ushort port);
    [RuntimeImport("*", "x64_in32"), MethodImpl(MethodImplOptions.InternalCall)] public static extern uint In32(ushort port);
    [RuntimeImport("*", "x64_out8"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Out8(ushort port, byte value);
    [RuntimeImport("*", "x64_out16"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Out16(ushort port, ushort value);
    [RuntimeImport("*", "x64_out32"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Out32(ushort port, uint value);
    [RuntimeImport("*", "x64_rdmsr"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong RdMsr(uint msr);
    [RuntimeImport("*", "x64_wrmsr"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WrMsr(uint msr, ulong value);
    /// <summary>Four words: EAX, EBX, ECX, EDX.</summary>
    [RuntimeImport("*", "x64_cpuid"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Cpuid(uint leaf, uint subleaf, uint* registers);
    /// <summary>CPUID on general registers in encoding order, of which RAX, RCX, RDX and RBX are written; the subleaf is in RCX.</summary>
    [RuntimeImport("*", "x64_cpuid_in_place"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void CpuidInPlace(ulong* registers, uint leaf);
    [RuntimeImport("*", "x64_rdtsc"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong RdTsc();
    /// <summary>RDTSC after LFENCE.</summary>
    [RuntimeImport("*", "x64_rdtsc_ordered"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong RdTscOrdered();
    [RuntimeImport("*", "x64_read_cr0"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadCr0();
    [RuntimeImport("*", "x64_write_cr0"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteCr0(ulong value);
    [RuntimeImport("*", "x64_read_cr2"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadCr2();
    [RuntimeImport("*", "x64_write_cr2"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteCr2(ulong value);
    [RuntimeImport("*", "x64_read_cr3"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadCr3();
    [RuntimeImport("*", "x64_write_cr3"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteCr3(ulong value);
    [RuntimeImport("*", "x64_read_cr4"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadCr4();
    [RuntimeImport("*", "x64_write_cr4"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteCr4(ulong value);
    [RuntimeImport("*", "x64_read_cr8"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadCr8();
    [RuntimeImport("*", "x64_write_cr8"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteCr8(ulong value);
    /// <summary>DR0 to DR3 into four words.</summary>
    [RuntimeImport("*", "x64_read_debug_addresses"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void ReadDebugAddresses(ulong* addresses);
    /// <summary>DR0 to DR3 from four words.</summary>
    [RuntimeImport("*", "x64_write_debug_addresses"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteDebugAddresses(ulong* addresses);
    [RuntimeImport("*", "x64_read_dr0"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadDr0();
    [RuntimeImport("*", "x64_write_dr0"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteDr0(ulong value);
    [RuntimeImport("*", "x64_read_dr1"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadDr1();
    [RuntimeImport("*", "x64_write_dr1"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteDr1(ulong value);
    [RuntimeImport("*", "x64_read_dr2"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadDr2();
    [RuntimeImport("*", "x64_write_dr2"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteDr2(ulong value);
    [RuntimeImport("*", "x64_read_dr3"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadDr3();
    [RuntimeImport("*", "x64_write_dr3"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteDr3(ulong value);
    [RuntimeImport("*", "x64_read_dr6"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadDr6();
    [RuntimeImport("*", "x64_write_dr6"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteDr6(ulong value);
    [RuntimeImport("*", "x64_read_dr7"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadDr7();
    [RuntimeImport("*", "x64_write_dr7"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WriteDr7(ulong value);
    [RuntimeImport("*", "x64_xgetbv"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong XGetBv(uint register);
    [RuntimeImport("*", "x64_xsetbv"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void XSetBv(uint register, ulong value);
    [RuntimeImport("*", "x64_xsave"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void XSave(void* area, ulong components);
    [RuntimeImport("*", "x64_xrstor"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void XRstor(void* area, ulong components);
    [RuntimeImport("*", "x64_fxsave"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void FxSave(void* area);
    [RuntimeImport("*", "x64_fxrstor"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void FxRstor(void* area);
    [RuntimeImport("*", "x64_invlpg"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void InvLpg(ulong address);
    [RuntimeImport("*", "x64_wbinvd"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void WbInvd();
    [RuntimeImport("*", "x64_cli"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Cli();
    [RuntimeImport("*", "x64_sti"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Sti();
    [RuntimeImport("*", "x64_hlt"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Hlt();
    /// <summary>Enables interrupts and halts with no gap between; returns after an interrupt was handled.</summary>
    [RuntimeImport("*", "x64_sti_hlt"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void StiHlt();
    /// <summary>MFENCE and LFENCE: what was stored before is seen by all before anything that follows happens.</summary>
    [RuntimeImport("*", "x64_fence"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Fence();
    [RuntimeImport("*", "x64_pause"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Pause();
    [RuntimeImport("*", "x64_int3"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Int3();
    [RuntimeImport("*", "x64_read_flags"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong ReadFlags();
    /// <summary>Operand: 10 bytes, limit then base.</summary>
    [RuntimeImport("*", "x64_lgdt"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Lgdt(void* operand);
    [RuntimeImport("*", "x64_lidt"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Lidt(void* operand);
    [RuntimeImport("*", "x64_sgdt"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Sgdt(void* operand);
    [RuntimeImport("*", "x64_sidt"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Sidt(void* operand);
    [RuntimeImport("*", "x64_ltr"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Ltr(ushort selector);
    [RuntimeImport("*", "x64_lldt"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void Lldt(ushort selector);
    [RuntimeImport("*", "x64_str"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ushort Str();
    /// <summary>Reloads CS, DS, ES, SS after LGDT; FS and GS become null.</summary>
    [RuntimeImport("*", "x64_load_segments"), MethodImpl(MethodImplOptions.InternalCall)] public static extern void LoadSegments(ushort code, ushort data);
    /// <summary>High 64 bits of the product.</summary>
    [RuntimeImport("*", "x64_multiply_high"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong MultiplyHigh(ulong a, ulong b);
    /// <summary>Quotient of (high:low) / divisor; <paramref name="high"/> must be below the divisor.</summary>
    [RuntimeImport("*", "x64_divide_128"), MethodImpl(MethodImplOptions.InternalCall)] public static extern ulong Divide128(ulong high, ulong low, ulong divisor);
}
