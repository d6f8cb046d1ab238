// The core's own GDT, IDT and TSS.
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>SDM 3A, "Segment Descriptors", "Interrupt Descriptor Table (IDT)", "64-Bit Mode TSS".</summary>
public static unsafe class HostTables
{
    public const ushort CodeSelector = 0x08, DataSelector = 0x10, TaskSelector = 0x18;
    private const ulong CodeDescriptor = 0x00AF9B000000FFFF, DataDescriptor = 0x00CF93000000FFFF;
    private const ulong InterruptGate = 0x8E00UL << 32;
    private const int EntrySize = 16;

    private struct Tables
    {
        public fixed ulong Gdt[6];
        public fixed ulong Idt[512];
        public fixed byte Task[104];
        public fixed byte Operand[16];
    }

    private static class Storage { internal static Tables Tables; }

    [RuntimeImport("*", "core_interrupt_entries_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong EntriesAddress();

    /// <summary>Base of the TSS that the task register holds.</summary>
    public static ulong TaskBase
    {
        get
        {
            fixed (Tables* tables = &Storage.Tables)
                return (ulong)tables->Task;
        }
    }

    public static void Load()
    {
        fixed (Tables* tables = &Storage.Tables)
        {
            ulong task = (ulong)tables->Task;
            *(ushort*)(tables->Task + 102) = 104; // no I/O permission map
            tables->Gdt[1] = CodeDescriptor;
            tables->Gdt[2] = DataDescriptor;
            tables->Gdt[3] = 103 | (task & 0xFFFFFF) << 16 | 0x89UL << 40 | (task >> 24 & 0xFF) << 56;
            tables->Gdt[4] = task >> 32;
            ulong entries = EntriesAddress();
            for (int vector = 0; vector < 256; vector++)
            {
                ulong entry = entries + (ulong)(vector * EntrySize);
                tables->Idt[2 * vector] = entry & 0xFFFF | (ulong)CodeSelector << 16 | InterruptGate | (entry >> 16 & 0xFFFF) << 48;
                tables->Idt[2 * vector + 1] = entry >> 32;
            }
            LoadTable(tables, (ulong)tables->Gdt, 6 * 8 - 1);
            Instructions.Lgdt(tables->Operand);
            Instructions.LoadSegments(CodeSelector, DataSelector);
            LoadTable(tables, (ulong)tables->Idt, 4096 - 1);
            Instructions.Lidt(tables->Operand);
            Instructions.Ltr(TaskSelector);
        }
    }

    private static void LoadTable(Tables* tables, ulong address, ushort limit)
    {
        *(ushort*)tables->Operand = limit;
        *(ulong*)(tables->Operand + 2) = address;
    }
}
