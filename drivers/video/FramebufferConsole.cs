// Draws a TextScreen on a linear framebuffer: only cells that differ from what is already there, and not more often than eyes can see.
using Lamina.Text;
using System;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.X64.Paging;

namespace Lamina.Drivers.Video;

/// <summary>Output goes to the screen's memory at once and to the glass a little later, all changes of that time together.</summary>
public unsafe struct FramebufferConsole<THost> where THost : struct, IDriverHost
{
    private const uint Foreground = 0x00D0D0D0, Background = 0x00101018;
    private const ulong ShortestDelay = 300_000, LongestDelay = 4_000_000; // 30 and 400 ms
    private const ushort CursorFlag = 0x100, NothingShown = 0xFFFF;

    private TextScreen screen;
    private ushort* shown;     // a character and CursorFlag for each cell on the glass
    private byte* pixels;
    private uint bytesPerLine;
    private fixed ulong pairs[4]; // two pixels for each value of two bits, the left one first
    private DeadlineTimer draw;
    private ulong delay, drawn; // how long changes are collected, and when they were last drawn
    private bool deferred;

    public bool IsPresent { get; private set; }

    /// <summary>False if there is no framebuffer that we understand, or no memory.</summary>
    public bool TryInitialize(in FramebufferInfo info)
    {
        if (info.Format == FramebufferFormat.None || info.Width < Font.CellWidth * 20 || info.Height < Font.CellHeight * 4) return false;
        ulong bytes = (ulong)info.PixelsPerScanLine * info.Height * 4;
        if (!THost.TryMapRegisters(info.Base, bytes, MemoryType.WriteCombining, out ulong address)) return false;
        int columns = (int)(info.Width / Font.CellWidth), rows = (int)(info.Height / Font.CellHeight);
        if (!THost.TryAllocateDma((ulong)(columns * rows) * 3, out DmaMemory memory)) return false;
        shown = (ushort*)memory.Address;
        for (int i = 0; i < columns * rows; i++) shown[i] = NothingShown;
        screen = new TextScreen(memory.Address + columns * rows * 2, columns, rows);
        pixels = (byte*)address;
        bytesPerLine = info.PixelsPerScanLine * 4;
        for (int pair = 0; pair < 4; pair++) pairs[pair] = Colour(pair >> 1) | (ulong)Colour(pair & 1) << 32;
        IsPresent = true;
        return true;
    }

    /// <summary>From now on drawing waits for a timer. <paramref name="console"/> must stay where it is.</summary>
    public static void Start(FramebufferConsole<THost>* console)
    {
        console->draw = new DeadlineTimer { Handler = &OnDraw, Context = console };
        console->deferred = true;
    }

    public void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        if (!IsPresent) return;
        foreach (byte value in bytes) screen.Put(value);
        if (deferred && !draw.IsArmed) DrawLater();
    }

    /// <summary>A key's echo shows at once; the more continuous the output, the rarer it is drawn: nobody can read it while it runs.</summary>
    private void DrawLater()
    {
        ulong now = THost.Now;
        delay = now - drawn > 2 * delay ? ShortestDelay : delay >= LongestDelay / 2 ? LongestDelay : 2 * delay;
        fixed (DeadlineTimer* timer = &draw) THost.Arm(timer, now + delay);
    }

    /// <summary>No timer from here on: whoever writes also draws. For a panic.</summary>
    public void BecomeImmediate() => deferred = false;

    /// <summary>Brings the glass up to date.</summary>
    public void Draw()
    {
        if (!IsPresent) return;
        for (int row = 0; row < screen.Rows; row++)
        {
            for (int column = 0; column < screen.Columns; column++)
            {
                bool cursor = row == screen.Row && column == screen.Column;
                ushort wanted = (ushort)(screen[row, column] | (cursor ? CursorFlag : 0));
                ushort* cell = shown + row * screen.Columns + column;
                if (*cell == wanted) continue;
                *cell = wanted;
                DrawCell(row, column, (byte)wanted, cursor);
            }
        }
    }

    private readonly void DrawCell(int row, int column, byte character, bool inverted)
    {
        byte* line = pixels + (ulong)(row * Font.CellHeight) * bytesPerLine + column * Font.CellWidth * 4;
        byte flip = inverted ? (byte)0xFF : (byte)0;
        for (int y = 0; y < Font.CellHeight; y++, line += bytesPerLine)
        {
            int bits = Font.Line(character, y) ^ flip;
            ulong* target = (ulong*)line;
            target[0] = pairs[bits >> 6 & 3];
            target[1] = pairs[bits >> 4 & 3];
            target[2] = pairs[bits >> 2 & 3];
            target[3] = pairs[bits & 3];
        }
    }

    // Both colours look much the same with red and blue exchanged, so the framebuffer's byte order does not matter.
    private static uint Colour(int bit) => bit != 0 ? Foreground : Background;

    private static void OnDraw(void* context)
    {
        FramebufferConsole<THost>* console = (FramebufferConsole<THost>*)context;
        console->Draw();
        console->drawn = THost.Now;
    }
}
