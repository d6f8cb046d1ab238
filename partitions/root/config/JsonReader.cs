// Reads JSON with comments one token at a time from memory that the caller owns; allocates nothing, never throws.
using System;

namespace Lamina.Root.Config;

/// <summary>What <see cref="JsonReader.Read"/> came upon. <c>Error</c> and <c>End</c> are final.</summary>
public enum JsonToken : byte { None, ObjectStart, ObjectEnd, ArrayStart, ArrayEnd, Name, String, Number, True, False, Null, End, Error }

/// <summary>Why reading ended with <see cref="JsonToken.Error"/>.</summary>
public enum JsonError : byte
{
    None, EmptyText, UnexpectedEnd, UnterminatedComment, UnterminatedString, ControlCharacter, BadEscape, LoneSurrogate, BadUtf8,
    BadNumber, ExpectedValue, ExpectedName, ExpectedColon, ExpectedCommaOrBrace, ExpectedCommaOrBracket, TextAfterEnd, TooDeep,
}

/// <summary>
/// RFC 8259 plus line and block comments, a comma after the last member or element, and a byte order mark at the
/// start: what editors write and accept as "JSON with comments". Lines and columns count from 1, columns in bytes.
/// </summary>
public unsafe struct JsonReader
{
    /// <summary>Objects and arrays nested deeper than this are an error.</summary>
    public const int MaxDepth = 16;

    private enum Expect : byte { Value, ValueOrEnd, NameOrEnd, AfterValue }

    private readonly byte* _text;
    private readonly int _length;
    private int _position;
    private int _lineStart;
    private int _line;
    private uint _isObject;
    private Expect _expect;
    private int _tokenStart;
    private int _tokenLength;

    /// <summary>Reads <paramref name="length"/> bytes at <paramref name="text"/>; they must not change meanwhile.</summary>
    public JsonReader(byte* text, int length)
    {
        this = default;
        _text = text;
        _length = length < 0 ? 0 : length;
        _line = 1;
        TokenLine = 1;
        if (_length >= 3 && text[0] == 0xEF && text[1] == 0xBB && text[2] == 0xBF) _position = _lineStart = 3;
    }

    public JsonToken Token { get; private set; }
    public JsonError Error { get; private set; }

    /// <summary>How many objects and arrays are open.</summary>
    public int Depth { get; private set; }

    /// <summary>Where the current token starts; for <c>Error</c>, where the text stops making sense.</summary>
    public int TokenLine { get; private set; }
    public int TokenColumn { get; private set; }

    /// <summary>Whether the current <c>Number</c> has neither fraction nor exponent and fits in <see cref="Integer"/>.</summary>
    public bool IsInteger { get; private set; }
    public long Integer { get; private set; }

    /// <summary>The source bytes of the current token; of a name or string what is between the quotes, escapes and all.</summary>
    public readonly ReadOnlySpan<byte> Raw => new(_text + _tokenStart, _tokenLength);

    /// <summary>The byte at which reading failed, -1 at the end of the text.</summary>
    public readonly int FoundByte => _position < _length ? _text[_position] : -1;

    /// <summary>Moves to the next token.</summary>
    public JsonToken Read()
    {
        if (Token is JsonToken.Error or JsonToken.End) return Token;
        if (!TrySkipBlank()) return Fail(JsonError.UnterminatedComment);
        if (_expect == Expect.AfterValue && Depth > 0)
        {
            if (_position >= _length) return Fail(JsonError.UnexpectedEnd);
            if (_text[_position] == (InObject ? '}' : ']')) return Close();
            if (_text[_position] != ',') return Fail(InObject ? JsonError.ExpectedCommaOrBrace : JsonError.ExpectedCommaOrBracket);
            _position++;
            _expect = InObject ? Expect.NameOrEnd : Expect.ValueOrEnd;
            if (!TrySkipBlank()) return Fail(JsonError.UnterminatedComment);
        }
        MarkToken();
        if (_position >= _length)
        {
            if (_expect == Expect.AfterValue) return Token = JsonToken.End;
            return Fail(Depth == 0 ? JsonError.EmptyText : JsonError.UnexpectedEnd);
        }
        byte first = _text[_position];
        switch (_expect)
        {
            case Expect.AfterValue: return Fail(JsonError.TextAfterEnd);
            case Expect.NameOrEnd: return first == '}' ? Close() : first == '"' ? ReadName() : Fail(JsonError.ExpectedName);
            case Expect.ValueOrEnd when first == ']': return Close();
            default: return ReadValue(first);
        }
    }

    /// <summary>From a name or the start of a value to that value's last token. False when the text is in error.</summary>
    public bool TrySkipValue()
    {
        if (Token == JsonToken.Name) Read();
        if (Token is JsonToken.ObjectStart or JsonToken.ArrayStart)
        {
            int depth = Depth - 1;
            while (Depth > depth && Token != JsonToken.Error) Read();
        }
        return Token != JsonToken.Error;
    }

    /// <summary>Decodes the current name or string. Returns its length in bytes, or -1 when it exceeds <paramref name="capacity"/>.</summary>
    public readonly int CopyString(byte* destination, int capacity)
    {
        int written = 0, position = _tokenStart, end = _tokenStart + _tokenLength;
        byte* piece = stackalloc byte[4];
        while (position < end)
        {
            int count = 1;
            if (_text[position] != '\\') piece[0] = _text[position++];
            else count = DecodeEscape(ref position, piece);
            if (written + count > capacity) return -1;
            for (int i = 0; i < count; i++) destination[written++] = piece[i];
        }
        return written;
    }

    private readonly bool InObject => (_isObject >> (Depth - 1) & 1) != 0;

    private void MarkToken()
    {
        TokenLine = _line;
        TokenColumn = _position - _lineStart + 1;
        _tokenStart = _position;
        _tokenLength = 0;
    }

    private JsonToken Fail(JsonError error)
    {
        MarkToken();
        Error = error;
        return Token = JsonToken.Error;
    }

    private JsonToken Close()
    {
        MarkToken();
        _position++;
        Token = InObject ? JsonToken.ObjectEnd : JsonToken.ArrayEnd;
        Depth--;
        _expect = Expect.AfterValue;
        return Token;
    }

    private JsonToken Open(JsonToken token)
    {
        if (Depth == MaxDepth) return Fail(JsonError.TooDeep);
        _position++;
        bool isObject = token == JsonToken.ObjectStart;
        _isObject = isObject ? _isObject | 1u << Depth : _isObject & ~(1u << Depth);
        Depth++;
        _expect = isObject ? Expect.NameOrEnd : Expect.ValueOrEnd;
        return Token = token;
    }

    private JsonToken ReadName()
    {
        JsonError error = ReadString();
        if (error != JsonError.None) return Fail(error);
        int line = TokenLine, column = TokenColumn, start = _tokenStart, length = _tokenLength;
        if (!TrySkipBlank()) return Fail(JsonError.UnterminatedComment);
        if (_position >= _length) return Fail(JsonError.UnexpectedEnd);
        if (_text[_position] != ':') return Fail(JsonError.ExpectedColon);
        _position++;
        TokenLine = line;
        TokenColumn = column;
        _tokenStart = start;
        _tokenLength = length;
        _expect = Expect.Value;
        return Token = JsonToken.Name;
    }

    private JsonToken ReadValue(byte first)
    {
        if (first == '{') return Open(JsonToken.ObjectStart);
        if (first == '[') return Open(JsonToken.ArrayStart);
        _expect = Expect.AfterValue;
        if (first == '"')
        {
            JsonError error = ReadString();
            return error == JsonError.None ? Token = JsonToken.String : Fail(error);
        }
        if (first == '-' || IsDigit(first)) return ReadNumber() ? Token = JsonToken.Number : Fail(JsonError.BadNumber);
        if (TryWord("true"u8)) return Token = JsonToken.True;
        if (TryWord("false"u8)) return Token = JsonToken.False;
        if (TryWord("null"u8)) return Token = JsonToken.Null;
        return Fail(JsonError.ExpectedValue);
    }

    private bool TryWord(ReadOnlySpan<byte> word)
    {
        if (_length - _position < word.Length) return false;
        for (int i = 0; i < word.Length; i++) if (_text[_position + i] != word[i]) return false;
        if (_position + word.Length < _length && IsWordByte(_text[_position + word.Length])) return false;
        _position += word.Length;
        _tokenLength = word.Length;
        return true;
    }

    private bool ReadNumber()
    {
        int p = _position;
        bool negative = _text[p] == '-';
        if (negative) p++;
        int firstDigit = p;
        // Counted downwards, since the range of negative numbers is the larger one.
        long value = 0;
        bool fits = true;
        for (; p < _length && IsDigit(_text[p]); p++)
        {
            int digit = _text[p] - '0';
            if (value < (long.MinValue + digit) / 10) fits = false;
            else value = value * 10 - digit;
        }
        bool good = p > firstDigit && (_text[firstDigit] != '0' || p == firstDigit + 1);
        bool whole = true;
        if (p < _length && _text[p] == '.')
        {
            whole = false;
            int start = ++p;
            while (p < _length && IsDigit(_text[p])) p++;
            good &= p > start;
        }
        if (p < _length && _text[p] is (byte)'e' or (byte)'E')
        {
            whole = false;
            p++;
            if (p < _length && _text[p] is (byte)'+' or (byte)'-') p++;
            int start = p;
            while (p < _length && IsDigit(_text[p])) p++;
            good &= p > start;
        }
        if (p < _length && IsWordByte(_text[p])) good = false;
        if (!negative && value == long.MinValue) fits = false;
        if (!good) return false;
        _tokenLength = p - _position;
        _position = p;
        IsInteger = whole && fits;
        Integer = IsInteger ? negative ? value : -value : 0;
        return true;
    }

    private JsonError ReadString()
    {
        int start = ++_position;
        while (_position < _length)
        {
            byte value = _text[_position];
            if (value == '"')
            {
                _tokenStart = start;
                _tokenLength = _position++ - start;
                return JsonError.None;
            }
            if (value is (byte)'\n' or (byte)'\r') return JsonError.UnterminatedString;
            if (value < 0x20) return JsonError.ControlCharacter;
            int step = 1;
            if (value == '\\')
            {
                JsonError error = CheckEscape(out step);
                if (error != JsonError.None) return error;
            }
            else if (value >= 0x80)
            {
                step = Utf8Length(_position);
                if (step == 0) return JsonError.BadUtf8;
            }
            _position += step;
        }
        return JsonError.UnterminatedString;
    }

    private readonly JsonError CheckEscape(out int length)
    {
        length = 2;
        if (_position + 1 >= _length) return JsonError.UnterminatedString;
        byte kind = _text[_position + 1];
        if (kind is (byte)'"' or (byte)'\\' or (byte)'/' or (byte)'b' or (byte)'f' or (byte)'n' or (byte)'r' or (byte)'t') return JsonError.None;
        if (kind != 'u') return JsonError.BadEscape;
        int unit = HexUnit(_position + 2);
        if (unit < 0) return JsonError.BadEscape;
        length = 6;
        if (unit is < 0xD800 or > 0xDFFF) return JsonError.None;
        if (unit > 0xDBFF || _position + 7 >= _length || _text[_position + 6] != '\\' || _text[_position + 7] != 'u') return JsonError.LoneSurrogate;
        if (HexUnit(_position + 8) is < 0xDC00 or > 0xDFFF) return JsonError.LoneSurrogate;
        length = 12;
        return JsonError.None;
    }

    // Called for escapes that CheckEscape has passed.
    private readonly int DecodeEscape(ref int position, byte* piece)
    {
        byte kind = _text[position + 1];
        position += 2;
        if (kind != 'u')
        {
            piece[0] = kind switch { (byte)'b' => 8, (byte)'f' => 12, (byte)'n' => 10, (byte)'r' => 13, (byte)'t' => 9, _ => kind };
            return 1;
        }
        int scalar = HexUnit(position);
        position += 4;
        if (scalar is >= 0xD800 and <= 0xDBFF)
        {
            scalar = 0x10000 + ((scalar - 0xD800) << 10) + (HexUnit(position + 2) - 0xDC00);
            position += 6;
        }
        if (scalar < 0x80) { piece[0] = (byte)scalar; return 1; }
        int count = scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
        for (int i = count - 1; i > 0; i--, scalar >>= 6) piece[i] = (byte)(0x80 | scalar & 0x3F);
        piece[0] = (byte)(0xF00 >> count | scalar);
        return count;
    }

    private readonly int HexUnit(int position)
    {
        if (position + 4 > _length) return -1;
        int unit = 0;
        for (int i = 0; i < 4; i++)
        {
            byte c = _text[position + i];
            int digit = IsDigit(c) ? c - '0' : (c | 0x20) is >= 'a' and <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
            if (digit < 0) return -1;
            unit = unit << 4 | digit;
        }
        return unit;
    }

    // RFC 3629: shortest form only, no surrogates, nothing above U+10FFFF. 0 when it is not UTF-8.
    private readonly int Utf8Length(int position)
    {
        byte lead = _text[position];
        int count = lead is >= 0xC2 and <= 0xDF ? 2 : lead is >= 0xE0 and <= 0xEF ? 3 : lead is >= 0xF0 and <= 0xF4 ? 4 : 0;
        if (count == 0 || position + count > _length) return 0;
        for (int i = 1; i < count; i++) if ((_text[position + i] & 0xC0) != 0x80) return 0;
        byte second = _text[position + 1];
        bool bad = lead == 0xE0 && second < 0xA0 || lead == 0xED && second > 0x9F || lead == 0xF0 && second < 0x90 || lead == 0xF4 && second > 0x8F;
        return bad ? 0 : count;
    }

    private bool TrySkipBlank()
    {
        while (_position < _length)
        {
            byte value = _text[_position];
            if (value == '\n') { _line++; _lineStart = ++_position; }
            else if (value is (byte)' ' or (byte)'\t' or (byte)'\r') _position++;
            else if (value != '/') return true;
            else if (_position + 1 < _length && _text[_position + 1] == '/') SkipLineComment();
            else if (_position + 1 < _length && _text[_position + 1] == '*') { if (!TrySkipBlockComment()) return false; }
            else return true;
        }
        return true;
    }

    private void SkipLineComment()
    {
        while (_position < _length && _text[_position] != '\n') _position++;
    }

    private bool TrySkipBlockComment()
    {
        int start = _position, line = _line, lineStart = _lineStart;
        for (_position += 2; _position + 1 < _length; _position++)
        {
            if (_text[_position] == '\n') { _line++; _lineStart = _position + 1; }
            if (_text[_position] == '*' && _text[_position + 1] == '/') { _position += 2; return true; }
        }
        // Report where the comment was opened: the end of the file helps nobody.
        _position = start;
        _line = line;
        _lineStart = lineStart;
        return false;
    }

    private static bool IsDigit(byte value) => value is >= (byte)'0' and <= (byte)'9';
    private static bool IsWordByte(byte value) => IsDigit(value) || (value | 0x20) is >= 'a' and <= 'z' || value is (byte)'_' or (byte)'.' or >= 0x80;
}
