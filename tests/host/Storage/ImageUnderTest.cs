// An image format over a sparse file, driven step by step, so that one set of tests serves every format.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

/// <summary>An open image with its memory; every piece of memory has guard bytes behind it that are checked at the end.</summary>
public abstract unsafe class ImageUnderTest(SparseFile file, bool writable) : IDisposable
{
    private const int GuardBytes = 64;
    private readonly List<(nint Start, int Length)> memory = [];

    public SparseFile File { get; } = file;
    public bool Writable { get; } = writable;
    /// <summary>What a differencing disk's absent sectors are read from.</summary>
    public ImageUnderTest Parent;
    /// <summary>Metadata memory beyond this is refused.</summary>
    public uint MemoryLimit = 64 << 20;

    public abstract ulong VirtualBytes { get; }
    public virtual int SectorBytes => 512;
    protected abstract BlockStep AdvanceOpen(bool success, byte* memory);
    protected abstract Request CreateRequest(ImageOperation operation, ulong offset, uint length);

    protected byte* Allocate(uint bytes)
    {
        byte* start = (byte*)NativeMemory.AllocZeroed(bytes + GuardBytes);
        new Span<byte>(start + bytes, GuardBytes).Fill(0xA5);
        memory.Add(((nint)start, (int)bytes));
        return start;
    }

    public ImageStatus Open()
    {
        bool success = true;
        byte* supplied = null;
        for (int steps = 0; ; steps++)
        {
            Assert.True(steps < 1 << 20);
            BlockStep step = AdvanceOpen(success, supplied);
            supplied = null;
            if (step.Kind == StepKind.Finished) return step.Status;
            if (step.Kind == StepKind.NeedMemory)
            {
                success = step.Length <= MemoryLimit;
                supplied = success ? Allocate(step.Length) : null;
            }
            else success = Perform(step, default);
        }
    }

    public bool Perform(in BlockStep step, Span<byte> data)
    {
        if (step.Buffer != null) AssertOurs(step);
        return PerformUnchecked(step, data);
    }

    /// <summary>For requests whose memory is not this image's.</summary>
    public bool PerformUnchecked(in BlockStep step, Span<byte> data)
    {
        Assert.True((step.Length | step.Offset | step.DataOffset) % 512 == 0 && (step.Length != 0 || step.Kind == StepKind.Flush));
        if (step.Kind != StepKind.ReadParent) return File.Perform(step, data);
        Span<byte> part = data.Slice((int)step.DataOffset, (int)step.Length);
        part.Clear();
        if (Parent == null || step.Offset >= Parent.VirtualBytes) return true;
        int present = (int)Math.Min((ulong)part.Length, Parent.VirtualBytes - step.Offset);
        return Parent.Run(ImageOperation.Read, step.Offset, part[..present]) == ImageStatus.Success;
    }

    private void AssertOurs(in BlockStep step)
    {
        nint start = (nint)step.Buffer;
        foreach (var (from, length) in memory)
            if (start >= from && start + (nint)step.Length <= from + length) return;
        Assert.Fail("a step's buffer is not in the image's memory");
    }

    public Request Start(ImageOperation operation, ulong offset, byte[] data) => CreateRequest(operation, offset, (uint)data.Length).With(this, data);

    /// <summary>Runs one request alone.</summary>
    public ImageStatus Run(ImageOperation operation, ulong offset, Span<byte> data)
    {
        byte[] copy = data.ToArray();
        using Request request = Start(operation, offset, copy);
        while (request.Step()) Assert.False(request.Waiting);
        copy.CopyTo(data);
        return request.Status;
    }

    public ImageStatus Write(ulong offset, byte[] data) => Run(ImageOperation.Write, offset, data);

    public byte[] Read(ulong offset, int length)
    {
        byte[] data = new byte[length];
        data.AsSpan().Fill(0xEE);
        Assert.Equal(ImageStatus.Success, Run(ImageOperation.Read, offset, data));
        return data;
    }

    public ImageStatus Flush() => Run(ImageOperation.Flush, 0, default);

    public ImageStatus Close() => Run(ImageOperation.Close, 0, default);

    public void Dispose()
    {
        foreach (var (start, length) in memory)
        {
            bool intact = new Span<byte>((byte*)start + length, GuardBytes).IndexOfAnyExcept((byte)0xA5) < 0;
            NativeMemory.Free((void*)start);
            Assert.True(intact, "memory behind an image's was written");
        }
        memory.Clear();
    }

    /// <summary>A request whose steps are performed one at a time, so that several interleave.</summary>
    public abstract class Request : IDisposable
    {
        private ImageUnderTest image;
        private bool success = true;

        public byte[] Data { get; private set; }
        public ImageStatus Status { get; private set; }
        public bool Waiting { get; private set; }

        protected abstract BlockStep Advance(bool success);
        public abstract void Dispose();

        internal Request With(ImageUnderTest under, byte[] data)
        {
            image = under;
            Data = data;
            image.memory.AddRange(Memory);
            return this;
        }

        protected virtual (nint, int)[] Memory => [];

        /// <summary>Performs the next step; false when it is finished.</summary>
        public bool Step()
        {
            BlockStep step = Advance(success);
            success = true;
            Waiting = step.Kind == StepKind.Wait;
            Status = step.Status;
            if (step.Kind == StepKind.Finished)
            {
                foreach (var range in Memory) image.memory.Remove(range);
                return false;
            }
            if (!Waiting) success = image.Perform(step, Data);
            return true;
        }
    }
}

/// <summary>A request of any format.</summary>
public sealed unsafe class RequestOf<TImage, TRequest> : ImageUnderTest.Request where TImage : unmanaged where TRequest : unmanaged, IImageRequest<TImage>
{
    private readonly TRequest* request = (TRequest*)NativeMemory.AllocZeroed((nuint)sizeof(TRequest));

    public RequestOf(TImage* image, ImageOperation operation, ulong offset, uint length) => request->Begin(image, operation, offset, length);
    protected override BlockStep Advance(bool success) => request->Advance(success);
    protected override (nint, int)[] Memory => [((nint)request, sizeof(TRequest))];
    public override void Dispose() => NativeMemory.Free(request);
}

public sealed unsafe class VhdUnderTest : ImageUnderTest
{
    private readonly VhdImage* image;

    public VhdUnderTest(SparseFile file, bool writable = true) : base(file, writable)
    {
        image = (VhdImage*)Allocate((uint)sizeof(VhdImage));
        *image = new VhdImage(Allocate(VhdImage.WorkspaceBytes), (ulong)file.Length, writable);
    }

    public ref VhdImage Image => ref *image;
    public override ulong VirtualBytes => image->VirtualBytes;
    protected override BlockStep AdvanceOpen(bool success, byte* memory) => image->AdvanceOpen(success, memory);
    protected override Request CreateRequest(ImageOperation operation, ulong offset, uint length) => new RequestOf<VhdImage, VhdRequest>(image, operation, offset, length);

    /// <summary>A new image in an empty file.</summary>
    public static SparseFile Create(VhdType type, ulong virtualBytes, uint blockBytes = 0, VhdUnderTest parent = null, SparseFile into = null)
    {
        SparseFile file = into ?? new();
        byte* workspace = (byte*)NativeMemory.AllocZeroed(VhdCreation.WorkspaceBytes);
        byte[] id = Guid.NewGuid().ToByteArray(), name = "p\0a\0r\0.\0v\0h\0d\0"u8.ToArray();
        fixed (byte* idAt = id, nameAt = name)
            try
            {
                VhdParameters parameters = new() { Type = type, VirtualBytes = virtualBytes, BlockBytes = blockBytes, UniqueId = idAt, Timestamp = 0x12345678 };
                if (parent != null)
                {
                    parameters.ParentUniqueId = VhdFooter.UniqueId(parent.Image.FooterData);
                    parameters.ParentTimestamp = VhdFooter.Timestamp(parent.Image.FooterData);
                    parameters.ParentName = nameAt;
                    parameters.ParentNameBytes = (uint)name.Length;
                }
                VhdCreation creation = new(workspace, parameters);
                bool success = true;
                for (; ; )
                {
                    BlockStep step = creation.Advance(success);
                    if (step.Kind == StepKind.Finished)
                    {
                        Assert.Equal(ImageStatus.Success, step.Status);
                        return file;
                    }
                    success = file.Perform(step, default);
                }
            }
            finally { NativeMemory.Free(workspace); }
    }

    public static VhdUnderTest Opened(SparseFile file, VhdUnderTest parent = null)
    {
        VhdUnderTest vhd = new(file) { Parent = parent };
        Assert.Equal(ImageStatus.Success, vhd.Open());
        return vhd;
    }
}
