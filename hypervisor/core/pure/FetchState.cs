// The registers that decide which bytes a virtual processor executes, and how they are read.
using System.Runtime.CompilerServices;
using Lamina.X64.Decode;

namespace Lamina.Hypervisor.Core;

/// <summary>Copied at one moment; in few words, so that two of them are soon compared.</summary>
public unsafe struct FetchState
{
    private const ulong Cr0Pe = 1, RflagsVm = 1 << 17, EferLma = 1UL << 10 << 32;

    public ulong Rip;
    /// <summary>Of CS.</summary>
    public ulong CodeBase;
    public ulong Cr3;
    /// <summary>CR4 in bits 63:32, CR0 in 31:0.</summary>
    public ulong Controls;
    /// <summary>EFER in bits 63:32, RFLAGS.VM 17, CPL 9:8, CS.D 1, CS.L 0.</summary>
    public ulong Context;

    /// <param name="codeSize">CS.L, and CS.D above it, as descriptors have them.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Set(ulong cr0, ulong cr4, ulong efer, ulong rflags, byte cpl, uint codeSize)
    {
        Controls = cr4 << 32 | (uint)cr0;
        Context = efer << 32 | rflags & RflagsVm | (ulong)cpl << 8 | codeSize & 3;
    }

    public readonly ProcessorMode Mode
    {
        get
        {
            if ((Controls & Cr0Pe) == 0 || (Context & RflagsVm) != 0)
                return ProcessorMode.Real16;
            if ((Context & EferLma) != 0 && (Context & 1) != 0)
                return ProcessorMode.Long64;
            return (Context & 2) != 0 ? ProcessorMode.Protected32 : ProcessorMode.Protected16;
        }
    }

    /// <summary>CS:RIP as a linear address.</summary>
    public readonly ulong Linear => Mode == ProcessorMode.Long64 ? Rip : (uint)(Rip + CodeBase);

    /// <summary>Whether they are the same but for CR3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsAlike(FetchState* other) => (Rip ^ other->Rip | CodeBase ^ other->CodeBase | Context ^ other->Context | Controls ^ other->Controls) == 0;
}
