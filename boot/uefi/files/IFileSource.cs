// Where the loader's files come from, as far as loading needs to know.
using System;

namespace Lamina.Boot;

/// <summary>A source of files, one open at a time. Names are UTF-8 as lamina.json has them: beside it, or absolute with a leading slash.</summary>
public unsafe interface IFileSource
{
    /// <summary>Most bytes that should be read at once, so that progress can be told in between.</summary>
    ulong LargestRead { get; }

    /// <summary>What it means that a file cannot be opened, behind its name.</summary>
    static abstract ReadOnlySpan<byte> WhyNot { get; }

    /// <summary>Opens a file and tells its length in bytes; false when it does not exist or is a directory.</summary>
    bool TryOpen(ReadOnlySpan<byte> name, out ulong length);

    /// <summary>Reads the next <paramref name="bytes"/> bytes of the open file; false on an error or a premature end.</summary>
    bool TryRead(void* destination, ulong bytes);

    /// <summary>Closes the open file.</summary>
    void Close();
}
