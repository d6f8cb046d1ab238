// The lines by which a VM's worker reports: "VM NAME: what happened".
using System;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class VmLog
{
    public const int LineCapacity = 320;

    /// <summary>A line that begins with the VM's name. <paramref name="buffer"/> has <see cref="LineCapacity"/> bytes.</summary>
    public static TextWriter Begin(Vm* vm, byte* buffer)
    {
        var line = new TextWriter(buffer, LineCapacity);
        line.Text("VM "u8).Text(vm->Name).Text(": "u8);
        return line;
    }

    /// <summary>"VM NAME: text".</summary>
    public static void Line(Vm* vm, ReadOnlySpan<byte> text)
    {
        byte* buffer = stackalloc byte[LineCapacity];
        TextWriter line = Begin(vm, buffer);
        line.Text(text);
        ConsoleOutput.Line(line.Written);
    }

    /// <summary>"VM NAME: text 0x…".</summary>
    public static void LineHex(Vm* vm, ReadOnlySpan<byte> text, ulong value)
    {
        byte* buffer = stackalloc byte[LineCapacity];
        TextWriter line = Begin(vm, buffer);
        line.Text(text).Hex(value);
        ConsoleOutput.Line(line.Written);
    }
}
