// The queue over a file whose completions come late and in any order.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public unsafe class ImageQueueTests
{
    private sealed class Host
    {
        public readonly List<(uint Tag, BlockStep Step)> Submitted = [];
        public readonly Dictionary<uint, ImageStatus> Finished = [];
    }

    private readonly struct LateFile(Host host) : IBlockFile
    {
        public void Submit(uint tag, in BlockStep step) => host.Submitted.Add((tag, step));
        public void Finished(uint tag, ImageStatus status) => host.Finished.Add(tag, status);
    }

    [Theory]
    [InlineData(VhdType.Fixed)]
    [InlineData(VhdType.Dynamic)]
    [InlineData(VhdType.Differencing)]
    public void ManyRequestsOfVhd(VhdType type)
    {
        const int size = 256 << 10;
        for (int seed = 0; seed < 10 * Fuzz.Factor; seed++)
        {
            using VhdUnderTest parent = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, size));
            SparseFile file = VhdUnderTest.Create(type, size, 8192, type == VhdType.Differencing ? parent : null);
            using VhdUnderTest image = VhdUnderTest.Opened(file, parent);
            fixed (VhdImage* at = &image.Image) Run<VhdImage, VhdRequest>(seed, at, image, size, 0);
        }
    }

    [Theory]
    [InlineData(VhdxType.Fixed, 1u << 20)]
    [InlineData(VhdxType.Dynamic, 1u << 20)]
    [InlineData(VhdxType.Differencing, 1u << 20)]
    [InlineData(VhdxType.Differencing, 32u << 20)]
    public void ManyRequestsOfVhdx(VhdxType type, uint block)
    {
        const int size = 6 << 20;
        for (int seed = 0; seed < 6 * Fuzz.Factor; seed++)
        {
            using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size));
            SparseFile file = VhdxUnderTest.Create(type, size, block, 0, type == VhdxType.Differencing ? parent : null);
            using VhdxUnderTest image = VhdxUnderTest.Opened(file, parent);
            fixed (VhdxImage* at = &image.Image) Run<VhdxImage, VhdxRequest>(seed, at, image, size, type == VhdxType.Fixed ? 0 : 1 << 20);
            Assert.Equal(ImageStatus.Success, image.Close());
        }
    }

    /// <summary>Requests that several hold the last pages of bitmaps, and those of 70 blocks at once: everybody gets on.</summary>
    [Fact]
    public void MoreRequestsThanBitmapPages()
    {
        const ulong size = 80UL * (16 << 20);
        using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size));
        using VhdxUnderTest image = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Differencing, size, 1 << 20, 0, parent), parent);
        const uint count = 160;
        Host host = new();
        ImageSlot<VhdxRequest>* slots = (ImageSlot<VhdxRequest>*)NativeMemory.AllocZeroed(count, (nuint)sizeof(ImageSlot<VhdxRequest>));
        byte[][] data = new byte[count][];
        fixed (VhdxImage* at = &image.Image)
        {
            ImageQueue<VhdxImage, VhdxRequest, LateFile> queue = new(at, slots, count, new(host));
            for (uint i = 0; i < count; i++)
            {
                data[i] = ImageContent.Pattern(new((int)i), 4096);
                Assert.True(queue.TryStart(i, ImageOperation.Write, i % 80 * (16UL << 20) + i / 80 * 8192, 4096));
            }
            int flushes = 0;
            while (host.Submitted.Count != 0)
            {
                var (tag, step) = host.Submitted[0];
                host.Submitted.RemoveAt(0);
                if (step.Kind == StepKind.Flush) flushes++;
                Assert.True(queue.Complete(tag, image.Perform(step, data[tag])));
            }
            // One entry of the log is for many requests.
            Assert.True(flushes < count / 2, $"{flushes} flushes");
        }
        Assert.Equal(count, (uint)host.Finished.Count);
        Assert.All(host.Finished.Values, status => Assert.Equal(ImageStatus.Success, status));
        for (uint i = 0; i < count; i++) Assert.Equal(data[i], image.Read(i % 80 * (16UL << 20) + i / 80 * 8192, 4096));
        NativeMemory.Free(slots);
    }

    /// <summary>A write that comes late to the place of a block that was discarded meanwhile must not hit whoever could have that place next.</summary>
    [Fact]
    public void RoomIsNotUsedAgainWhileSomebodyMayStillWriteThere()
    {
        const int block = 1 << 20;
        using VhdxUnderTest image = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, 4 * block, block));
        Assert.Equal(ImageStatus.Success, image.Write(0, ImageContent.Pattern(new(1), block)));
        Host host = new();
        ImageSlot<VhdxRequest>* slots = (ImageSlot<VhdxRequest>*)NativeMemory.AllocZeroed(4, (nuint)sizeof(ImageSlot<VhdxRequest>));
        byte[] late = ImageContent.Pattern(new(2), 4096), other = ImageContent.Pattern(new(3), block);
        long before = image.File.Length;
        fixed (VhdxImage* at = &image.Image)
        {
            ImageQueue<VhdxImage, VhdxRequest, LateFile> queue = new(at, slots, 4, new(host));
            void Finish(uint tag, byte[] data)
            {
                while (host.Submitted.FindIndex(s => s.Tag == tag) is >= 0 and var index)
                {
                    BlockStep step = host.Submitted[index].Step;
                    host.Submitted.RemoveAt(index);
                    Assert.True(queue.Complete(tag, image.PerformUnchecked(step, data)));
                }
                Assert.Equal(ImageStatus.Success, host.Finished[tag]);
                host.Finished.Remove(tag);
            }
            Assert.True(queue.TryStart(0, ImageOperation.Write, 8192, 4096));
            Assert.True(queue.TryStart(1, ImageOperation.Discard, 0, block));
            Finish(1, null);
            Assert.True(queue.TryStart(1, ImageOperation.Write, 2 * block, block));
            Finish(1, other);
            Finish(0, late);
            Assert.Equal(other, image.Read(2 * block, block));
            Assert.Equal(before + block, image.File.Length);
            // Now nobody is left: the place is free.
            Assert.True(queue.TryStart(1, ImageOperation.Write, 3 * block, block));
            Finish(1, other);
            Assert.Equal(before + block, image.File.Length);
        }
        NativeMemory.Free(slots);
    }

    /// <param name="zeroUnit">Discards of whole units of this size read zero; 0: they do nothing.</param>
    private static void Run<TImage, TRequest>(int seed, TImage* at, ImageUnderTest image, int size, int zeroUnit) where TImage : unmanaged where TRequest : unmanaged, IImageRequest<TImage>
    {
        const int slotCount = 8, sectorsEach = 24;
        Random random = new(seed);
        ImageSlot<TRequest>* slots = (ImageSlot<TRequest>*)NativeMemory.AllocZeroed(slotCount, (nuint)sizeof(ImageSlot<TRequest>));
        Host host = new();
        ImageQueue<TImage, TRequest, LateFile> queue = new(at, slots, slotCount, new(host));
        byte[] expected = new byte[size];
        var running = new (ImageOperation Operation, int First, byte[] Data)?[slotCount];
        for (int started = 0; started < 300 || host.Submitted.Count != 0;)
        {
            uint tag = (uint)random.Next(slotCount);
            ImageOperation operation = random.Next(8) switch { 0 => ImageOperation.WriteZeros, 1 or 2 => ImageOperation.Read, 3 => ImageOperation.Flush, _ => ImageOperation.Write };
            int first = random.Next(size / 512 - sectorsEach), count = 1 + random.Next(sectorsEach);
            if (operation == ImageOperation.WriteZeros && zeroUnit != 0 && random.Next(2) == 0) (first, count) = (random.Next(size / zeroUnit) * (zeroUnit / 512), zeroUnit / 512);
            bool meets = operation != ImageOperation.Flush && Array.Exists(running, r => r is var (_, from, bytes) && from < first + count && first < from + bytes.Length / 512);
            if (started < 300 && running[tag] == null && !meets)
            {
                started++;
                byte[] data = new byte[operation == ImageOperation.Flush ? 0 : 512 * count];
                if (operation == ImageOperation.Write) random.NextBytes(data);
                running[tag] = (operation, first, data);
                Assert.True(queue.TryStart(tag, operation, (ulong)first * 512, (uint)data.Length));
                Assert.False(running[tag] != null && !host.Finished.ContainsKey(tag) && queue.TryStart(tag, operation, 0, 512));
            }
            if (host.Submitted.Count != 0 && random.Next(2) == 0)
            {
                int pick = random.Next(host.Submitted.Count);
                var (of, step) = host.Submitted[pick];
                host.Submitted.RemoveAt(pick);
                Assert.True(queue.Complete(of, image.PerformUnchecked(step, running[of].Value.Data)));
            }
            foreach (var (ended, status) in host.Finished)
            {
                Assert.Equal(ImageStatus.Success, status);
                var (what, from, data) = running[ended].Value;
                if (what == ImageOperation.WriteZeros) data.AsSpan().Clear();
                if (what is ImageOperation.Write or ImageOperation.WriteZeros) data.CopyTo(expected, from * 512);
                else if (what == ImageOperation.Read) Assert.True(data.AsSpan().SequenceEqual(expected.AsSpan(from * 512, data.Length)));
                running[ended] = null;
                Assert.False(queue.Complete(ended, true));
            }
            host.Finished.Clear();
        }
        // Nobody waits for ever.
        Assert.All(running, r => Assert.Null(r));
        Assert.False(queue.TryStart(slotCount, ImageOperation.Flush, 0, 0));
        Assert.True(expected.AsSpan().SequenceEqual(image.Read(0, size)));
        NativeMemory.Free(slots);
    }
}
