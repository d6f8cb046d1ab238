// A file in memory that holds only what was written, and performs the steps that format planners ask for; it can record its writes
// and take back any of those that no flush made durable.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Tests.Host.Storage;

public sealed class SparseFile
{
    private const int PageBytes = 4096;
    private readonly Dictionary<long, byte[]> pages = [];

    public long Length { get; set; }

    /// <summary>Every write (null: a flush) since the start, when not null.</summary>
    public List<(long Offset, byte[] Data)?> Log;

    /// <summary>Writes beyond fail: the volume is full.</summary>
    public ulong Room = ulong.MaxValue;

    /// <summary>Fails the write or read when it returns true.</summary>
    public Func<StepKind, bool> Fail = _ => false;

    public void Read(long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int within = (int)(offset % PageBytes), count = Math.Min(destination.Length, PageBytes - within);
            if (pages.TryGetValue(offset / PageBytes, out byte[] page)) page.AsSpan(within, count).CopyTo(destination);
            else destination[..count].Clear();
            destination = destination[count..];
            offset += count;
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        Log?.Add((offset, source.ToArray()));
        Length = Math.Max(Length, offset + source.Length);
        while (!source.IsEmpty)
        {
            int within = (int)(offset % PageBytes), count = Math.Min(source.Length, PageBytes - within);
            ReadOnlySpan<byte> part = source[..count];
            if (pages.TryGetValue(offset / PageBytes, out byte[] page)) part.CopyTo(page.AsSpan(within));
            else if (part.IndexOfAnyExcept((byte)0) >= 0) part.CopyTo((pages[offset / PageBytes] = new byte[PageBytes]).AsSpan(within));
            source = source[count..];
            offset += count;
        }
    }

    public void Flush() => Log?.Add(null);

    public SparseFile Clone()
    {
        SparseFile copy = new() { Length = Length };
        foreach (var (index, page) in pages) copy.pages[index] = [.. page];
        return copy;
    }

    public static SparseFile Load(string path)
    {
        SparseFile file = new();
        using FileStream stream = File.OpenRead(path);
        byte[] buffer = new byte[1 << 16];
        for (int count; (count = stream.Read(buffer)) != 0;) file.Write(file.Length, buffer.AsSpan(0, count));
        return file;
    }

    public void Save(string path)
    {
        using FileStream stream = File.Create(path);
        stream.SetLength(Length);
        foreach (var (index, page) in pages.OrderBy(p => p.Key))
        {
            stream.Position = index * PageBytes;
            stream.Write(page.AsSpan(0, (int)Math.Min(PageBytes, Math.Max(0, Length - index * PageBytes))));
        }
    }

    /// <summary>Performs one step of metadata or data; false if it failed, be it by <see cref="Fail"/> or by reading beyond the end.</summary>
    public unsafe bool Perform(in BlockStep step, Span<byte> data)
    {
        if (Fail(step.Kind) || (step.Kind is StepKind.Write or StepKind.WriteZeros && step.Offset + step.Length > Math.Max(Room, (ulong)Length))) return false;
        Span<byte> memory = step.Buffer != null ? new(step.Buffer, (int)step.Length)
            : step.Kind is StepKind.Read or StepKind.Write or StepKind.ZeroData or StepKind.ReadParent ? data.Slice((int)step.DataOffset, (int)step.Length) : default;
        switch (step.Kind)
        {
            case StepKind.Read:
                if (step.Offset > (ulong)Length || step.Length > (ulong)Length - step.Offset) return false;
                Read((long)step.Offset, memory);
                return true;
            case StepKind.Write: Write((long)step.Offset, memory); return true;
            case StepKind.WriteZeros: Write((long)step.Offset, new byte[step.Length]); return true;
            case StepKind.Flush: Flush(); return true;
            case StepKind.ZeroData: memory.Clear(); return true;
            default: throw new InvalidOperationException(step.Kind.ToString());
        }
    }
}
