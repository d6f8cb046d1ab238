// The disk test passes on good disks, in whatever order they answer, and finds what bad ones do.
using System;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using CsCheck;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Checks;
using Lamina.Root.Kernel;
using Lamina.Text;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe class DiskTestTests
{
    private struct Ended
    {
        public int Count;
    }

    private static void OnEnded(void* context) => ((Ended*)context)->Count++;

    /// <summary>Runs a test to its end; the line it ends in.</summary>
    private static string Run(BlockDevice* device, ulong bytes, bool writes, ulong seed, Action step = null)
    {
        ulong size = DiskTest.MemoryBytes(device, bytes);
        byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)size + 64, 4096);
        NativeMemory.Clear(memory, (nuint)size);
        new Span<byte>(memory + size, 64).Fill(0xA5);
        Ended ended = default;
        DiskTest* test = DiskTest.Start(memory, device, bytes, writes, seed, &OnEnded, &ended);
        for (int i = 0; ended.Count == 0 && i < 1_000_000; i++) step();
        Assert.Equal(1, ended.Count);
        Assert.Equal(-1, new Span<byte>(memory + size, 64).IndexOfAnyExcept((byte)0xA5));
        byte* buffer = stackalloc byte[200];
        TextWriter line = new(buffer, 200);
        test->Describe(ref line, 12);
        NativeMemory.AlignedFree(memory);
        return Encoding.UTF8.GetString(line.Written);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_memory_disk_passes(bool writes)
    {
        byte* memory = (byte*)NativeMemory.AllocZeroed(4 << 20);
        MemoryDisk disk = default;
        BlockDevice* device = MemoryDisk.Create(&disk, memory, 4 << 20, false);
        device->SetName("ram0"u8);
        Assert.Matches("^PASS disk ram0" + (writes ? " write" : "") + @": \d{3,} requests, \d{4,} KiB in 12 ms$", Run(device, 4 << 20, writes, 77));
        Assert.Equal(writes, new Span<byte>(memory, 4 << 20).IndexOfAnyExcept((byte)0) >= 0);
        NativeMemory.Free(memory);
    }

    [Fact]
    public void Good_disks_pass_in_any_order_of_completion() =>
        Gen.Select(Gen.ULong, Gen.Int[1, 3000], Gen.Bool, Gen.Bool, Gen.UInt[1, 4]).Sample((seed, blocks, writes, large, queues) =>
        {
            byte[] content = new byte[blocks * (large ? 4096 : 512)];
            new Random((int)seed).NextBytes(content);
            byte[] before = [.. content];
            using ScriptedDisk disk = new(content, large ? 4096u : 512, "", queues);
            Random order = new((int)seed);
            string line = Run(disk.Device, (ulong)content.Length, writes, seed, () => disk.Complete(order.Next(disk.Held.Count)));
            return line.StartsWith("PASS") && (writes || content.SequenceEqual(before)) && disk.Requests < 40_000;
        }, iter: 40 * Fuzz.Factor);

    /// <summary>One fault, somewhere in the middle: the test says FAIL and why.</summary>
    [Theory]
    [InlineData("error", false, "read at byte [0-9]+: medium error")]
    [InlineData("error", true, "at byte [0-9]+: medium error")]
    [InlineData("changes", false, "not what was read before at byte [0-9]+")]
    [InlineData("changes", true, "not what was written at byte [0-9]+")]
    [InlineData("lost write", true, "not what was written at byte [0-9]+")]
    [InlineData("misplaced", true, "not what was written at byte [0-9]+")]
    [InlineData("zeros ignored", true, "not what was written at byte [0-9]+")]
    public void Bad_disks_fail(string how, bool writes, string expected)
    {
        byte[] content = new byte[4 << 20];
        new Random(5).NextBytes(content);
        using ScriptedDisk disk = new(content, 512);
        int count = 0;
        disk.Fate = request =>
        {
            bool hit = ++count > 120 && how switch
            {
                "error" => count == 121,
                "lost write" or "misplaced" => request.Operation == BlockOperation.Write && count < 400,
                "zeros ignored" => request.Operation == BlockOperation.WriteZeros,
                _ => count == 121,
            };
            if (!hit) return BlockStatus.Success;
            switch (how)
            {
                case "error": return BlockStatus.MediumError;
                case "changes": for (int i = 0; i < content.Length; i += 512) content[i + 100] ^= 4; break;
                case "misplaced": Swap(content, (int)request.Offset, (int)request.Length); break;
            }
            return how is "lost write" or "zeros ignored" ? (BlockStatus)255 : BlockStatus.Success;
        };
        Random order = new(9);
        string line = Run(disk.Device, 4 << 20, writes, 3, () => Complete(disk, order.Next(disk.Held.Count), how));
        Assert.Matches("^FAIL disk .*" + expected, line);
    }

    private static void Swap(byte[] content, int at, int length)
    {
        int other = (at + content.Length / 2) % content.Length;
        for (int i = 0; i < Math.Min(length, 512); i++) (content[at + i], content[other + i]) = (content[other + i], content[at + i]);
    }

    /// <summary>Status 255 stands for a request that says that it succeeded and did nothing.</summary>
    private static void Complete(ScriptedDisk disk, int index, string how)
    {
        BlockRequest* request = (BlockRequest*)disk.Held[index];
        Func<BlockRequest, BlockStatus> fate = disk.Fate;
        BlockStatus status = fate(*request);
        disk.Fate = _ => BlockStatus.Success;
        if (status == (BlockStatus)255)
        {
            disk.Held.RemoveAt(index);
            request->Status = BlockStatus.Success;
            request->Completed(request);
        }
        else
        {
            if (status != BlockStatus.Success) disk.Fate = _ => status;
            disk.Complete(index);
        }
        disk.Fate = fate;
    }

    [Theory]
    [InlineData("nvme0n1", "nvme0n1", DiskTestCommand.UsualBytes, false)]
    [InlineData("  virtio0p1  4096 ", "virtio0p1", 4096ul, false)]
    [InlineData("ahci0 write", "ahci0", DiskTestCommand.UsualBytes, true)]
    [InlineData("ahci0 1000000 write", "ahci0", 1000000ul, true)]
    [InlineData("a 99999999999999999999", "a", 0ul, null)]
    [InlineData("a 2000000000", "a", DiskTestCommand.MostBytes, false)]
    [InlineData("a wrote", "a", 0ul, null)]
    [InlineData("a write 1", "a", 0ul, null)]
    [InlineData("", "", 0ul, null)]
    public void The_command_is_read(string text, string name, ulong bytes, bool? writes)
    {
        DiskTestCommand command = DiskTestCommand.Parse(Encoding.ASCII.GetBytes(text));
        Assert.Equal(name, Encoding.ASCII.GetString(command.Name));
        Assert.Equal(writes == null, command.IsWrong);
        if (writes != null) Assert.Equal((bytes, writes.Value), (command.Bytes, command.Writes));
    }
}
