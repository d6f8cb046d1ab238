// Makes exFAT volumes in files and puts files onto them, with the same planners that the root uses.
using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Tools.Run;

/// <summary>An exFAT volume in a file, or in a partition of a disk image; neither root nor a mount is needed.</summary>
public static class ExFatVolume
{
    /// <summary>Makes an empty volume; the file grows to hold it, and stays sparse.</summary>
    /// <param name="label">At most 11 characters.</param>
    /// <param name="offset">Where in the file the volume begins, in bytes.</param>
    public static void Create(string imagePath, long sizeBytes, string label, long offset = 0)
    {
        using FileStream stream = new(imagePath, FileMode.OpenOrCreate, FileAccess.ReadWrite);
        if (stream.Length < offset + sizeBytes) stream.SetLength(offset + sizeBytes);
        new ExFatFormat(sizeBytes).Write(stream, offset, label);
    }

    /// <summary>Puts a file onto the volume; directories on the way are made, a file of that name is replaced. What is zero in the source
    /// and in the volume's file is not written, so that both may be sparse.</summary>
    /// <param name="nameOnVolume">With / or \ between names.</param>
    public static void AddFile(string imagePath, string nameOnVolume, string sourceFile, long offset = 0)
    {
        using FileStream stream = new(imagePath, FileMode.Open, FileAccess.ReadWrite);
        using FileStream source = new(sourceFile, FileMode.Open, FileAccess.Read);
        using Mounted volume = new(stream, offset);
        volume.Add(nameOnVolume, source);
        volume.Unmount();
    }

    /// <summary>Copies a file from the volume.</summary>
    public static void ExtractFile(string imagePath, string nameOnVolume, string targetFile, long offset = 0)
    {
        using FileStream stream = new(imagePath, FileMode.Open, FileAccess.Read);
        using FileStream target = new(targetFile, FileMode.Create, FileAccess.Write);
        using Mounted volume = new(stream, offset, writable: false);
        volume.Extract(nameOnVolume, target);
    }

    private unsafe sealed class Mounted : IDisposable
    {
        private const uint Runs = 1 << 16;
        private const int ChunkBytes = 1 << 20;

        private readonly Stream stream;
        private readonly long offset;
        private readonly byte* workspace = Allocate(Drivers.Storage.FileSystems.ExFatVolume.WorkspaceBytes);
        private readonly Drivers.Storage.FileSystems.ExFatVolume* volume = (Drivers.Storage.FileSystems.ExFatVolume*)Allocate((uint)sizeof(Drivers.Storage.FileSystems.ExFatVolume));
        private readonly ExFatFile* file = (ExFatFile*)Allocate((uint)sizeof(ExFatFile));
        private readonly ExFatRun* runs = (ExFatRun*)Allocate(Runs * (uint)sizeof(ExFatRun));
        private readonly byte[] chunk = new byte[ChunkBytes], present = new byte[ChunkBytes];
        private byte* memory;

        public Mounted(Stream stream, long offset, bool writable = true)
        {
            this.stream = stream;
            this.offset = offset;
            *volume = new(workspace, (ulong)(stream.Length - offset), writable);
            ExFatMount mount = new(volume);
            for (bool success = true; ;)
            {
                BlockStep step = mount.Advance(success, memory);
                if (step.Kind == StepKind.NeedMemory) memory = Allocate(step.Length);
                else if (step.Kind == StepKind.Finished)
                {
                    Require(step.Status, "the volume");
                    return;
                }
                else success = Perform(step);
            }
        }

        private static byte* Allocate(uint bytes) => (byte*)NativeMemory.AllocZeroed(bytes);

        public void Dispose()
        {
            NativeMemory.Free(memory);
            NativeMemory.Free(runs);
            NativeMemory.Free(file);
            NativeMemory.Free(volume);
            NativeMemory.Free(workspace);
        }

        private static void Require(ImageStatus status, string what)
        {
            if (status != ImageStatus.Success) throw new Failure($"exFAT: {what}: {status}");
        }

        public void Add(string name, Stream source)
        {
            name = name.Replace('\\', '/').Trim('/');
            DateTime now = DateTime.UtcNow;
            volume->Timestamp = ExFatTimestamp.From((uint)now.Year, (uint)now.Month, (uint)now.Day, (uint)now.Hour, (uint)now.Minute, (uint)now.Second);
            for (int at = name.IndexOf('/'); at > 0; at = name.IndexOf('/', at + 1))
                if (Create(name[..at], true) is var made and not (ImageStatus.Success or ImageStatus.Exists)) Require(made, name[..at]);
            if (Create(name, false) is var status && status == ImageStatus.Exists)
            {
                Require(Open(name, true), name);
                Require(Request(ExFatOperation.Remove, 0, 0), name);
                status = Create(name, false);
            }
            Require(status, name);
            Require(Open(name, true), name);
            Require(Request(ExFatOperation.Resize, (ulong)source.Length, 0), name);
            for (long at = 0; at < source.Length; at += ChunkBytes)
            {
                int length = source.ReadAtLeast(chunk, ChunkBytes, false), whole = (length + 511) & ~511;
                chunk.AsSpan(length, whole - length).Clear();
                Require(Request(ExFatOperation.Write, (ulong)at, (uint)whole), name);
            }
            Require(Request(ExFatOperation.Resize, (ulong)source.Length, 0), name);
            Require(Request(ExFatOperation.Flush, 0, 0), name);
            file->TryClose();
        }

        public void Extract(string name, Stream target)
        {
            Require(Open(name, false), name);
            ulong length = file->DataLength;
            for (ulong at = 0; at < length; at += ChunkBytes)
            {
                int part = (int)Math.Min(ChunkBytes, length - at);
                Require(Request(ExFatOperation.Read, at, (uint)(part + 511 & ~511)), name);
                target.Write(chunk, 0, part);
            }
            file->TryClose();
        }

        public void Unmount()
        {
            ExFatUnmount unmount = new(volume);
            BlockStep step = unmount.Advance(true);
            while (step.Kind != StepKind.Finished) step = unmount.Advance(Perform(step));
            Require(step.Status, "unmounting");
        }

        private ImageStatus Create(string name, bool directory)
        {
            byte[] path = Encoding.UTF8.GetBytes(name);
            fixed (byte* at = path)
            {
                ExFatCreate create = new(volume, at, (uint)path.Length, directory);
                BlockStep step = create.Advance(true);
                while (step.Kind != StepKind.Finished) step = create.Advance(Perform(step));
                return step.Status;
            }
        }

        private ImageStatus Open(string name, bool writable)
        {
            byte[] path = Encoding.UTF8.GetBytes(name);
            fixed (byte* at = path)
            {
                ExFatOpen open = new(volume, file, runs, Runs, at, (uint)path.Length, writable);
                BlockStep step = open.Advance(true);
                while (step.Kind != StepKind.Finished) step = open.Advance(Perform(step));
                return step.Status;
            }
        }

        private ImageStatus Request(ExFatOperation operation, ulong at, uint length)
        {
            ExFatRequest request = new(file, operation, at, length);
            BlockStep step = request.Advance(true);
            while (step.Kind != StepKind.Finished) step = request.Advance(Perform(step));
            return step.Status;
        }

        private bool Perform(in BlockStep step)
        {
            Span<byte> data = step.Buffer != null ? new(step.Buffer, (int)step.Length)
                : step.Kind is StepKind.Read or StepKind.Write or StepKind.ZeroData ? chunk.AsSpan((int)step.DataOffset, (int)step.Length) : default;
            switch (step.Kind)
            {
                case StepKind.Read:
                    stream.Position = offset + (long)step.Offset;
                    return stream.ReadAtLeast(data, data.Length, false) == data.Length;
                case StepKind.Write:
                    Write((long)step.Offset, data);
                    return true;
                case StepKind.WriteZeros:
                    for (uint at = 0; at < step.Length; at += ChunkBytes) WriteZeros((long)step.Offset + at, (int)Math.Min(ChunkBytes, step.Length - at));
                    return true;
                case StepKind.ZeroData:
                    data.Clear();
                    return true;
                case StepKind.Flush:
                    stream.Flush();
                    return true;
                default: throw new InvalidOperationException($"exFAT: a step {step.Kind} of nobody");
            }
        }

        private void Write(long at, ReadOnlySpan<byte> data)
        {
            if (!data.ContainsAnyExcept((byte)0)) WriteZeros(at, data.Length);
            else
            {
                stream.Position = offset + at;
                stream.Write(data);
            }
        }

        private void WriteZeros(long at, int length)
        {
            stream.Position = offset + at;
            Span<byte> there = present.AsSpan(0, length);
            if (stream.ReadAtLeast(there, length, false) == length && !there.ContainsAnyExcept((byte)0)) return;
            there.Clear();
            stream.Position = offset + at;
            stream.Write(there);
        }
    }
}
