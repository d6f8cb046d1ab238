// Runs the configuration parser on text and gives back what it found, in managed form.
using System;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Root.Config;
using Lamina.Text;

namespace Lamina.Tests.Host.Config;

/// <summary>One parse: the machine and the error lines. The memory lives until Dispose.</summary>
internal sealed unsafe class ConfigHost : IDisposable
{
    private readonly byte* _arena;
    public readonly MachineConfig* Machine;
    public readonly string[] Errors;

    public ConfigHost(string text) : this(Encoding.UTF8.GetBytes(text)) { }

    public ConfigHost(byte[] source)
    {
        // The source is copied to its exact size, so that reading past its end has a chance to be noticed.
        byte* text = (byte*)NativeMemory.Alloc((nuint)source.Length + 1);
        Marshal.Copy(source, 0, (nint)text, source.Length);
        _arena = (byte*)NativeMemory.Alloc((nuint)source.Length + 1);
        Machine = (MachineConfig*)NativeMemory.Alloc((nuint)sizeof(MachineConfig));
        const int sinkSize = 1 << 20;
        byte* sink = (byte*)NativeMemory.Alloc(sinkSize);
        TextWriter writer = new(sink, sinkSize);
        ConfigParser.Parse(text, source.Length, _arena, source.Length, Machine, ref writer);
        string all = Encoding.UTF8.GetString(writer.Written);
        Errors = all.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        NativeMemory.Free(text);
        NativeMemory.Free(sink);
    }

    public VmConfig* Vm(int index) => Machine->Vm(index);
    public static string Text(ConfigText text) => Encoding.UTF8.GetString(text.Span);

    public void Dispose()
    {
        NativeMemory.Free(_arena);
        NativeMemory.Free(Machine);
    }
}
