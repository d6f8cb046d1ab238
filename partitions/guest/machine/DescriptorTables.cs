// GDT, TSS and IDT of the guest.
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class DescriptorTables
{
    public const ushort KernelCode = 0x08, KernelData = 0x10;
    private const ushort TaskSelector = 0x30;
    private const int GdtEntries = 8;

    private struct Tables
    {
        public fixed ulong Gdt[GdtEntries];
        public TaskStateSegment64 Task;
        public fixed ulong Idt[256 * 2];
    }

    private static Tables storage;

    public static void Initialize()
    {
        Layout* layout = Layout.Instance;
        fixed (Tables* tables = &storage)
        {
            tables->Task.RSP0 = layout->Ring0StackTop;
            tables->Task.IST1 = layout->FaultStackTop;
            tables->Task.IST2 = layout->NmiStackTop;
            tables->Task.IoMapBaseAddress = (ushort)sizeof(TaskStateSegment64);
            tables->Gdt[1] = SegmentDescriptor.KernelCode64.Value;
            tables->Gdt[2] = SegmentDescriptor.KernelData.Value;
            tables->Gdt[3] = new SegmentDescriptor(0, 0xFFFFF, 0xC0F3).Value; // data, CPL 3
            tables->Gdt[4] = new SegmentDescriptor(0, 0xFFFFF, 0xA0FB).Value; // 64-bit code, CPL 3
            tables->Gdt[5] = new SegmentDescriptor(0, 0xFFFFF, 0xC09B).Value; // 32-bit code, CPL 0
            *(SystemDescriptor64*)(tables->Gdt + 6) = SystemDescriptor64.ForTss((ulong)&tables->Task, (uint)sizeof(TaskStateSegment64) - 1);
            DescriptorTableRegister gdt = new() { Limit = GdtEntries * 8 - 1, Base = (ulong)tables->Gdt };
            Instructions.Lgdt(&gdt);
            Instructions.LoadSegments(KernelCode, KernelData);
            Instructions.Ltr(TaskSelector);
            LoadIdt((GateDescriptor64*)tables->Idt, layout->InterruptStubs);
        }
    }

    private static void LoadIdt(GateDescriptor64* gates, ulong stubs)
    {
        for (int vector = 0; vector < 256; vector++)
        {
            byte stack = vector switch { ExceptionVector.DF => 1, ExceptionVector.NMI => 2, _ => 0 };
            gates[vector] = new GateDescriptor64(stubs + (ulong)vector * Layout.BytesPerStub, KernelCode, GateDescriptor64.InterruptGate, 0, stack);
        }
        DescriptorTableRegister idt = new() { Limit = (ushort)(256 * sizeof(GateDescriptor64) - 1), Base = (ulong)gates };
        Instructions.Lidt(&idt);
    }
}
