// The root's GDT, TSS and IDT.
using Lamina.X64;

namespace Lamina.Root.Kernel;

/// <summary>Built once, at start; one processor.</summary>
public static unsafe class DescriptorTables
{
    private const ushort CodeSelector = 0x08;
    private const ushort DataSelector = 0x10;
    private const ushort TaskSelector = 0x18;
    private const int GdtEntries = 5; // null, code, data, and the TSS's two
    private const ulong BytesPerStub = 16;

    private struct Tables
    {
        public fixed ulong Gdt[GdtEntries];
        public TaskStateSegment64 Task;
        public fixed ulong Idt[256 * 2];
    }

    private static Tables storage;

    /// <summary>From here on an exception is a panic that tells its registers, not a triple fault.</summary>
    public static void Initialize()
    {
        fixed (Tables* tables = &storage)
        {
            LoadGdt(tables);
            LoadIdt((GateDescriptor64*)tables->Idt);
        }
    }

    private static void LoadGdt(Tables* tables)
    {
        tables->Task.IST1 = RootImage.Layout->FaultStackTop;
        tables->Task.IoMapBaseAddress = (ushort)sizeof(TaskStateSegment64);
        byte* gdt = (byte*)tables->Gdt;
        *(SegmentDescriptor*)(gdt + CodeSelector) = SegmentDescriptor.KernelCode64;
        *(SegmentDescriptor*)(gdt + DataSelector) = SegmentDescriptor.KernelData;
        *(SystemDescriptor64*)(gdt + TaskSelector) = SystemDescriptor64.ForTss((ulong)&tables->Task, (uint)sizeof(TaskStateSegment64) - 1);
        DescriptorTableRegister register = new() { Limit = GdtEntries * 8 - 1, Base = (ulong)gdt };
        Instructions.Lgdt(&register);
        Instructions.LoadSegments(CodeSelector, DataSelector);
        Instructions.Ltr(TaskSelector);
    }

    private static void LoadIdt(GateDescriptor64* gates)
    {
        for (int vector = 0; vector < 256; vector++)
        {
            // These three must have a good stack however the interrupted code left its own.
            bool ownStack = vector is ExceptionVector.NMI or ExceptionVector.DF or ExceptionVector.MC;
            ulong stub = RootImage.Layout->InterruptStubs + (ulong)vector * BytesPerStub;
            gates[vector] = new GateDescriptor64(stub, CodeSelector, GateDescriptor64.InterruptGate, 0, ownStack ? (byte)1 : (byte)0);
        }
        DescriptorTableRegister register = new() { Limit = (ushort)(256 * sizeof(GateDescriptor64) - 1), Base = (ulong)gates };
        Instructions.Lidt(&register);
    }
}
