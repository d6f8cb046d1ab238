// The queue over a file whose completions come late and in any order.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public unsafe class VhdQueueTests
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
    public void ManyRequestsInAnyOrder(VhdType type)
    {
        const int size = 256 << 10, slotCount = 8, sectorsEach = 24;
        for (int seed = 0; seed < 10 * Fuzz.Factor; seed++)
        {
            Random random = new(seed);
            using VhdUnderTest parent = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, size));
            SparseFile file = VhdUnderTest.Create(type, size, 8192, type == VhdType.Differencing ? parent : null);
            using VhdUnderTest image = VhdUnderTest.Opened(file, parent);
            ImageSlot<VhdRequest>* slots = (ImageSlot<VhdRequest>*)NativeMemory.AllocZeroed(slotCount, (nuint)sizeof(ImageSlot<VhdRequest>));
            Host host = new();
            fixed (VhdImage* at = &image.Image)
            {
                ImageQueue<VhdImage, VhdRequest, LateFile> queue = new(at, slots, slotCount, new(host));
                byte[] expected = new byte[size];
                var running = new (ImageOperation Operation, int First, byte[] Data)?[slotCount];
                for (int started = 0; started < 200 || host.Submitted.Count != 0;)
                {
                    uint tag = (uint)random.Next(slotCount);
                    int first = random.Next(size / 512 - sectorsEach);
                    bool meets = Array.Exists(running, r => r != null && Math.Abs(r.Value.First - first) < sectorsEach);
                    if (started < 200 && running[tag] == null && !meets)
                    {
                        started++;
                        byte[] data = new byte[512 * (1 + random.Next(sectorsEach))];
                        ImageOperation operation = (ImageOperation)random.Next(2);
                        if (operation == ImageOperation.Write) random.NextBytes(data);
                        running[tag] = (operation, first, data);
                        Assert.True(queue.TryStart(tag, operation, (ulong)first * 512, (uint)data.Length));
                        Assert.False(queue.TryStart(tag, operation, 0, 512));
                    }
                    if (host.Submitted.Count != 0 && random.Next(2) == 0)
                    {
                        int pick = random.Next(host.Submitted.Count);
                        var (of, step) = host.Submitted[pick];
                        host.Submitted.RemoveAt(pick);
                        Span<byte> data = running[of].Value.Data;
                        if (step.Kind == StepKind.ReadParent) data.Slice((int)step.DataOffset, (int)step.Length).Clear();
                        Assert.True(queue.Complete(of, step.Kind == StepKind.ReadParent || file.Perform(step, data)));
                    }
                    foreach (var (ended, status) in host.Finished)
                    {
                        Assert.Equal(ImageStatus.Success, status);
                        var (operation, from, data) = running[ended].Value;
                        if (operation == ImageOperation.Write) data.CopyTo(expected, from * 512);
                        else Assert.True(data.AsSpan().SequenceEqual(expected.AsSpan(from * 512, data.Length)));
                        running[ended] = null;
                        Assert.False(queue.Complete(ended, true));
                    }
                    host.Finished.Clear();
                }
                // Nobody waits for ever.
                Assert.All(running, r => Assert.Null(r));
                Assert.False(queue.TryStart(slotCount, ImageOperation.Flush, 0, 0));
                Assert.True(expected.AsSpan().SequenceEqual(image.Read(0, size)));
            }
            NativeMemory.Free(slots);
        }
    }
}
