// A sparse file in memory as a stream, for formatters that write to one.
using System;
using System.IO;

namespace Lamina.Tests.Host.Storage;

public sealed class SparseStream(SparseFile file) : Stream
{
    public override bool CanRead => true;
    public override bool CanSeek => true;
    public override bool CanWrite => true;
    public override long Length => file.Length;
    public override long Position { get; set; }

    public override int Read(byte[] buffer, int offset, int count)
    {
        count = (int)Math.Min(count, Math.Max(0, file.Length - Position));
        file.Read(Position, buffer.AsSpan(offset, count));
        Position += count;
        return count;
    }

    public override void Write(byte[] buffer, int offset, int count)
    {
        file.Write(Position, buffer.AsSpan(offset, count));
        Position += count;
    }

    public override long Seek(long offset, SeekOrigin origin) => Position = offset + origin switch { SeekOrigin.Begin => 0, SeekOrigin.Current => Position, _ => Length };
    public override void SetLength(long value) => file.Length = value;
    public override void Flush() { }
}
