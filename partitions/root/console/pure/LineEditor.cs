// The line that is being typed: its text, and what the terminal must be sent for each key.
using System;
using Lamina.Text;

namespace Lamina.Root.Kernel;

/// <summary>What a key did to the line.</summary>
public enum EditResult : byte
{
    /// <summary>The line goes on.</summary>
    Editing,

    /// <summary>The line is complete; read it, then clear the editor.</summary>
    Entered,

    /// <summary>The line was given up and is empty.</summary>
    Cancelled,
}

/// <summary>Appends and erases at the end: enough for commands of a few words. Sequences of arrow and function keys are swallowed.</summary>
public unsafe struct LineEditor
{
    public const int Capacity = 240;
    private const byte CtrlC = 3, CtrlU = 21, Backspace = 8, Delete = 127, Escape = 27, Return = 13, LineFeed = 10;

    private enum State : byte { Text, AfterEscape, Sequence }

    private fixed byte text[Capacity];
    private int length;
    private State state;
    private bool afterReturn;

    /// <summary>Copies the line out; returns its length, cut to what fits.</summary>
    public readonly int CopyTo(Span<byte> target)
    {
        int count = Math.Min(length, target.Length);
        for (int i = 0; i < count; i++) target[i] = text[i];
        return count;
    }

    public void Clear() => length = 0;

    /// <summary>Takes a key; <paramref name="echo"/> gets what the terminal has to show for it, at most 3 bytes for each character erased.</summary>
    public EditResult Put(byte key, ref TextWriter echo)
    {
        bool secondOfPair = key == LineFeed && afterReturn;
        afterReturn = key == Return;
        if (state != State.Text)
        {
            Swallow(key);
            return EditResult.Editing;
        }
        switch (key)
        {
            case LineFeed when secondOfPair:
                return EditResult.Editing;
            case Return or LineFeed:
                echo.Text("\r\n"u8);
                return EditResult.Entered;
            case CtrlC:
                length = 0;
                echo.Text("^C\r\n"u8);
                return EditResult.Cancelled;
            case CtrlU:
                while (length > 0) Erase(ref echo);
                return EditResult.Editing;
            case Backspace or Delete:
                if (length > 0) Erase(ref echo);
                return EditResult.Editing;
            case Escape:
                state = State.AfterEscape;
                return EditResult.Editing;
            default:
                Append(key, ref echo);
                return EditResult.Editing;
        }
    }

    private void Append(byte key, ref TextWriter echo)
    {
        if (key is < 0x20 or > 0x7E || length == Capacity) return;
        text[length++] = key;
        echo.Char(key);
    }

    private void Erase(ref TextWriter echo)
    {
        length--;
        echo.Text("\b \b"u8);
    }

    /// <summary>ESC, then one byte; if that is '[' or 'O', everything up to a letter or tilde.</summary>
    private void Swallow(byte key)
    {
        if (state == State.AfterEscape && key is (byte)'[' or (byte)'O') state = State.Sequence;
        else if (state == State.AfterEscape || key is >= 0x40 and <= 0x7E) state = State.Text;
    }
}
