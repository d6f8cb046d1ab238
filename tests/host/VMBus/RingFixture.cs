// A ring over pages that lie scattered in memory, between guard pages that must stay as they are.

using System;
using System.Runtime.InteropServices;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.VMBus;

/// <summary>Pages in an order of their own; a page number beyond them fails the test.</summary>
public unsafe struct TestPages : IRingMemory
{
    public RingFixture Owner;

    public readonly uint PageCount => Owner.PageCount;

    public readonly byte* Page(uint index)
    {
        if (index >= Owner.PageCount) throw new InvalidOperationException("page " + index + " of " + Owner.PageCount);
        return Owner.PageAt(index);
    }
}

/// <summary>Every second page is a guard; pages run backwards.</summary>
public sealed unsafe class RingFixture : IDisposable
{
    private const byte Guard = 0xA5;
    private readonly byte* memory;

    public uint PageCount { get; }

    public RingFixture(uint pageCount)
    {
        PageCount = pageCount;
        memory = (byte*)NativeMemory.AlignedAlloc((nuint)(pageCount * 2 + 1) * 4096, 4096);
        new Span<byte>(memory, (int)(pageCount * 2 + 1) * 4096).Fill(Guard);
        for (uint i = 0; i < pageCount; i++) new Span<byte>(PageAt(i), 4096).Clear();
    }

    public byte* PageAt(uint index) => memory + ((PageCount - 1 - index) * 2 + 1) * 4096;
    public RingControlPage* Control => (RingControlPage*)PageAt(0);
    public TestPages Pages => new() { Owner = this };

    public OutgoingRing<TestPages> Writer()
    {
        Assert.Equal(RingStatus.Ok, OutgoingRing<TestPages>.TryAttach(Pages, 0, PageCount, out var ring));
        return ring;
    }

    public IncomingRing<TestPages> Reader()
    {
        Assert.Equal(RingStatus.Ok, IncomingRing<TestPages>.TryAttach(Pages, 0, PageCount, out var ring));
        return ring;
    }

    public void CheckGuards()
    {
        for (uint i = 0; i <= PageCount; i++)
            if (new ReadOnlySpan<byte>(memory + i * 2 * 4096, 4096).IndexOfAnyExcept(Guard) >= 0) throw new InvalidOperationException("guard page " + i + " was written");
    }

    public void Dispose() => NativeMemory.AlignedFree(memory);
}
