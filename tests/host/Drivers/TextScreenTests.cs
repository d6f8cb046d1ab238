// The text screen as a terminal, and the font's completeness.
using System;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Drivers.Video;
using Font = Lamina.Text.Font;
using Xunit;

namespace Lamina.Tests.Host.Drivers;

public unsafe class TextScreenTests
{
    private const int Columns = 10, Rows = 4;

    private static (string[] Lines, int Row, int Column) Show(byte[] output)
    {
        var cells = new byte[Columns * Rows + 16];
        cells.AsSpan(Columns * Rows).Fill(0xEE);
        fixed (byte* start = cells)
        {
            TextScreen screen = new(start, Columns, Rows);
            foreach (byte b in output) screen.Put(b);
            Assert.True(cells.AsSpan(Columns * Rows).IndexOfAnyExcept((byte)0xEE) < 0, "wrote beyond its cells");
            var lines = new string[Rows];
            for (int row = 0; row < Rows; row++)
                for (int column = 0; column < Columns; column++) lines[row] += (char)screen[row, column];
            return (lines.Select(line => line.TrimEnd()).ToArray(), screen.Row, screen.Column);
        }
    }

    [Theory]
    [InlineData("one\r\ntwo", "one|two||")]
    [InlineData("1\r\n2\r\n3\r\n4\r\n5", "2|3|4|5")]
    [InlineData("0123456789AB", "0123456789|AB||")]
    [InlineData("0123456789\r\nAB", "0123456789|AB||")]
    [InlineData("lamina> x\r\x1b[Kline\r\nlamina> x", "line|lamina> x||")]
    [InlineData("ab\b \bc", "ac|||")]
    [InlineData("a\tb", "a       b|||")]
    [InlineData("\x1b[31;1mred\x1b[0m", "red|||")]
    [InlineData("\x1b]0;title\x07text", "text|||")]
    [InlineData("\x1b(Bx", "x|||")]
    [InlineData("\x1b[3;4Hx\x1b[1;1Hy", "y||   x|")]
    [InlineData("full\r\nscreen\x1b[2J\x1b[Hnew", "new|||")]
    [InlineData("\x1b[99;99Hz\x1b[99A\x1b[99Da", "a|||         z")]
    public void Looks_as_on_a_terminal(string output, string expected) => Assert.Equal(expected.Split('|'), Show(Encoding.Latin1.GetBytes(output)).Lines);

    [Fact]
    public void Utf8_shows_one_box_for_each_character() => Assert.Equal("a\u007fb\u007fc", Show(Encoding.UTF8.GetBytes("aäb€c")).Lines[0]);

    [Fact]
    public void Anything_stays_on_the_screen() =>
        Gen.OneOf(Gen.Byte, Gen.Byte[0x1B, 0x1B], Gen.Byte[0x30, 0x5B], Gen.Byte[0x3B, 0x3B]).Array[0, 300].Sample(output =>
        {
            var shown = Show(output);
            Assert.InRange(shown.Row, 0, Rows - 1);
            Assert.InRange(shown.Column, 0, Columns);
        });

    [Fact]
    public void Every_printable_character_has_a_glyph_of_its_own()
    {
        string Glyph(int c) => string.Join(",", Enumerable.Range(0, Font.CellHeight).Select(y => Font.Line((byte)c, y)));
        int[] printable = Enumerable.Range(0x21, 0x7E - 0x20).ToArray();
        Assert.Equal(printable.Length, printable.Select(Glyph).Distinct().Count());
        Assert.DoesNotContain(Glyph(' '), printable.Select(Glyph));
        Assert.DoesNotContain(Glyph(0x7F), printable.Select(Glyph));
        Assert.All(Enumerable.Range(0, 256), c => Assert.All(Enumerable.Range(-2, 20), y => Assert.Equal(0, Font.Line((byte)c, y) & 0x83)));
    }
}
