// An exFAT volume over a sparse file, driven step by step; every step is checked to lie in the volume and in the planners' memory.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;
using Lamina.Tools.Run;
using Xunit;
using ExFatVolume = Lamina.Drivers.Storage.FileSystems.ExFatVolume;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe class ExFatUnderTest : IDisposable
{
    private const int GuardBytes = 64, MaximumSteps = 1 << 20;
    private readonly List<(nint Start, int Length)> memory = [];
    private readonly ExFatVolume* volume;
    private readonly ulong volumeBytes;

    public SparseFile File { get; }
    public uint MemoryLimit = 64 << 20;

    public ExFatUnderTest(SparseFile file, bool writable = true)
    {
        File = file;
        volumeBytes = (ulong)file.Length;
        volume = (ExFatVolume*)Allocate((uint)sizeof(ExFatVolume));
        *volume = new ExFatVolume(Allocate(ExFatVolume.WorkspaceBytes), volumeBytes, writable);
        volume->Timestamp = ExFatTimestamp.From(2024, 2, 29, 12, 34, 56);
    }

    public ref ExFatVolume Volume => ref *volume;

    /// <summary>A new file system of our own formatter.</summary>
    public static SparseFile Format(long bytes, int clusterBytes = 0, int sectorBytes = 512, string label = "TEST")
    {
        SparseFile file = new() { Length = bytes };
        new ExFatFormat(bytes, sectorBytes, clusterBytes).Write(new SparseStream(file), 0, label);
        return file;
    }

    public static ExFatUnderTest Mounted(SparseFile file, bool writable = true)
    {
        ExFatUnderTest volume = new(file, writable);
        Assert.Equal(ImageStatus.Success, volume.Mount());
        return volume;
    }

    public byte* Allocate(uint bytes)
    {
        byte* start = (byte*)NativeMemory.AllocZeroed(bytes + GuardBytes);
        new Span<byte>(start + bytes, GuardBytes).Fill(0xA5);
        memory.Add(((nint)start, (int)bytes));
        return start;
    }

    public bool Perform(in BlockStep step, Span<byte> data)
    {
        if (step.Kind == StepKind.Flush) return File.Perform(step, data);
        Assert.True(step.Length != 0, "a step of nothing");
        if (step.Kind == StepKind.ZeroData)
        {
            data.Slice((int)step.DataOffset, (int)step.Length).Clear();
            return true;
        }
        Assert.True((step.Length | step.Offset) % 512 == 0, "a step that is no whole sectors");
        Assert.True(step.Offset <= volumeBytes && step.Length <= volumeBytes - step.Offset, "a step outside the volume");
        if (step.Buffer != null)
        {
            nint start = (nint)step.Buffer;
            int length = (int)step.Length;
            Assert.True(memory.Exists(m => start >= m.Start && start + length <= m.Start + m.Length), "a step's buffer is not the planner's");
        }
        return File.Perform(step, data);
    }

    public ImageStatus Mount()
    {
        ExFatMount* mount = Fixed(new ExFatMount(volume));
        byte* supplied = null;
        bool success = true;
        for (int steps = 0; ; steps++)
        {
            Assert.True(steps < MaximumSteps);
            BlockStep step = mount->Advance(success, supplied);
            supplied = null;
            success = true;
            if (step.Kind == StepKind.Finished) return step.Status;
            if (step.Kind == StepKind.NeedMemory) supplied = step.Length <= MemoryLimit ? Allocate(step.Length) : null;
            else success = Perform(step, default);
        }
    }

    private delegate BlockStep Planner(bool success);

    // Planners live at a fixed address: not in a closure, which moves.
    private T* Fixed<T>(in T planner) where T : unmanaged
    {
        T* at = (T*)Allocate((uint)sizeof(T));
        *at = planner;
        return at;
    }

    private ImageStatus Run(Planner planner, Span<byte> data)
    {
        bool success = true;
        for (int steps = 0; ; steps++)
        {
            Assert.True(steps < MaximumSteps);
            BlockStep step = planner(success);
            if (step.Kind == StepKind.Finished) return step.Status;
            Assert.NotEqual(StepKind.Wait, step.Kind);
            success = Perform(step, data);
        }
    }

    public Running StartCreate(string path, bool directory = false)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        byte* at = Allocate((uint)name.Length);
        name.CopyTo(new Span<byte>(at, name.Length));
        ExFatCreate* create = Fixed(new ExFatCreate(volume, at, (uint)name.Length, directory));
        return new(this, success => create->Advance(success), []);
    }

    public ImageStatus Create(string path, bool directory = false)
    {
        byte[] name = Encoding.UTF8.GetBytes(path);
        fixed (byte* at = name)
        {
            ExFatCreate* create = Fixed(new ExFatCreate(volume, at, (uint)name.Length, directory));
            return Run(success => create->Advance(success), default);
        }
    }

    public ImageStatus Open(string path, bool writable, out OpenFile file, uint runs = 4096) => Open(Encoding.UTF8.GetBytes(path), writable, out file, runs);

    public ImageStatus Open(byte[] name, bool writable, out OpenFile file, uint runs = 4096)
    {
        file = new OpenFile(this, (ExFatFile*)Allocate((uint)sizeof(ExFatFile)));
        ExFatFile* into = file.Pointer;
        ExFatRun* list = (ExFatRun*)Allocate(runs * (uint)sizeof(ExFatRun));
        fixed (byte* at = name)
        {
            ExFatOpen* open = Fixed(new ExFatOpen(volume, into, list, runs, at, (uint)name.Length, writable));
            return Run(success => open->Advance(success), default);
        }
    }

    public OpenFile Opened(string path, bool writable = true, uint runs = 4096)
    {
        Assert.Equal(ImageStatus.Success, Open(path, writable, out OpenFile file, runs));
        return file;
    }

    public OpenFile Created(string path, uint runs = 4096)
    {
        Assert.Equal(ImageStatus.Success, Create(path));
        return Opened(path, true, runs);
    }

    public ImageStatus Recover(out ExFatRecovery result)
    {
        ExFatRecovery* recovery = Fixed(new ExFatRecovery(volume));
        byte* supplied = null;
        bool success = true;
        for (int steps = 0; ; steps++)
        {
            Assert.True(steps < MaximumSteps);
            BlockStep step = recovery->Advance(success, supplied);
            success = true;
            supplied = null;
            result = *recovery;
            if (step.Kind == StepKind.Finished) return step.Status;
            if (step.Kind == StepKind.NeedMemory) supplied = Allocate(step.Length);
            else success = Perform(step, default);
        }
    }

    public ImageStatus Unmount()
    {
        ExFatUnmount* unmount = Fixed(new ExFatUnmount(volume));
        return Run(success => unmount->Advance(success), default);
    }

    public void Dispose()
    {
        foreach (var (start, length) in memory)
        {
            bool intact = new Span<byte>((byte*)start + length, GuardBytes).IndexOfAnyExcept((byte)0xA5) < 0;
            NativeMemory.Free((void*)start);
            Assert.True(intact, "memory behind a planner's was written");
        }
        memory.Clear();
    }

    public sealed class OpenFile(ExFatUnderTest under, ExFatFile* pointer)
    {
        public ExFatFile* Pointer => pointer;
        public ExFatUnderTest Under => under;
        public ulong Length => pointer->DataLength;
        public ulong Valid => pointer->ValidDataLength;
        public uint Runs => pointer->RunCount;
        public bool ChangesAtOnce => pointer->ChangesAtOnce;
        public bool NeedsFlush => pointer->NeedsFlush;

        public ImageStatus Run(ExFatOperation operation, ulong offset, Span<byte> data)
        {
            ExFatRequest* request = under.Fixed(new ExFatRequest(pointer, operation, offset, (uint)data.Length));
            return under.Run(success => request->Advance(success), data);
        }

        public Running Start(ExFatOperation operation, ulong offset, byte[] data)
        {
            ExFatRequest* request = under.Fixed(new ExFatRequest(pointer, operation, offset, (uint)data.Length));
            return new(under, success => request->Advance(success), data);
        }

        public ImageStatus Write(ulong offset, byte[] data) => Run(ExFatOperation.Write, offset, data);
        public ImageStatus Resize(ulong length) => Run(ExFatOperation.Resize, length, default);
        public ImageStatus Flush() => Run(ExFatOperation.Flush, 0, default);
        public ImageStatus Remove() => Run(ExFatOperation.Remove, 0, default);

        public byte[] Read(ulong offset, int length)
        {
            byte[] data = new byte[length];
            data.AsSpan().Fill(0xEE);
            Assert.Equal(ImageStatus.Success, Run(ExFatOperation.Read, offset, data));
            return data;
        }

        public byte[] ReadAll() => Read(0, ((int)Length + 511) / 512 * 512)[..(int)Length];

        public void Close() => Assert.True(pointer->TryClose());
        public void Abandon() => pointer->Abandon();
    }

    /// <summary>A planner whose steps are performed one at a time, so that several interleave.</summary>
    public sealed class Running(ExFatUnderTest under, Func<bool, BlockStep> planner, byte[] data)
    {
        private bool success = true;

        public byte[] Data => data;
        public ImageStatus Status { get; private set; }
        public bool Waiting { get; private set; }

        /// <summary>Performs the next step; false when it is finished.</summary>
        public bool Step()
        {
            BlockStep step = planner(success);
            success = true;
            Waiting = step.Kind == StepKind.Wait;
            Status = step.Status;
            if (step.Kind == StepKind.Finished) return false;
            if (!Waiting) success = under.Perform(step, data);
            return true;
        }
    }
}
