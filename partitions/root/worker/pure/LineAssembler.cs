// Makes lines of a guest's serial output: complete ones as they end, an unfinished one when its guest falls silent.
using System;
using System.Runtime.CompilerServices;

namespace Lamina.Root.Worker;

/// <summary>What one byte did to the line.</summary>
public enum LineEvent : byte
{
    /// <summary>Nothing to print yet.</summary>
    None,

    /// <summary><see cref="LineAssembler.Line"/> is complete (or full): print it, then call <see cref="LineAssembler.Next"/>.</summary>
    Complete,
}

/// <summary>
/// One guest's output. Control characters and escape sequences are left out, since a line that stands among others must not
/// move the cursor; what came since the last line feed is kept raw as well, so that whoever connects sees the prompt.
/// </summary>
public unsafe struct LineAssembler
{
    public const int Capacity = 240;
    private const byte Escape = 0x1B;

    private enum Sequence : byte { None, Introduced, Control, OperatingSystem }

    private TextBytes _text;
    private TextBytes _raw;
    private int _length;
    private int _shown;
    private int _rawLength;
    private Sequence _sequence;
    private bool _wrapped;

    [InlineArray(Capacity)] private struct TextBytes { private byte _first; }

    /// <summary>The part of the line that was not printed yet. Valid until the next call.</summary>
    [System.Diagnostics.CodeAnalysis.UnscopedRef]
    public ReadOnlySpan<byte> Line => new((byte*)Unsafe.AsPointer(ref _text) + _shown, _length - _shown);

    /// <summary>The unfinished line with everything in it, as the guest sent it (its latest bytes when it is long).</summary>
    [System.Diagnostics.CodeAnalysis.UnscopedRef]
    public ReadOnlySpan<byte> Unfinished => new(Unsafe.AsPointer(ref _raw), _rawLength);

    /// <summary>Whether a part of an unfinished line waits to be printed.</summary>
    public readonly bool HasUnprinted => _length > _shown;

    /// <summary>Takes one byte of output.</summary>
    public LineEvent Append(byte value)
    {
        if (value == '\n') return EndLine();
        AppendRaw(value);
        if (!IsText(value)) return LineEvent.None;
        ((byte*)Unsafe.AsPointer(ref _text))[_length++] = value;
        if (_length < Capacity) return LineEvent.None;
        _wrapped = true;
        return LineEvent.Complete;
    }

    /// <summary>The line was printed: begin the next.</summary>
    public void Next()
    {
        _length = 0;
        _shown = 0;
    }

    /// <summary>The unfinished part was printed, or seen by whoever is connected: don't print it again.</summary>
    public void MarkShown() => _shown = _length;

    private LineEvent EndLine()
    {
        bool nothingNew = _length == _shown && (_shown != 0 || _wrapped);
        _rawLength = 0;
        _sequence = Sequence.None;
        _wrapped = false;
        if (!nothingNew) return LineEvent.Complete;
        Next();
        return LineEvent.None;
    }

    private void AppendRaw(byte value)
    {
        byte* raw = (byte*)Unsafe.AsPointer(ref _raw);
        if (_rawLength == Capacity)
        {
            // Half is forgotten at a time, so that a long line costs little.
            for (int i = 0; i < Capacity / 2; i++) raw[i] = raw[Capacity / 2 + i];
            _rawLength = Capacity / 2;
        }
        raw[_rawLength++] = value;
    }

    /// <summary>Whether the byte is text; follows escape sequences over bytes. ECMA-48, "Control sequences".</summary>
    private bool IsText(byte value)
    {
        switch (_sequence)
        {
            case Sequence.Introduced:
                _sequence = value switch { (byte)'[' => Sequence.Control, (byte)']' => Sequence.OperatingSystem, _ => Sequence.None };
                return false;
            case Sequence.Control:
                if (value is >= 0x40 and <= 0x7E) _sequence = Sequence.None;
                return false;
            case Sequence.OperatingSystem:
                if (value == 7) _sequence = Sequence.None;
                else if (value == Escape) _sequence = Sequence.Introduced;
                return false;
        }
        if (value == Escape) _sequence = Sequence.Introduced;
        return value is >= 0x20 and not 0x7F or (byte)'\t';
    }
}
