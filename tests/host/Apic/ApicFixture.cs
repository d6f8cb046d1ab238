// A local APIC with its register page in native memory, for tests.
using System;
using System.Runtime.InteropServices;
using Lamina.Hypervisor.Apic;
using Lamina.X64;

namespace Lamina.Tests.Host.Apic;

public sealed unsafe class ApicFixture : IDisposable
{
    private readonly byte* _page = (byte*)NativeMemory.AlignedAlloc(4096, 4096);
    public LocalApic Apic;

    public ApicFixture(uint id = 0, bool x2Apic = false, bool enabled = true)
    {
        new Span<byte>(_page, 4096).Fill(0xA5);
        Apic.Initialize(_page, id, true);
        if (x2Apic) Require(Apic.TryWriteApicBase(Apic.ApicBase | 1 << 10, out _));
        if (!enabled) return;
        if (x2Apic) Require(Apic.TryWriteMsr(0x80F, 0x1FF, 0, out _));
        else Write(ApicRegisters.SpuriousInterruptVector, 0x1FF);
    }

    public ApicEffect Write(uint offset, uint value, ulong now = 0)
    {
        Require(Apic.TryWriteMmio(offset, value, now, out ApicEffect effect));
        return effect;
    }

    public uint Read(uint offset, ulong now = 0)
    {
        Require(Apic.TryReadMmio(offset, now, out uint value, out _));
        return value;
    }

    public uint Raw(uint offset) => *(uint*)(_page + offset);
    public void SetRaw(uint offset, uint value) => *(uint*)(_page + offset) = value;

    private static void Require(bool condition)
    {
        if (!condition) throw new InvalidOperationException("access refused");
    }

    public void Dispose() => NativeMemory.AlignedFree(_page);
}
