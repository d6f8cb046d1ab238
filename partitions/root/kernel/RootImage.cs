// The running image's own layout: where its sections, stacks and stubs lie, as entry.asm and the PE headers say.
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Root.Kernel;

/// <summary>Addresses that entry.asm makes known, in its order. All virtual.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RootLayout
{
    public ulong ImageBase;
    public ulong EntryStart;
    public ulong EntryEnd;
    public ulong FailFast;
    public ulong PanicTrap;
    public ulong InterruptStubs;
    public ulong InterruptReturn;
    public ulong HypercallPage;
    public ulong StackGuard;
    public ulong StackTop;
    public ulong FaultStackGuard;
    public ulong FaultStackTop;
    /// <summary>The instruction that the processor sleeps at.</summary>
    public ulong IdleRead;
}

/// <summary>The image in memory. Its headers lie at its base, as the loader lays images out by RVA.</summary>
public static unsafe class RootImage
{
    [RuntimeImport("*", "root_layout"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern RootLayout* ReadLayout();

    public static RootLayout* Layout => ReadLayout();

    /// <summary>In bytes, from the image's base.</summary>
    public static ulong Size => OptionalHeader->SizeOfImage;
    public static ulong HeadersSize => OptionalHeader->SizeOfHeaders;
    public static int SectionCount => FileHeader->NumberOfSections;

    public static ImageSection Section(int index)
    {
        ImageSectionHeader* header = (ImageSectionHeader*)((byte*)OptionalHeader + FileHeader->SizeOfOptionalHeader) + index;
        return new ImageSection(Layout->ImageBase + header->VirtualAddress, PageCount.ForBytes(header->VirtualSize).Value, header->Characteristics);
    }

    /// <summary>The table by which the stack can be unwound (.pdata).</summary>
    public static RuntimeFunction* Functions => (RuntimeFunction*)(Layout->ImageBase + ExceptionTable->VirtualAddress);
    public static int FunctionCount => (int)ExceptionTable->Size / sizeof(RuntimeFunction);

    private static byte* Start => (byte*)Layout->ImageBase;
    private static ImageFileHeader* FileHeader => (ImageFileHeader*)(Start + ((ImageDosHeader*)Start)->NewHeaderOffset + sizeof(uint));
    private static ImageOptionalHeader64* OptionalHeader => (ImageOptionalHeader64*)(FileHeader + 1);
    private static ImageDataDirectory* ExceptionTable => (ImageDataDirectory*)(OptionalHeader + 1) + ImageDataDirectory.ExceptionTable;
}

/// <summary>One section of the image.</summary>
public readonly struct ImageSection(ulong address, ulong pageCount, uint characteristics)
{
    public readonly ulong Address = address;
    public readonly ulong PageCount = pageCount;
    public bool IsExecutable => (characteristics & ImageSectionHeader.IMAGE_SCN_MEM_EXECUTE) != 0;
    public bool IsWritable => (characteristics & ImageSectionHeader.IMAGE_SCN_MEM_WRITE) != 0;
}
