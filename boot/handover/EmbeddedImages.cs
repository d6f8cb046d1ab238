// The core and the root inside the boot image, and the jump into the core (enter.asm, images.asm).
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Text;

namespace Lamina.Boot;

/// <summary>Each image is a PE file laid out as in memory, its trailing zeros cut off.</summary>
public static unsafe class EmbeddedImages
{
    [RuntimeImport("*", "boot_core_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern byte* CoreAddress();
    [RuntimeImport("*", "boot_core_length"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong CoreLength();
    [RuntimeImport("*", "boot_root_address"), MethodImpl(MethodImplOptions.InternalCall)] private static extern byte* RootAddress();
    [RuntimeImport("*", "boot_root_length"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong RootLength();

    /// <summary>Interrupts off, <paramref name="tables"/> into CR3, RCX = <paramref name="handover"/>, jump. Does not return.</summary>
    [RuntimeImport("*", "boot_enter_core"), MethodImpl(MethodImplOptions.InternalCall)]
    public static extern void EnterCore(ulong tables, ulong handover, ulong entry, ulong stackTop, uint setNoExecute);

    public static ReadOnlySpan<byte> Core => new(CoreAddress(), (int)CoreLength());
    public static ReadOnlySpan<byte> Root => new(RootAddress(), (int)RootLength());

    /// <summary>Reads the headers of an image; says what is wrong with it when it cannot be loaded.</summary>
    public static bool TryRead(ReadOnlySpan<byte> image, ReadOnlySpan<byte> name, ulong alignment, out PeImage headers)
    {
        PeImageFault fault = PeImage.Read(image, alignment, out headers);
        TextWriter line = BootConsole.BeginLine();
        if (fault == PeImageFault.None)
        {
            line.Text("boot: "u8).Text(name).Text(" image: "u8).Decimal((ulong)image.Length).Text(" bytes, "u8).Decimal(headers.SizeOfImage)
                .Text(" in memory, linked at "u8).Hex(headers.ImageBase);
            BootConsole.WriteLine(ref line);
            return true;
        }
        line.Text("boot: the "u8).Text(name).Text(" image in the boot image is damaged: expected "u8);
        line.Text(fault switch
        {
            PeImageFault.NotAnImage => "MZ and PE headers"u8,
            PeImageFault.NotX64 => "a PE32+ image for x64"u8,
            PeImageFault.Truncated => "SizeOfImage to cover its content"u8,
            PeImageFault.BadEntryPoint => "an entry point inside its content"u8,
            _ => "an image base on a 2 MiB boundary"u8,
        });
        BootConsole.WriteLine(ref line);
        return false;
    }

    /// <summary>Puts an image at the start of its block and zeros the rest of the block.</summary>
    public static void Place(ReadOnlySpan<byte> image, ulong address, ulong blockBytes)
    {
        fixed (byte* source = image)
        {
            SpanHelpers.Copy((void*)address, source, (ulong)image.Length);
        }
        SpanHelpers.Zero((void*)(address + (ulong)image.Length), blockBytes - (ulong)image.Length);
    }
}
