// Lines out of a guest's serial output: nothing is lost, nothing steers the terminal, prompts survive.
using System.Collections.Generic;
using System.Text;
using CsCheck;
using Lamina.Root.Worker;
using Xunit;

namespace Lamina.Tests.Host.Worker;

public class LineAssemblerTests
{
    private static List<string> Feed(ref LineAssembler assembler, string text)
    {
        var lines = new List<string>();
        foreach (byte value in Encoding.UTF8.GetBytes(text))
            if (assembler.Append(value) == LineEvent.Complete)
            {
                lines.Add(Encoding.UTF8.GetString(assembler.Line));
                assembler.Next();
            }
        return lines;
    }

    [Fact]
    public void Complete_lines_come_without_carriage_returns()
    {
        LineAssembler assembler = default;
        Assert.Equal(["one", "", "three"], Feed(ref assembler, "one\r\n\r\nthree\r\nrest"));
        Assert.True(assembler.HasUnprinted);
        Assert.Equal("rest", Encoding.UTF8.GetString(assembler.Line));
    }

    [Fact]
    public void Escape_sequences_and_control_characters_are_left_out()
    {
        LineAssembler assembler = default;
        Assert.Equal(["red text\tend"], Feed(ref assembler, "\x1b[1;31mred\x1b[0m \x1b]0;title\x07te\bxt\tend\x1b[K\n"));
        Assert.Equal(["\u00e4"], Feed(ref assembler, "\u00e4\u001b7\n"));
    }

    [Fact]
    public void An_unterminated_sequence_ends_with_its_line()
    {
        LineAssembler assembler = default;
        Assert.Equal(["a", "b"], Feed(ref assembler, "a\x1b[12\nb\n"));
    }

    [Fact]
    public void What_was_shown_is_not_shown_again_and_stays_for_who_connects()
    {
        LineAssembler assembler = default;
        Assert.Empty(Feed(ref assembler, "\x1b[6n/ # "));
        Assert.Equal("/ # ", Encoding.UTF8.GetString(assembler.Line));
        assembler.MarkShown();
        Assert.False(assembler.HasUnprinted);
        Assert.Equal("\x1b[6n/ # ", Encoding.UTF8.GetString(assembler.Unfinished));
        Assert.Equal(["ls"], Feed(ref assembler, "ls\r\n"));
        Assert.Equal(0, assembler.Unfinished.Length);
    }

    [Fact]
    public void A_line_feed_after_a_shown_part_prints_no_empty_line()
    {
        LineAssembler assembler = default;
        Feed(ref assembler, "login: ");
        assembler.MarkShown();
        Assert.Equal(["next"], Feed(ref assembler, "\nnext\n"));
    }

    [Fact]
    public void A_long_line_is_cut_and_its_end_prints_no_empty_line()
    {
        LineAssembler assembler = default;
        string text = new('x', LineAssembler.Capacity);
        Assert.Equal([text], Feed(ref assembler, text + "\n"));
        Assert.Equal([text, "y"], Feed(ref assembler, text + "y\n"));
        Assert.Equal([""], Feed(ref assembler, "\n"));
    }

    [Fact]
    public void Any_bytes_keep_the_bounds_and_all_printable_ones()
    {
        Gen.Byte.Array[0, 2000].Sample(bytes =>
        {
            LineAssembler assembler = default;
            foreach (byte value in bytes)
            {
                if (assembler.Append(value) == LineEvent.Complete)
                {
                    Assert.True(assembler.Line.Length <= LineAssembler.Capacity);
                    foreach (byte shown in assembler.Line) Assert.True(shown is >= 0x20 and not 0x7F or (byte)'\t');
                    assembler.Next();
                }
                Assert.True(assembler.Line.Length < LineAssembler.Capacity);
                Assert.True(assembler.Unfinished.Length <= LineAssembler.Capacity);
            }
        }, iter: 300);
    }
}
