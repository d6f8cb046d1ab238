// The loader's lines on the screen that the Multiboot2 loader left: a framebuffer, or VGA text.
using System;
using Lamina.Abi;
using Lamina.Text;

namespace Lamina.Boot;

/// <summary>From the top down, then from the top again; nothing is moved. The core's lines begin at the top, too.</summary>
public static unsafe class Screen
{
    private const uint Foreground = 0x00C0C0C0, Background = 0;
    private const ushort TextCell = 0x0700; // grey on black

    private static FramebufferInfo pixels;
    private static ulong text;
    private static uint columns, rows, row;

    /// <summary>Lines go to a framebuffer from here on.</summary>
    public static void Use(FramebufferInfo screen)
    {
        pixels = screen;
        text = 0;
        Start(screen.Width / Font.CellWidth, screen.Height / Font.CellHeight);
    }

    /// <summary>Lines go to a text screen from here on.</summary>
    public static void Use(TextScreenInfo screen)
    {
        pixels = default;
        text = screen.Base;
        Start(screen.Columns, screen.Rows);
    }

    private static void Start(uint width, uint height)
    {
        columns = width;
        rows = height;
        row = 0;
        if (width != 0 && height != 0)
        {
            BootConsole.UseScreen(&WriteLine);
        }
    }

    private static void WriteLine(ReadOnlySpan<byte> line)
    {
        uint length = Math.Max((uint)line.Length, 1);
        for (uint first = 0; first < length; first += columns)
        {
            for (uint column = 0; column < columns; column++)
            {
                uint at = first + column;
                Put(column, at < (uint)line.Length ? line[(int)at] : (byte)' ');
            }
            row = row + 1 == rows ? 0 : row + 1;
        }
    }

    private static void Put(uint column, byte character)
    {
        if (text != 0)
        {
            ((ushort*)text)[row * columns + column] = (ushort)(TextCell | character);
            return;
        }
        uint* cell = (uint*)pixels.Base + (ulong)row * Font.CellHeight * pixels.PixelsPerScanLine + column * Font.CellWidth;
        for (int line = 0; line < Font.CellHeight; line++)
        {
            byte bits = Font.Line(character, line);
            for (int x = 0; x < Font.CellWidth; x++)
            {
                cell[(uint)line * pixels.PixelsPerScanLine + (uint)x] = (bits & 0x80 >> x) != 0 ? Foreground : Background;
            }
        }
    }
}
