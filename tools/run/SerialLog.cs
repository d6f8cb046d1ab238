// What came out of a serial port: raw to a file, and as clean text to match against.
using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>What a pattern matched, and where in the log the match ends.</summary>
public sealed record SerialMatch(string Value, int End);

/// <summary>Grows while the machine runs. Escape sequences are dropped from the text; it only ever grows.</summary>
public sealed class SerialLog(Stream copy = null)
{
    private enum State { Plain, Escape, Sequence, Title }

    private readonly Lock gate = new();
    private readonly StringBuilder text = new();
    private readonly Decoder decoder = Encoding.UTF8.GetDecoder();
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private State state;
    private bool returned; // a carriage return came, and nothing visible since

    /// <summary>Everything so far.</summary>
    public string Text { get { lock (gate) return text.ToString(); } }

    public int Length { get { lock (gate) return text.Length; } }

    /// <summary>True once nothing more can come.</summary>
    public bool Ended { get; private set; }

    /// <returns>The clean text that these bytes added.</returns>
    public string Append(ReadOnlySpan<byte> bytes)
    {
        TaskCompletionSource before;
        string added;
        lock (gate)
        {
            copy?.Write(bytes);
            copy?.Flush();
            var characters = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length)];
            int count = decoder.GetChars(bytes, characters, flush: false);
            int length = text.Length;
            foreach (char c in characters.AsSpan(0, count))
                Take(c);
            added = text.ToString(length, text.Length - length);
            before = changed;
            changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        before.TrySetResult();
        return added;
    }

    public void End()
    {
        lock (gate)
            Ended = true;
        changed.TrySetResult();
    }

    /// <summary>Waits for a match at or after a position.</summary>
    /// <returns>The match, or null when the machine ended without one.</returns>
    public async Task<SerialMatch> WaitAsync(Regex pattern, int from, CancellationToken stop)
    {
        int start = from;
        while (true)
        {
            Task next;
            string window;
            bool ended;
            lock (gate)
            {
                next = changed.Task;
                ended = Ended;
                window = text.ToString(start, text.Length - start);
            }
            Match match = pattern.Match(window);
            if (match.Success)
                return new SerialMatch(match.Value, start + match.Index + match.Length);
            if (ended)
                return null;
            start += KeptFrom(window);
            await next.WaitAsync(stop);
        }
    }

    /// <summary>The last lines, for a failure's report.</summary>
    public string[] Tail(int lines) => Text.TrimEnd().Split('\n').TakeLast(lines).ToArray();

    // A pattern may span a few lines; what lies further back has had its chance.
    private static int KeptFrom(string window)
    {
        int at = window.Length;
        for (int lines = 0; lines < 32 && at > 0; lines++)
            at = window.LastIndexOf('\n', at - 1);
        return at < 0 ? 0 : at;
    }

    private void Take(char c)
    {
        // One that was cut off, by another writer to the same line, ends here: it must not swallow what follows.
        if (c is '\r' or '\n' || c == '\x1b' && state != State.Title)
            state = State.Plain;
        switch (state)
        {
            case State.Escape:
                state = c == '[' ? State.Sequence : c == ']' ? State.Title : State.Plain;
                break;
            case State.Sequence:
                if (c is < '@' or > '~')
                    break;
                state = State.Plain;
                if (c == 'K' && returned)
                    StartOver();
                break;
            case State.Title:
                if (c is '\a' or '\\')
                    state = State.Plain;
                break;
            default:
                TakePlain(c);
                break;
        }
    }

    private void TakePlain(char c)
    {
        if (c == '\x1b')
            state = State.Escape;
        else if (c == '\r')
            returned = true;
        else if (c is '\n' or '\t' || c >= ' ')
        {
            if (returned && c != '\n')
                StartOver();
            returned = false;
            text.Append(c);
        }
    }

    // A line that is written over, such as a prompt that makes way, ends here: what replaces it is a line of its own.
    private void StartOver()
    {
        returned = false;
        if (text.Length > 0 && text[^1] != '\n')
            text.Append('\n');
    }
}
