// The core's own GDT and TSS, one of each a processor, and the IDT that all share.
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>SDM 3A, "Segment Descriptors", "Interrupt Descriptor Table (IDT)", "64-Bit Mode TSS".</summary>
public unsafe struct HostTables
{
    public const ushort CodeSelector = 0x08, DataSelector = 0x10, TaskSelector = 0x18;
    private const ulong CodeDescriptor = 0x00AF9B000000FFFF, DataDescriptor = 0x00CF93000000FFFF;
    private const ulong InterruptGate = 0x8E00UL << 32;
    private const int EntrySize = 16, TaskBytes = 104, GdtEntries = 6;

    private fixed ulong gdt[GdtEntries];
    private fixed byte task[TaskBytes];

    private struct Gates { public fixed ulong Words[512]; }
    private static class Storage { internal static Gates Idt; }

    [RuntimeImport("*", "core_interrupt_entries_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong EntriesAddress();

    /// <summary>Base of the TSS that the task register holds.</summary>
    public static ulong TaskBaseOf(HostTables* tables) => (ulong)tables->task;

    /// <summary>Fills the gates; once, before the first <see cref="Load"/>.</summary>
    public static void InitializeGates()
    {
        ulong entries = EntriesAddress();
        for (int vector = 0; vector < 256; vector++)
        {
            ulong entry = entries + (ulong)(vector * EntrySize);
            Storage.Idt.Words[2 * vector] = entry & 0xFFFF | (ulong)CodeSelector << 16 | InterruptGate | (entry >> 16 & 0xFFFF) << 48;
            Storage.Idt.Words[2 * vector + 1] = entry >> 32;
        }
    }

    /// <summary>Makes a processor's tables, and that processor, which executes this, use them.</summary>
    public static void Load(HostTables* tables)
    {
        ulong task = (ulong)tables->task;
        *(ushort*)(tables->task + 102) = TaskBytes; // no I/O permission map
        tables->gdt[1] = CodeDescriptor;
        tables->gdt[2] = DataDescriptor;
        tables->gdt[3] = TaskBytes - 1 | (task & 0xFFFFFF) << 16 | 0x89UL << 40 | (task >> 24 & 0xFF) << 56;
        tables->gdt[4] = task >> 32;
        byte* operand = stackalloc byte[16];
        SetOperand(operand, (ulong)tables->gdt, GdtEntries * 8 - 1);
        Instructions.Lgdt(operand);
        Instructions.LoadSegments(CodeSelector, DataSelector);
        fixed (Gates* gates = &Storage.Idt)
            SetOperand(operand, (ulong)gates, 4096 - 1);
        Instructions.Lidt(operand);
        Instructions.Ltr(TaskSelector);
    }

    private static void SetOperand(byte* operand, ulong address, ushort limit)
    {
        *(ushort*)operand = limit;
        *(ulong*)(operand + 2) = address;
    }
}
