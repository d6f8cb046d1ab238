// The serial log as text: what of the terminal's language is dropped, and what never may be.
using System.Text;
using Lamina.Tools.Run;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class SerialLogTests
{
    private static string TextOf(params string[] pieces)
    {
        var log = new SerialLog();
        foreach (string piece in pieces)
            log.Append(Encoding.UTF8.GetBytes(piece));
        return log.Text;
    }

    [Fact]
    public void Escape_sequences_are_dropped() =>
        Assert.Equal("red\nplain\n", TextOf("\u001b[31mred\u001b[0m\r\n\u001b]0;title\aplain\r\n"));

    [Fact]
    public void A_sequence_may_come_in_pieces() => Assert.Equal("red", TextOf("\u001b", "[3", "1", "mred"));

    // A guest's shell asks where the cursor is, and the console takes the line in the midst of it.
    [Theory]
    [InlineData("\u001b[6\r\ndisconnected from two\r\n")]
    [InlineData("\u001b[6\ndisconnected from two\r\n")]
    [InlineData("\u001b[\r\ndisconnected from two\r\n")]
    [InlineData("\u001b\r\ndisconnected from two\r\n")]
    [InlineData("\u001b]0;ti\r\ndisconnected from two\r\n")]
    public void A_sequence_that_is_cut_off_takes_nothing_of_the_next_line(string text) =>
        Assert.Equal("# \ndisconnected from two\n", TextOf("# " + text));

    [Fact]
    public void A_new_sequence_ends_one_that_is_cut_off() => Assert.Equal("# red", TextOf("# \u001b[6\u001b[31mred"));

    [Fact]
    public void A_prompt_that_makes_way_is_a_line_of_its_own() => Assert.Equal("lamina> \nVM two: started\n", TextOf("lamina> \r\u001b[KVM two: started\r\n"));
}
