// The parser's lower half: keys, values of each type, and the lines that name a mistake.
using System;
using Lamina.Text;

namespace Lamina.Root.Config;

public unsafe partial struct ConfigParser
{
    /// <summary>Moves to the next known key of an object (in <c>_key</c>); reports and skips others. False at the end or on a syntax error.</summary>
    private bool TryNextKey(KeySet set, ref uint seen)
    {
        byte* key = stackalloc byte[ConfigKeys.MaxKeyLength];
        while (_reader.Read() == JsonToken.Name)
        {
            _set = set;
            int length = _reader.CopyString(key, ConfigKeys.MaxKeyLength);
            _key = length < 0 ? -1 : ConfigKeys.Find(set, new ReadOnlySpan<byte>(key, length));
            if (_key >= 0 && (seen >> _key & 1) == 0)
            {
                seen |= 1u << _key;
                return true;
            }
            if (_key >= 0) Report(_reader.TokenLine).Text("\""u8).Text(ConfigKeys.Get(set, _key)).Text("\" stands twice in the same object; expected it once"u8).Line();
            else ReportUnknownKey(new ReadOnlySpan<byte>(key, Math.Max(length, 0)));
            _reader.TrySkipValue();
        }
        return false;
    }

    private bool TryEnterArray(ReadOnlySpan<byte> expected)
    {
        if (_reader.Read() == JsonToken.ArrayStart) return true;
        ReportValue(expected);
        _reader.TrySkipValue();
        return false;
    }

    /// <summary>Moves to the next object of an array, reporting and skipping what is none. False at the end or on a syntax error.</summary>
    private bool TryNextElement(ReadOnlySpan<byte> expected)
    {
        while (_reader.Read() is not (JsonToken.ArrayEnd or JsonToken.Error))
        {
            if (_reader.Token == JsonToken.ObjectStart) return true;
            Describe(ref Report(_reader.TokenLine).Text("expected "u8).Text(expected).Text(", found "u8)).Line();
            _reader.TrySkipValue();
        }
        return false;
    }

    private void SkipSurplus(ref bool reported, int limit, ReadOnlySpan<byte> what)
    {
        if (!reported) Report(_reader.TokenLine).Text("at most "u8).Decimal((ulong)limit).Text(" "u8).Text(what).Text(" are possible; this and further ones are left out"u8).Line();
        reported = true;
        _reader.TrySkipValue();
    }

    private void ReadFlag(ref bool value)
    {
        JsonToken token = _reader.Read();
        if (token is JsonToken.True or JsonToken.False) value = token == JsonToken.True;
        else RefuseValue("true or false"u8);
    }

    private void ReadInteger(ref int value, int minimum, int maximum)
    {
        JsonToken token = _reader.Read();
        if (token == JsonToken.Number && _reader.IsInteger && _reader.Integer >= minimum && _reader.Integer <= maximum) { value = (int)_reader.Integer; return; }
        if (token == JsonToken.Error) return;
        Describe(ref BeginValue().Text("a whole number from "u8).Decimal((ulong)minimum).Text(" to "u8).Decimal((ulong)maximum).Text(", found "u8)).Line();
        _reader.TrySkipValue();
    }

    /// <summary>Which of up to four words the value is; -1 (reported) when none.</summary>
    private int ReadChoice(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ReadOnlySpan<byte> third, ReadOnlySpan<byte> fourth)
    {
        JsonToken token = _reader.Read();
        if (token == JsonToken.Error) return -1;
        if (token == JsonToken.String)
        {
            if (_reader.Raw.SequenceEqual(first)) return 0;
            if (_reader.Raw.SequenceEqual(second)) return 1;
            if (third.Length != 0 && _reader.Raw.SequenceEqual(third)) return 2;
            if (fourth.Length != 0 && _reader.Raw.SequenceEqual(fourth)) return 3;
        }
        ref TextWriter line = ref BeginValue().Text("\""u8).Text(first).Text("\""u8);
        if (third.Length != 0) line.Text(", \""u8).Text(second).Text("\", \""u8).Text(third).Text("\" or \""u8).Text(fourth).Text("\""u8);
        else line.Text(" or \""u8).Text(second).Text("\""u8);
        Describe(ref line.Text(", found "u8)).Line();
        _reader.TrySkipValue();
        return -1;
    }

    private ConfigText ReadText(int maxLength, ReadOnlySpan<byte> expected, bool mayBeEmpty = false)
    {
        if (_reader.Read() != JsonToken.String) { RefuseValue(expected); return default; }
        byte* start = _arena + _arenaUsed;
        int length = _reader.CopyString(start, _arenaCapacity - _arenaUsed - 1);
        if (length < 0) { BeginValue().Text("shorter: no room for more text"u8).Line(); return default; }
        for (int i = 0; i < length; i++)
            if (start[i] < 0x20 && start[i] != '\t') { BeginValue().Text(expected).Text(" without control characters"u8).Line(); return default; }
        if (length == 0 && !mayBeEmpty) { BeginValue().Text(expected).Text(", found an empty string"u8).Line(); return default; }
        if (length > maxLength) { BeginValue().Text(expected).Text(" of at most "u8).Decimal((ulong)maxLength).Text(" bytes, found "u8).Decimal((ulong)length).Line(); return default; }
        start[length] = 0;
        _arenaUsed += length + 1;
        return new ConfigText { Data = start, Length = length, Line = _reader.TokenLine };
    }

    private void RequireKey(uint seen, KeySet set, int key, int line, ReadOnlySpan<byte> owner)
    {
        if ((seen >> key & 1) == 0) Report(line).Text(owner).Text(" has no \""u8).Text(ConfigKeys.Get(set, key)).Text("\", which is required"u8).Line();
    }

    // ---- error lines -------------------------------------------------------------------------------------------------

    private ref TextWriter Report(int line)
    {
        _machine->ErrorCount++;
        return ref (*_errors).Text("lamina.json:"u8).Decimal((ulong)line).Text(": "u8);
    }

    private ref TextWriter BeginValue() => ref Report(_reader.TokenLine).Text("\""u8).Text(ConfigKeys.Get(_set, _key)).Text("\" must be "u8);

    private void ReportValue(ReadOnlySpan<byte> expected)
    {
        if (_reader.Token != JsonToken.Error) Describe(ref BeginValue().Text(expected).Text(", found "u8)).Line();
    }

    private void RefuseValue(ReadOnlySpan<byte> expected)
    {
        ReportValue(expected);
        _reader.TrySkipValue();
    }

    private void ReportDuplicate(in ConfigText name, ReadOnlySpan<byte> what, int firstLine)
    {
        Report(name.Line).Text("the name \""u8).Printable(name.Span).Text("\" belongs to the "u8).Text(what).Text(" of line "u8).Decimal((ulong)firstLine).Text("; expected another"u8).Line();
    }

    private void ReportUnknownKey(ReadOnlySpan<byte> key)
    {
        ref TextWriter line = ref Report(_reader.TokenLine).Text("unknown key \""u8);
        line.Printable(Shorten(_reader.Raw)).Text("\"; expected "u8);
        int nearest = ConfigKeys.FindNearest(_set, key);
        if (nearest >= 0) line.Text("perhaps \""u8).Text(ConfigKeys.Get(_set, nearest)).Text("\""u8);
        else
        {
            line.Text("one of"u8);
            for (int i = 0; ConfigKeys.Get(_set, i).Length != 0; i++) line.Text(i == 0 ? " "u8 : ", "u8).Text(ConfigKeys.Get(_set, i));
        }
        line.Line();
    }

    private void ReportSyntax()
    {
        int found = _reader.FoundByte;
        ref TextWriter line = ref Report(_reader.TokenLine).Text(ExpectedInstead(_reader.Error)).Text(", found "u8);
        if (found < 0) line.Text("the end of the file"u8);
        else if (found is '\n' or '\r') line.Text("the end of the line"u8);
        else if (found is > 0x20 and < 0x7F) line.Text("'"u8).Char((byte)found).Text("'"u8);
        else line.Text("byte "u8).Hex((ulong)found);
        line.Text(" (column "u8).Decimal((ulong)_reader.TokenColumn).Text("); nothing after it is read"u8).Line();
    }

    private ref TextWriter Describe(ref TextWriter line)
    {
        switch (_reader.Token)
        {
            case JsonToken.ObjectStart: return ref line.Text("an object"u8);
            case JsonToken.ArrayStart: return ref line.Text("an array"u8);
            case JsonToken.String: return ref line.Text("\""u8).Printable(Shorten(_reader.Raw)).Text("\""u8);
            default: return ref line.Printable(Shorten(_reader.Raw));
        }
    }

    private static ReadOnlySpan<byte> Shorten(ReadOnlySpan<byte> text) => text.Length > 40 ? text.Slice(0, 40) : text;

    private static ReadOnlySpan<byte> ExpectedInstead(JsonError error) => error switch
    {
        JsonError.EmptyText => "expected an object { … }"u8,
        JsonError.UnexpectedEnd => "expected the closing brace or bracket"u8,
        JsonError.UnterminatedComment => "expected */ somewhere after this comment's start"u8,
        JsonError.UnterminatedString => "expected a closing quotation mark in the same line"u8,
        JsonError.ControlCharacter => "expected no control character in a string (\\t, \\n … stand for them)"u8,
        JsonError.BadEscape => "expected \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u and four hexadecimal digits"u8,
        JsonError.LoneSurrogate => "expected a pair \\ud8xx\\udcxx"u8,
        JsonError.BadUtf8 => "expected UTF-8"u8,
        JsonError.BadNumber => "expected a number such as 12"u8,
        JsonError.ExpectedValue => "expected a value: \"text\", a number, true, false, { … } or [ … ]"u8,
        JsonError.ExpectedName => "expected a key in quotation marks or '}'"u8,
        JsonError.ExpectedColon => "expected ':' after the key"u8,
        JsonError.ExpectedCommaOrBrace => "expected ',' or '}' after the value"u8,
        JsonError.ExpectedCommaOrBracket => "expected ',' or ']' after the element"u8,
        JsonError.TextAfterEnd => "expected nothing after the closing brace"u8,
        JsonError.TooDeep => "expected at most 16 nested objects and arrays"u8,
        _ => "expected JSON"u8,
    };
}
