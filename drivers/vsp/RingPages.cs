// A ring's pages by a table of addresses: guest pages need not be contiguous.
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp;

/// <summary>The table belongs to the channel's owner and outlives the ring.</summary>
public readonly unsafe struct RingPages(byte** pages, uint count) : IRingMemory
{
    private readonly byte** pages = pages;

    public uint PageCount { get; } = count;

    public byte* Page(uint index) => pages[index];
}
