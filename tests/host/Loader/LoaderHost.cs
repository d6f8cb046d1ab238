// Guest RAM for loader tests, with guard zones around it, and the error line of a refused image.
using System;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Root.Devices;
using Lamina.Root.Loader;
using Lamina.Text;
using Xunit;

namespace Lamina.Tests.Host.Loader;

internal sealed unsafe class LoaderHost : IDisposable
{
    private const int Guard = 1 << 16;
    private readonly byte* _block;
    private readonly int _size;
    public readonly GuestMemory Memory;
    public string Error;
    public InitialRegisters Registers;
    public byte[] CommandLine = "console=ttyS0"u8.ToArray(), Initrd = [], Name = "kernel.bin"u8.ToArray();

    public delegate bool Loader(in LoadRequest request, out InitialRegisters registers, ref TextWriter error);

    public LoaderHost(int size)
    {
        _size = size;
        _block = (byte*)NativeMemory.AllocZeroed((nuint)(size + 2 * Guard));
        new Span<byte>(_block, Guard).Fill(0xA5);
        new Span<byte>(_block + Guard + size, Guard).Fill(0xA5);
        Memory = GuestMemory.CreateStandard(_block + Guard, (ulong)size);
    }

    public bool Load(Loader loader, byte[] kernel)
    {
        byte* text = stackalloc byte[512];
        TextWriter error = new(text, 512);
        bool loaded = loader(new LoadRequest { Kernel = kernel, KernelName = Name, Initrd = Initrd, CommandLine = CommandLine, Memory = Memory, AcpiRsdp = 0xE0000 }, out Registers, ref error);
        Error = Encoding.UTF8.GetString(error.Written);
        // Whatever the image was: one line exactly when it was refused, and nothing outside the RAM was touched.
        Assert.Equal(loaded, Error.Length == 0);
        Assert.DoesNotContain("\n", Error);
        Assert.False(new ReadOnlySpan<byte>(_block, Guard).ContainsAnyExcept((byte)0xA5));
        Assert.False(new ReadOnlySpan<byte>(_block + Guard + _size, Guard).ContainsAnyExcept((byte)0xA5));
        return loaded;
    }

    public byte* At(ulong gpa) { Assert.True(Memory.TryGetPointer(gpa, 1, out byte* host)); return host; }
    public uint U32(ulong gpa) => *(uint*)At(gpa);
    public ulong U64(ulong gpa) => *(ulong*)At(gpa);
    public ReadOnlySpan<byte> Bytes(ulong gpa, int length) { Assert.True(Memory.TryGetPointer(gpa, (ulong)length, out byte* host)); return new(host, length); }
    public string Text(ulong gpa) => Marshal.PtrToStringUTF8((nint)At(gpa));
    public void Clear() => Memory.TryZero(0, (ulong)_size);
    public void Dispose() => NativeMemory.Free(_block);
}
