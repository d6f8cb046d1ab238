// The I/O APIC: registers, edges and levels, end of interrupt, and any random access.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Root.Devices;
using Xunit;

namespace Lamina.Tests.Host.Devices;

public class IoApicTests
{
    private struct ListSink : IInterruptSink
    {
        public List<InterruptRequest> Sent;
        public readonly void Send(in InterruptRequest request) => Sent.Add(request);
    }

    private IoApic _apic;
    private ListSink _sink = new() { Sent = [] };

    private uint Get(int index) { _apic.Write(0, (uint)index, ref _sink); return _apic.Read(0x10); }
    private void Set(int index, uint value) { _apic.Write(0, (uint)index, ref _sink); _apic.Write(0x10, value, ref _sink); }
    private void Program(int pin, uint low, uint high = 0) { Set(0x11 + 2 * pin, high); Set(0x10 + 2 * pin, low); }
    private int Sent { get { int n = _sink.Sent.Count; _sink.Sent.Clear(); return n; } }

    [Fact]
    public void RegistersAfterPowerOn()
    {
        Assert.Equal(0x00170020u, Get(1));
        Assert.Equal(0u, Get(0));
        for (int pin = 0; pin < 24; pin++) Assert.Equal((0x10000u, 0u), (Get(0x10 + 2 * pin), Get(0x11 + 2 * pin)));
        Assert.Equal(0u, Get(0x40));
        Set(0, 0xFFFFFFFF);
        Assert.Equal(0x0F000000u, Get(0));
        Set(1, 0);
        Assert.Equal(0x00170020u, Get(1));
        Program(3, 0xFFFFFFFF, 0xFFFFFFFF);
        Assert.Equal((0x0001AFFFu, 0xFF000000u), (Get(0x16), Get(0x17))); // delivery status and remote IRR are read-only
        Assert.Equal(0x17u, _apic.Read(0));
        Assert.Equal(0u, _apic.Read(0x20));
    }

    [Fact]
    public void AnEdgeSendsOnceForEachRise()
    {
        Program(4, 0x31 | 1 << 11, 0x03000000);
        _apic.SetPin(4, true, ref _sink);
        _apic.SetPin(4, true, ref _sink);
        InterruptRequest request = Assert.Single(_sink.Sent);
        Assert.Equal((0x31, 0, 3, true, false), (request.Vector, request.DeliveryMode, request.Destination, request.Logical, request.Level));
        _apic.SetPin(4, false, ref _sink);
        _apic.SetPin(4, true, ref _sink);
        Assert.Equal(2, Sent);
        Program(4, 0x31 | 1 << 16);
        _apic.SetPin(4, false, ref _sink);
        _apic.SetPin(4, true, ref _sink);
        Program(4, 0x31);
        Assert.Equal(0, Sent); // an edge on a masked pin is lost
    }

    [Fact]
    public void ALevelWaitsForItsEndOfInterrupt()
    {
        const uint level = 1 << 15, masked = 1 << 16;
        Program(9, 0x41 | level | masked);
        _apic.SetPin(9, true, ref _sink);
        Assert.Equal(0, Sent);
        Program(9, 0x41 | level);
        Assert.True(_sink.Sent[0].Level);
        Assert.Equal(1, Sent);
        Assert.Equal(0x41u | level | 1 << 14, Get(0x22));
        _apic.SetPin(9, false, ref _sink);
        _apic.SetPin(9, true, ref _sink);
        Program(9, 0x41 | level);
        Assert.Equal(0, Sent); // remote IRR holds it back
        _apic.EndOfInterrupt(0x40, ref _sink);
        Assert.Equal(0, Sent);
        _apic.EndOfInterrupt(0x41, ref _sink);
        Assert.Equal(1, Sent); // still asserted
        _apic.SetPin(9, false, ref _sink);
        _apic.Write(0x40, 0x41, ref _sink); // the EOI register does the same
        Assert.Equal(0, Sent);
        Assert.Equal(0x41u | level, Get(0x22));
    }

    [Fact]
    public void SwitchingToEdgeAndBackClearsRemoteIrr()
    {
        const uint level = 1 << 15;
        Program(9, 0x41 | level);
        _apic.SetPin(9, true, ref _sink);
        _apic.SetPin(9, false, ref _sink);
        Program(9, 0x41 | 1 << 16);
        Program(9, 0x41 | level);
        Assert.Equal(0x41u | level, Get(0x22));
    }

    [Fact]
    public void AnySequenceKeepsTheInvariants() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[-2, 30], Gen.Int[0, 4].Select(i => new uint[] { 0, 0x10, 0x40, 0x44, 0xFFF }[i]), Gen.UInt, Gen.Bool).Array[0, 200].Sample(steps =>
        {
            IoApic apic = default;
            ListSink sink = new() { Sent = [] };
            foreach ((int kind, int pin, uint offset, uint value, bool asserted) in steps)
            {
                int before = sink.Sent.Count;
                switch (kind)
                {
                    case 0: apic.SetPin(pin, asserted, ref sink); Assert.InRange(sink.Sent.Count - before, 0, 1); break;
                    case 1: apic.EndOfInterrupt((byte)value, ref sink); break;
                    case 2: apic.Write(0, (uint)(0x10 + 2 * pin), ref sink); apic.Write(offset, value, ref sink); break;
                    default: apic.Read(offset); break;
                }
                Assert.InRange(sink.Sent.Count - before, 0, 24);
            }
            // With everything masked and ended, no pin sends.
            for (uint i = 0; i < 24; i++) { apic.Write(0, 0x10 + 2 * i, ref sink); apic.Write(0x10, 0x10000, ref sink); }
            sink.Sent.Clear();
            for (int i = 0; i < 24; i++) { apic.SetPin(i, false, ref sink); apic.SetPin(i, true, ref sink); }
            Assert.Empty(sink.Sent);
        }, iter: 2000);
}
