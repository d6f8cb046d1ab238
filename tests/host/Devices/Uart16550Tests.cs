// The serial port as Linux's 8250 driver meets it: detection, THRE semantics, FIFOs, loopback, and any random access.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Root.Devices;
using Xunit;

namespace Lamina.Tests.Host.Devices;

public class Uart16550Tests
{
    private struct ListSink : IByteSink
    {
        public List<byte> Bytes;
        public readonly void Put(byte value) => Bytes.Add(value);
    }

    private const int Rbr = 0, Thr = 0, Dll = 0, Ier = 1, Dlm = 1, Iir = 2, Fcr = 2, Lcr = 3, Mcr = 4, Lsr = 5, Msr = 6, Scr = 7;

    private Uart16550 _uart;
    private ListSink _sink = new() { Bytes = [] };

    private int In(int register) => (int)_uart.Read((ushort)(Uart16550.Com1 + register), 1);
    private void Out(int register, int value) => _uart.Write((ushort)(Uart16550.Com1 + register), 1, (uint)value, ref _sink);

    /// <summary>The steps of autoconfig in drivers/tty/serial/8250: it must come out as a 16550A with working FIFOs.</summary>
    [Fact]
    public void LinuxFindsA16550A()
    {
        Out(Ier, 0);
        Assert.Equal(0, In(Ier));
        Out(Ier, 0x0F);
        Assert.Equal(0x0F, In(Ier) & 0x0F);
        Out(Ier, 0);
        Out(Mcr, 0x10 | 0x0A);
        Assert.Equal(0x90, In(Msr) & 0xF0);
        Out(Mcr, 0);
        Out(Lcr, 0xBF);
        Out(Fcr, 0); // the EFR of other chips
        Out(Lcr, 0);
        Out(Fcr, 1);
        Assert.Equal(3, In(Iir) >> 6);
        Out(Lcr, 0x80);
        Assert.NotEqual(0, In(Iir)); // 0 would mean a 16650
        Out(Lcr, 0);
        Out(Fcr, 1 | 0x20);
        Assert.Equal(6, In(Iir) >> 5); // 7 would mean a 16750
        Out(Ier, 0x40);
        Assert.Equal(0, In(Ier) & 0x40); // 0x40 would mean an XScale
        Out(Lcr, 0x80);
        Out(Dll, 0x34);
        Out(Dlm, 0x12);
        Assert.Equal((0x34, 0x12), (In(Dll), In(Dlm)));
        Out(Lcr, 3);
        Out(Scr, 0x5A);
        Assert.Equal(0x5A, In(Scr));
        Assert.Empty(_sink.Bytes);
    }

    /// <summary>The two tests of startup in the same driver, for chips whose THRE interrupt does not come back.</summary>
    [Fact]
    public void SwitchingThreOnRaisesItEveryTime()
    {
        Assert.Equal(0x60, In(Lsr) & 0x60);
        for (int i = 0; i < 3; i++)
        {
            Out(Ier, 2);
            Assert.Equal(2, In(Iir) & 0x0F);
            Assert.Equal(1, In(Iir) & 0x0F); // reading acknowledged it
            Out(Ier, 0);
        }
        Out(Ier, 2);
        In(Iir);
        Out(Ier, 2); // already on: nothing new
        Assert.Equal(1, In(Iir) & 0x0F);
        Out(Thr, 'x');
        Assert.Equal(2, In(Iir) & 0x0F);
    }

    [Fact]
    public void TheLineFollowsOut2AndFallsBetweenEvents()
    {
        Out(Ier, 2);
        Assert.False(_uart.IrqLevel);
        Out(Mcr, 8);
        Assert.True(_uart.TryTakeIrqChange(out bool level) && level);
        Assert.False(_uart.TryTakeIrqChange(out _));
        In(Iir);
        Assert.True(_uart.TryTakeIrqChange(out level) && !level);
        Out(Thr, 'a');
        Assert.True(_uart.TryTakeIrqChange(out level) && level);
        Assert.Equal("a"u8.ToArray(), _sink.Bytes);
    }

    /// <summary>A driver that sends only on THRE interrupts gets everything out: the way Linux prints.</summary>
    [Fact]
    public void InterruptDrivenOutputNeverStalls()
    {
        byte[] text = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, 40).Select(i => $"line {i}\n")));
        Out(Fcr, 1);
        Out(Mcr, 8);
        int sent = 0;
        Out(Ier, 2);
        for (int rounds = 0; sent < text.Length; rounds++)
        {
            Assert.True(rounds < 1000 && _uart.IrqLevel, $"stalled after {sent} bytes");
            Assert.Equal(2, In(Iir) & 0x0F);
            for (int i = 0; i < 16 && sent < text.Length; i++) Out(Thr, text[sent++]);
        }
        Out(Ier, 0);
        Assert.Equal(text, _sink.Bytes);
    }

    [Fact]
    public void InputFillsTheFifoAndTheTriggerDecidesTheReason()
    {
        Out(Fcr, 0x81); // trigger at 8
        Out(Ier, 1);
        Out(Mcr, 8);
        for (int i = 0; i < 7; i++) Assert.True(_uart.TryReceive((byte)i));
        Assert.Equal(0x0C, In(Iir) & 0x0F);
        Assert.True(_uart.TryReceive(7));
        Assert.Equal(0x04, In(Iir) & 0x0F);
        for (int i = 8; i < 16; i++) Assert.True(_uart.TryReceive((byte)i));
        Assert.False(_uart.TryReceive(99));
        Assert.Equal(0, _uart.ReceiveSpace);
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(1, In(Lsr) & 1);
            Assert.Equal(i, In(Rbr));
        }
        Assert.Equal(0, In(Lsr) & 1);
        Assert.False(_uart.IrqLevel);
    }

    [Fact]
    public void WithoutFifosOneByteWaits()
    {
        Assert.True(_uart.TryReceive(1));
        Assert.False(_uart.TryReceive(2));
        Assert.Equal(1, In(Rbr));
        Assert.True(_uart.TryReceive(2));
        Out(Fcr, 3);
        Assert.Equal(0, In(Lsr) & 1);
    }

    [Fact]
    public void LoopbackReturnsBytesAndReportsOverrun()
    {
        Out(Fcr, 1);
        Out(Mcr, 0x10);
        Out(Ier, 4);
        for (int i = 0; i < 17; i++) Out(Thr, i);
        Assert.Empty(_sink.Bytes);
        Assert.Equal(6, In(Iir) & 0x0F);
        Assert.Equal(3, In(Lsr) & 3);
        Assert.Equal(1, In(Lsr) & 3);
        for (int i = 0; i < 16; i++) Assert.Equal(i, In(Rbr));
        Assert.False(_uart.TryReceive(1));
    }

    [Fact]
    public void ModemChangesAreReportedOnce()
    {
        Assert.Equal(0xB0, In(Msr));
        Out(Ier, 8);
        Out(Mcr, 0x10 | 4); // loop with OUT1: ring; CTS, DSR and DCD fall
        Assert.Equal(0, In(Iir) & 0x0F);
        Assert.Equal(0x40 | 0x0B, In(Msr));
        Assert.Equal(0x40, In(Msr));
        Out(Mcr, 0x10);
        Assert.Equal(0x04, In(Msr)); // ring has ended
        Assert.Equal(1, In(Iir) & 0x0F);
    }

    [Fact]
    public void AnySequenceKeepsTheInvariants() =>
        Gen.Select(Gen.Int[0, 4], Gen.Int[0, 9], Gen.Int[0, 2], Gen.UInt).Array[0, 200].Sample(steps =>
        {
            Uart16550 uart = default;
            ListSink sink = new() { Bytes = [] };
            foreach ((int kind, int register, int sizeLog, uint value) in steps)
            {
                ushort port = (ushort)(Uart16550.Com1 + register);
                int size = 1 << sizeLog;
                if (kind < 2) Assert.True(size == 4 || uart.Read(port, size) >> (8 * size) == 0);
                else if (kind < 4) uart.Write(port, size, value, ref sink);
                else Assert.Equal(uart.ReceiveSpace > 0, uart.TryReceive((byte)value));
                Assert.InRange(uart.ReceiveSpace, 0, 16);
                Assert.Equal(0x60u, uart.Read(Uart16550.Com1 + 5, 1) & 0x60);
            }
            // Whatever happened: reset by the driver, it works again.
            uart.Write(Uart16550.Com1 + 3, 1, 0, ref sink);
            uart.Write(Uart16550.Com1 + 4, 1, 0, ref sink);
            uart.Write(Uart16550.Com1 + 2, 1, 7, ref sink);
            Assert.True(uart.TryReceive(0x42));
            Assert.Equal(0x42u, uart.Read(Uart16550.Com1, 1));
            int before = sink.Bytes.Count;
            uart.Write(Uart16550.Com1, 1, 'z', ref sink);
            Assert.Equal(before + 1, sink.Bytes.Count);
        }, iter: 3000);
}
