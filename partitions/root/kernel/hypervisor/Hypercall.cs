// Calls into the core, through the hypercall page that it lays over a page of this image.
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;

namespace Lamina.Root.Kernel;

/// <summary>The bare call. <c>control</c> is a <see cref="HypercallInput"/>, the result a <see cref="HypercallResult"/>. TLFS, "Hypercall Interface".</summary>
public static class Hypercall
{
    /// <summary>Parameters in memory: physical addresses, 8-byte aligned, of blocks that cross no page; 0 where there is none.</summary>
    [RuntimeImport("*", "root_hypercall_page"), MethodImpl(MethodImplOptions.InternalCall)]
    public static extern ulong Call(ulong control, ulong inputGpa, ulong outputGpa);

    /// <summary>Parameters in registers: sets the fast bit itself.</summary>
    public static ulong CallFast(ulong control, ulong p1, ulong p2) => Call(new HypercallInput(control).WithFast(true).Value, p1, p2);
}
