// What the NASM files know and C# needs: addresses of stubs, stacks and spare pages.
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Lamina.Guest;

/// <summary>Filled at link time in start.asm.</summary>
public unsafe struct Layout
{
    public ulong ImageStart;
    public ulong InterruptStubs, RunRecover, ProtectedRecover;
    /// <summary>One address for each of <see cref="Code"/>.</summary>
    public ulong* CodeTable;
    public ulong StackTop, FaultStackTop, NmiStackTop, UserStackTop, Ring0StackTop;
    /// <summary>Sixteen pages for the checks, zero at start; see <see cref="GuestPages"/>.</summary>
    public ulong Pages;

    public const ulong BytesPerStub = 16;
    private const int PeHeaderAt = 0x3C, SizeOfImage = 24 + 56;

    /// <summary>The end of the image in memory, from the PE header at its start.</summary>
    public readonly ulong ImageEnd => ImageStart + *(uint*)(ImageStart + *(uint*)(ImageStart + PeHeaderAt) + SizeOfImage);

    [RuntimeImport("*", "guest_layout"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern Layout* Find();

    public static Layout* Instance => Find();
}

/// <summary>What the spare pages are for; guest-physical = virtual.</summary>
public static unsafe class GuestPages
{
    public static ulong Hypercall => At(0);
    public static ulong Messages => At(1);
    public static ulong Events => At(2);
    public static ulong ReferenceTsc => At(3);
    public static ulong VpAssist => At(4);
    public static ulong Input => At(5);
    public static ulong Output => At(6);
    /// <summary>Two pages, for what crosses a page boundary.</summary>
    public static ulong Buffer => At(8);
    /// <summary>64-byte aligned, for FXSAVE and XSAVE.</summary>
    public static ulong Area => At(10);
    public static ulong Expected => At(12);
    public static ulong Code => At(14);

    private static ulong At(ulong number) => Layout.Instance->Pages + number * 4096;
}
