// What the machine must have, feature by feature, before the core takes it over.
using System;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe class Preflight
{
    private const uint EdxTsc = 1 << 4, EdxMsr = 1 << 5, EdxApic = 1 << 9, EdxPge = 1 << 13, EdxPat = 1 << 16, EdxFxsr = 1 << 24, EdxSse2 = 1 << 26;
    private const uint ExtEdxNx = 1 << 20, ExtEdxLongMode = 1 << 29;

    /// <summary>One word of a leaf (0 EAX to 3 EDX), 0 when the processor does not have the leaf.</summary>
    public static uint ReadLeaf(uint leaf, int word)
    {
        uint* registers = stackalloc uint[4];
        Instructions.Cpuid(leaf & 0x80000000, 0, registers);
        if (registers[0] < leaf)
            return 0;
        Instructions.Cpuid(leaf, 0, registers);
        return registers[word];
    }

    public static bool HasLeafBit(uint leaf, int word, uint mask) => (ReadLeaf(leaf, word) & mask) == mask;

    /// <summary>Whether the "processor" is QEMU's TCG ("TCGTCGTCGTCG").</summary>
    public static bool IsEmulatedByTcg
    {
        get
        {
            uint* registers = stackalloc uint[4];
            Instructions.Cpuid(0x40000000, 0, registers);
            return HasLeafBit(1, 2, 1u << 31) && registers[1] == 0x54474354 && registers[2] == 0x43544743 && registers[3] == 0x47435447;
        }
    }

    /// <summary>Says one line about one feature; returns whether it is there.</summary>
    public static bool Require(ReadOnlySpan<byte> feature, bool present)
    {
        byte* buffer = stackalloc byte[160];
        TextWriter line = new(buffer, 160);
        line.Text("require "u8).Text(feature).Text(present ? ": yes"u8 : ": MISSING"u8);
        DebugConsole.Line(line.Written);
        return present;
    }

    /// <summary>What either vendor's backend builds on.</summary>
    public static bool CheckProcessor()
    {
        bool complete = true;
        complete &= Require("TSC, MSRs, local APIC, PAT, global pages (CPUID 1 EDX)"u8, HasLeafBit(1, 3, EdxTsc | EdxMsr | EdxApic | EdxPge | EdxPat));
        complete &= Require("FXSR and SSE2 (CPUID 1 EDX)"u8, HasLeafBit(1, 3, EdxFxsr | EdxSse2));
        complete &= Require("long mode and no-execute (CPUID 80000001 EDX)"u8, HasLeafBit(0x80000001, 3, ExtEdxNx | ExtEdxLongMode));
        return complete;
    }

    /// <summary>Whether pages of 1 GiB can be mapped, by the processor's tables and, on either vendor, by the second stage.</summary>
    public static bool HasPages1G => HasLeafBit(0x80000001, 3, 1 << 26);
}
