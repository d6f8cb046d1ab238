// Unpacks the LZ4 "legacy frame", the form in which Debian's cloud kernels are packed.
using System;
using System.Buffers.Binary;
using System.IO;

namespace Lamina.Tools.Guest;

/// <summary>Source: LZ4 Frame Format, "Legacy frame"; LZ4 Block Format, "Compressed block format".</summary>
public static class Lz4Legacy
{
    public const uint Magic = 0x184C2102;
    private const int LargestBlock = 8 << 20;
    private const int ShortestMatch = 4;

    /// <summary>Unpacks every block of the frame into a stream.</summary>
    /// <exception cref="Failure">The bytes are no such frame.</exception>
    public static void Unpack(ReadOnlySpan<byte> frame, Stream into)
    {
        if (frame.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(frame) != Magic)
            throw new Failure("not an LZ4 legacy frame");
        var block = new byte[LargestBlock];
        for (ReadOnlySpan<byte> rest = frame[4..]; rest.Length > 4;)
        {
            int size = BinaryPrimitives.ReadInt32LittleEndian(rest);
            if (size <= 0 || size > rest.Length - 4)
                throw new Failure("LZ4 block runs past the end");
            into.Write(block, 0, UnpackBlock(rest.Slice(4, size), block));
            rest = rest[(4 + size)..];
        }
    }

    // A block is a run of sequences: a token, literals, and a match (distance, length) in what was written so far;
    // the last sequence has literals only.
    private static int UnpackBlock(ReadOnlySpan<byte> from, byte[] into)
    {
        int at = 0, written = 0;
        while (at < from.Length)
        {
            int token = from[at++];
            int literals = Length(token >> 4, from, ref at);
            if (literals > from.Length - at || literals > into.Length - written)
                throw new Failure("LZ4 literals run past the end");
            from.Slice(at, literals).CopyTo(into.AsSpan(written));
            at += literals;
            written += literals;
            if (at >= from.Length)
                break;
            int distance = from[at] | from[at + 1] << 8;
            at += 2;
            int length = Length(token & 15, from, ref at) + ShortestMatch;
            if (distance == 0 || distance > written || length > into.Length - written)
                throw new Failure("LZ4 match points outside the block");
            for (int i = 0; i < length; i++, written++) // overlapping on purpose: a short distance repeats
                into[written] = into[written - distance];
        }
        return written;
    }

    private static int Length(int start, ReadOnlySpan<byte> from, ref int at)
    {
        int length = start;
        if (start == 15)
            for (int more = 255; more == 255; length += more)
                more = from[at++];
        return length;
    }
}
