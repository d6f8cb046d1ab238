// Lines of drivers in the machine's log: who, where, what.
using System;
using Lamina.Text;

namespace Lamina.Drivers.Bus.Pci;

public static unsafe class PciReport
{
    private const int LineBytes = 160;

    /// <summary><c>DRIVER BB:DD.F: TEXT</c>, and a number if there is one.</summary>
    public static void Line<THost>(ReadOnlySpan<byte> driver, PciAddress function, ReadOnlySpan<byte> text, ulong? number = null) where THost : struct, IDriverHost
    {
        byte* buffer = stackalloc byte[LineBytes];
        TextWriter line = new(buffer, LineBytes);
        line.Text(driver).Text(" "u8).HexDigits(function.Bus, 2).Text(":"u8).HexDigits(function.Device, 2).Text("."u8).HexDigits(function.Function, 1)
            .Text(": "u8).Text(text);
        if (number.HasValue) line.Text(" "u8).Decimal(number.Value);
        THost.Report(line.Written);
    }
}
