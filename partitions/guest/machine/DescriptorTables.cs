// GDT, IDT and the task state segments of the guest's processors.
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class DescriptorTables
{
    public const ushort KernelCode = 0x08, KernelData = 0x10;
    private const ushort FirstTaskSelector = 0x30, BytesPerTask = 16;
    private const int GdtEntries = (FirstTaskSelector + Processors.Maximum * BytesPerTask) / 8;

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
            FillIdt((GateDescriptor64*)tables->Idt, layout->InterruptStubs);
            Load(0, &tables->Task);
        }
    }

    /// <summary>The executing processor takes the tables, with a task state segment of its own, by which it is known from then on.</summary>
    public static void Load(uint processor, TaskStateSegment64* task)
    {
        ushort selector = (ushort)(FirstTaskSelector + processor * BytesPerTask);
        fixed (Tables* tables = &storage)
        {
            *(SystemDescriptor64*)((byte*)tables->Gdt + selector) = SystemDescriptor64.ForTss((ulong)task, (uint)sizeof(TaskStateSegment64) - 1);
            DescriptorTableRegister gdt = new() { Limit = GdtEntries * 8 - 1, Base = (ulong)tables->Gdt };
            Instructions.Lgdt(&gdt);
            Instructions.LoadSegments(KernelCode, KernelData);
            Instructions.Ltr(selector);
            DescriptorTableRegister idt = new() { Limit = (ushort)(256 * sizeof(GateDescriptor64) - 1), Base = (ulong)tables->Idt };
            Instructions.Lidt(&idt);
        }
    }

    /// <summary>The number of the executing processor: which task state segment it has.</summary>
    public static uint ExecutingProcessor => (uint)(Instructions.Str() - FirstTaskSelector) / BytesPerTask;

    private static void FillIdt(GateDescriptor64* gates, ulong stubs)
    {
        for (int vector = 0; vector < 256; vector++)
        {
            byte stack = vector switch { ExceptionVector.DF => 1, ExceptionVector.NMI => 2, _ => 0 };
            gates[vector] = new GateDescriptor64(stubs + (ulong)vector * Layout.BytesPerStub, KernelCode, GateDescriptor64.InterruptGate, 0, stack);
        }
    }
}
