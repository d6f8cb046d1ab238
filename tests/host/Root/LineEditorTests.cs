// The line editor: what is typed, what comes out, and that a terminal shows exactly the line.
using System;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Drivers.Video;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Root;

public unsafe class LineEditorTests
{
    private static (EditResult Last, string Line, byte[] Echo) Type(ref LineEditor editor, ReadOnlySpan<byte> keys)
    {
        var buffer = new byte[65536];
        EditResult result = EditResult.Editing;
        int length;
        fixed (byte* start = buffer)
        {
            Lamina.Text.TextWriter echo = new(start, buffer.Length);
            foreach (byte key in keys) result = editor.Put(key, ref echo);
            length = echo.Length;
        }
        var text = new byte[LineEditor.Capacity];
        return (result, Encoding.ASCII.GetString(text, 0, editor.CopyTo(text)), buffer[..length]);
    }

    [Theory]
    [InlineData("memory\r", "memory")]
    [InlineData("memori\by\n", "memory")]
    [InlineData("xyz\x7f\x7f\x7f\x7fok\r", "ok")]
    [InlineData("wrong\x15right\r", "right")]
    [InlineData("a\x1b[Ab\x1b[3~c\x1bOPd\r", "abcd")]
    [InlineData("tab\tand\u00e4\u0001s\r", "tabands")]
    public void Lines_as_typed(string keys, string line)
    {
        LineEditor editor = default;
        var typed = Type(ref editor, Encoding.Latin1.GetBytes(keys));
        Assert.Equal(EditResult.Entered, typed.Last);
        Assert.Equal(line, typed.Line);
    }

    [Fact]
    public void A_line_feed_after_a_return_is_not_a_second_line()
    {
        LineEditor editor = default;
        Assert.Equal(EditResult.Entered, Type(ref editor, "a\r"u8).Last);
        editor.Clear();
        Assert.Equal(EditResult.Editing, Type(ref editor, "\n"u8).Last);
        Assert.Equal(EditResult.Entered, Type(ref editor, "\n"u8).Last);
    }

    [Fact]
    public void Control_C_gives_the_line_up()
    {
        LineEditor editor = default;
        var typed = Type(ref editor, "reboot\x03"u8);
        Assert.Equal(EditResult.Cancelled, typed.Last);
        Assert.Equal("", typed.Line);
    }

    [Fact]
    public void The_terminal_shows_the_line() =>
        Gen.Byte.Array[0, 400].Where(keys => !keys.Any(k => k is 3 or 10 or 13)).Sample(keys =>
        {
            LineEditor editor = default;
            var typed = Type(ref editor, keys);
            var cells = new byte[LineEditor.Capacity + 1];
            fixed (byte* start = cells)
            {
                TextScreen screen = new(start, cells.Length, 1);
                foreach (byte b in typed.Echo) screen.Put(b);
                Assert.Equal(typed.Line.Length, screen.Column);
            }
            Assert.Equal(typed.Line, Encoding.ASCII.GetString(cells, 0, typed.Line.Length));
            Assert.All(cells[typed.Line.Length..], c => Assert.Equal((byte)' ', c));
        });
}
