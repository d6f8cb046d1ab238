// The page by which a guest computes reference time from its TSC, without an exit. TLFS, "Reference TSC Page".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_REFERENCE_TSC_PAGE: ReferenceTime = ((tsc * TscScale) >> 64) + TscOffset, in 100 ns.</summary>
[StructLayout(LayoutKind.Sequential, Size = 4096)]
public struct ReferenceTscPage
{
    /// <summary>Read before and after the rest, equal both times; <see cref="InvalidSequence"/> sends the guest to the MSR.</summary>
    public uint TscSequence;
    public uint Reserved1;

    /// <summary>(10 000 000 &lt;&lt; 64) / TSC frequency in Hz.</summary>
    public ulong TscScale;

    /// <summary>In 100 ns.</summary>
    public long TscOffset;

    public const uint InvalidSequence = 0;
}
