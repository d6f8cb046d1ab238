// The token reader against System.Text.Json: what both accept is read alike, what one rejects the other does too.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Text.Json;
using CsCheck;
using Lamina.Root.Config;
using Xunit;

namespace Lamina.Tests.Host.Config;

public unsafe class JsonReaderTests
{
    private static List<string> Ours(byte[] bytes)
    {
        List<string> tokens = [];
        fixed (byte* text = bytes.Length == 0 ? new byte[1] : bytes)
        {
            Lamina.Root.Config.JsonReader reader = new(text, bytes.Length);
            byte* decoded = stackalloc byte[4096];
            while (reader.Read() is not (JsonToken.End or JsonToken.Error))
            {
                string detail = reader.Token switch
                {
                    JsonToken.Name or JsonToken.String => Encoding.UTF8.GetString(decoded, reader.CopyString(decoded, 4096)),
                    JsonToken.Number => Encoding.UTF8.GetString(reader.Raw),
                    _ => "",
                };
                tokens.Add(reader.Token + " " + detail);
            }
            if (reader.Token == JsonToken.Error) tokens.Add("Error");
        }
        return tokens;
    }

    private static List<string> Theirs(byte[] bytes)
    {
        List<string> tokens = [];
        Utf8JsonReader reader = new(bytes, new JsonReaderOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip, MaxDepth = 16 });
        try
        {
            while (reader.Read())
            {
                string detail = reader.TokenType switch
                {
                    JsonTokenType.PropertyName or JsonTokenType.String => reader.GetString(),
                    JsonTokenType.Number => Encoding.UTF8.GetString(reader.ValueSpan),
                    _ => "",
                };
                JsonToken token = reader.TokenType switch
                {
                    JsonTokenType.StartObject => JsonToken.ObjectStart, JsonTokenType.EndObject => JsonToken.ObjectEnd,
                    JsonTokenType.StartArray => JsonToken.ArrayStart, JsonTokenType.EndArray => JsonToken.ArrayEnd,
                    JsonTokenType.PropertyName => JsonToken.Name, JsonTokenType.String => JsonToken.String,
                    JsonTokenType.Number => JsonToken.Number, JsonTokenType.True => JsonToken.True,
                    JsonTokenType.False => JsonToken.False, _ => JsonToken.Null,
                };
                tokens.Add(token + " " + detail);
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { tokens.Add("Error"); }
        return tokens;
    }

    private static readonly string[] Pieces =
        ["{", "}", "[", "]", ":", ",", "\"a\"", "\"\\u00e9\\n\"", "\"\\ud83d\\ude00\"", "\"ä\"", "0", "-12", "1.5e3", "01", "true", "false", "null", "/* c */", "// d\n", " ", "\n", "\"", "x", "\"a\":", "{\"k\":1}"];

    [Fact]
    public void AgreesWithSystemTextJson() =>
        Gen.Int[0, Pieces.Length - 1].Array[0, 14].Sample(choice =>
        {
            byte[] bytes = Encoding.UTF8.GetBytes(string.Concat(choice.Select(i => Pieces[i])));
            List<string> ours = Ours(bytes), theirs = Theirs(bytes);
            bool bothFail = ours.Contains("Error") && theirs.Contains("Error");
            Assert.True(bothFail || ours.SequenceEqual(theirs), Encoding.UTF8.GetString(bytes) + "\n" + string.Join("|", ours) + "\n" + string.Join("|", theirs));
        }, iter: 20000);

    [Fact]
    public void StringsSurvive() =>
        Gen.String.Sample(text =>
        {
            if (text.Length > 500 || Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) != text) return;
            Assert.Equal(["String " + text], Ours(JsonSerializer.SerializeToUtf8Bytes(text)));
        });

    [Theory]
    [InlineData("9223372036854775807", true, long.MaxValue)]
    [InlineData("-9223372036854775808", true, long.MinValue)]
    [InlineData("9223372036854775808", false, 0)]
    [InlineData("-9223372036854775809", false, 0)]
    [InlineData("123456789012345678901234567890", false, 0)]
    [InlineData("1e3", false, 0)]
    [InlineData("-0", true, 0)]
    public void Integers(string text, bool isInteger, long value)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* p = bytes)
        {
            Lamina.Root.Config.JsonReader reader = new(p, bytes.Length);
            Assert.Equal(JsonToken.Number, reader.Read());
            Assert.Equal(isInteger, reader.IsInteger);
            Assert.Equal(value, reader.Integer);
        }
    }

    [Theory]
    [InlineData("\"\xC0\x80\"")]
    [InlineData("\"\xED\xA0\x80\"")]
    [InlineData("\"\xF4\x90\x80\x80\"")]
    [InlineData("\"\xE2\x82\"")]
    [InlineData("\"\\ud800\"")]
    [InlineData("\"\\udc00\"")]
    [InlineData("\"\\ud800\\u0041\"")]
    [InlineData("\"\\u12g4\"")]
    [InlineData("\"\\x\"")]
    [InlineData("\"a\nb\"")]
    public void BadStringsAreErrors(string latin1) => Assert.Equal(["Error"], Ours(Encoding.Latin1.GetBytes(latin1)));
}
