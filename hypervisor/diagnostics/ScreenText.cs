// The core's lines on the framebuffer, for machines without a UART: no scrolling back, no cursor; the root's console takes over later.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Text;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Diagnostics;

public static unsafe class ScreenText
{
    private const uint Foreground = 0x00C0C0C0, Background = 0;

    private static bool hidden;
    private static ulong pixels;
    private static uint columns, rows, column, row, stride;

    /// <summary>Takes over the framebuffer where the boot loader's tables show it: at its own address.</summary>
    public static void Initialize(FramebufferInfo* screen)
    {
        if (screen->Format == FramebufferFormat.None || screen->Base == 0)
            return;
        pixels = screen->Base;
        stride = screen->PixelsPerScanLine;
        columns = screen->Width / Font.CellWidth;
        rows = screen->Height / Font.CellHeight;
    }

    /// <summary>The same from the core's own address space.</summary>
    public static void Remap(FramebufferInfo* screen)
    {
        if (pixels != 0)
            pixels = CoreAddressSpace.MapDevice(screen->Base, (ulong)screen->PixelsPerScanLine * screen->Height * 4, MemoryType.WriteCombining);
    }

    /// <summary>Between the switch of tables and <see cref="Remap"/> there is no screen.</summary>
    public static void Suspend(bool suspended) => hidden = suspended;

    public static void Write(ReadOnlySpan<byte> text)
    {
        if (pixels == 0 || hidden)
            return;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == (byte)'\n' || column >= columns)
                NextLine();
            if (text[i] != (byte)'\n')
                Draw(text[i]);
        }
    }

    // At the bottom it begins again at the top: moving a whole framebuffer by uncached reads would take seconds.
    private static void NextLine()
    {
        column = 0;
        row = row + 1 >= rows ? 0 : row + 1;
        for (uint line = 0; line < Font.CellHeight; line++)
            for (uint x = 0; x < columns * Font.CellWidth; x++)
                Mmio.Write32(pixels + 4UL * ((row * Font.CellHeight + line) * stride + x), Background);
    }

    private static void Draw(byte character)
    {
        ulong cell = pixels + 4UL * (row * Font.CellHeight * stride + column++ * Font.CellWidth);
        for (int line = 0; line < Font.CellHeight; line++)
        {
            byte bits = Font.Line(character, line);
            for (int x = 0; x < Font.CellWidth; x++)
                Mmio.Write32(cell + 4UL * ((ulong)line * stride + (ulong)x), (bits & 0x80 >> x) != 0 ? Foreground : Background);
        }
    }
}
