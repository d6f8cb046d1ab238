// Tells the kinds of guest kernel apart by their content, and loads whichever it is.
using System;
using Lamina.Text;

namespace Lamina.Root.Loader;

public enum GuestImageKind : byte { Unknown, LinuxBzImage, PvhElf, Multiboot1 }

public static class GuestImage
{
    /// <summary>The kind of the file; for Unknown, one line in <paramref name="reason"/> says what it looks like instead.</summary>
    public static GuestImageKind Detect(ReadOnlySpan<byte> kernel, ref TextWriter reason)
    {
        if (LinuxBoot.IsBzImage(kernel)) return GuestImageKind.LinuxBzImage;
        // A kernel that offers both says more about the machine by PVH.
        if (PvhElf.HasEntry(kernel)) return GuestImageKind.PvhElf;
        if (Multiboot1.HasHeader(kernel)) return GuestImageKind.Multiboot1;
        Explain(kernel, ref reason);
        return GuestImageKind.Unknown;
    }

    /// <summary>Detects and loads. False with one line in <paramref name="error"/>; the guest's RAM may then hold parts of the image.</summary>
    public static bool TryLoad(in LoadRequest request, out InitialRegisters registers, ref TextWriter error)
    {
        registers = default;
        switch (Detect(request.Kernel, ref error))
        {
            case GuestImageKind.LinuxBzImage: return LinuxBoot.TryLoad(request, out registers, ref error);
            case GuestImageKind.PvhElf: return PvhElf.TryLoad(request, out registers, ref error);
            case GuestImageKind.Multiboot1: return Multiboot1.TryLoad(request, out registers, ref error);
            default: return false;
        }
    }

    private static void Explain(ReadOnlySpan<byte> kernel, ref TextWriter reason)
    {
        if (kernel.Length == 0) { reason.Text("kernel: the file is empty"u8); return; }
        if (ElfImage.HasMagic(kernel))
        {
            // A broken or foreign ELF names its own fault.
            if (ElfImage.TryOpen(kernel, out _, ref reason)) reason.Text("kernel: an ELF with neither a PVH entry note nor a Multiboot header"u8);
            return;
        }
        reason.Text("kernel: not a bzImage, PVH ELF or Multiboot image (starts with"u8);
        for (int i = 0; i < kernel.Length && i < 4; i++) reason.Text(" "u8).HexDigits(kernel[i], 2);
        reason.Text(")"u8);
    }
}
