// VHD: against qemu-img both ways, past 4 GiB, differencing chains, loss of power, failing files and damaged metadata.
using System;
using System.IO;
using Lamina.Drivers.Storage.Images;
using Xunit;
using static Lamina.Tests.Host.Storage.ImageContent;

namespace Lamina.Tests.Host.Storage;

public class VhdTests
{
    private const int MiB = 1 << 20;

    [ProgramTheory("qemu-img", "qemu-utils")]
    [InlineData("subformat=fixed,force_size=on", VhdType.Fixed)]
    [InlineData("subformat=fixed", VhdType.Fixed)]
    [InlineData("subformat=dynamic,force_size=on", VhdType.Dynamic)]
    [InlineData("subformat=dynamic", VhdType.Dynamic)]
    public void ReadsAndWritesWhatQemuMade(string options, VhdType type) => Temporary(folder =>
    {
        Random random = new(7);
        SparseFile raw = new() { Length = 17 * MiB };
        for (int i = 0; i < 6; i++) raw.Write(random.Next(16 * MiB), Pattern(random, 70000));
        string rawPath = Path.Combine(folder, "a.raw"), vhdPath = Path.Combine(folder, "a.vhd");
        raw.Save(rawPath);
        Programs.Run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", options, rawPath, vhdPath);
        SparseFile file = SparseFile.Load(vhdPath);
        using VhdUnderTest image = VhdUnderTest.Opened(file);
        Assert.Equal(type, image.Image.Type);
        raw.Length = (long)image.VirtualBytes;   // without force_size it is rounded up to whole cylinders
        AssertEqual(raw, image);
        for (int i = 0; i < 20; i++)
        {
            ulong offset = 512 * (ulong)random.Next(30000);
            byte[] data = Pattern(random, 512 * (1 + random.Next(200)));
            Assert.Equal(ImageStatus.Success, image.Write(offset, data));
            raw.Write((long)offset, data);
        }
        raw.Save(rawPath);
        file.Save(vhdPath);
        Programs.Run("qemu-img", "compare", "-f", "vpc", "-F", "raw", vhdPath, rawPath);
    });

    [ProgramTheory("qemu-img", "qemu-utils")]
    [InlineData(VhdType.Fixed, 20UL << 20, 0u)]
    [InlineData(VhdType.Dynamic, (20UL << 20) + 512, 0u)]
    [InlineData(VhdType.Dynamic, 20UL << 20, 512u << 10)]
    [InlineData(VhdType.Dynamic, 20UL << 20, 8u << 20)]
    [InlineData(VhdType.Dynamic, 100UL << 30, 0u)]
    [InlineData(VhdType.Dynamic, 1500UL << 30, 0u)]
    public void QemuReadsWhatWeMade(VhdType type, ulong size, uint block) => Temporary(folder =>
    {
        SparseFile file = VhdUnderTest.Create(type, size, block);
        using VhdUnderTest image = VhdUnderTest.Opened(file);
        SparseFile raw = WriteRandomly(new(3), image, 12, size);
        string rawPath = Path.Combine(folder, "a.raw"), vhdPath = Path.Combine(folder, "a.vhd");
        if (size < 1UL << 40)   // most file systems take a sparse file of this size
        {
            raw.Save(rawPath);
            file.Save(vhdPath);
            Programs.Run("qemu-img", "compare", "-f", "vpc", "-F", "raw", vhdPath, rawPath);
        }
        if (size < 1UL << 30)
        {
            using VhdUnderTest again = VhdUnderTest.Opened(file);
            AssertEqual(raw, again);
        }
    });

    [Fact]
    public void PastFourGibibytesSparse()
    {
        SparseFile file = VhdUnderTest.Create(VhdType.Dynamic, VhdFooter.MaximumVirtualBytes);
        Random random = new(5);
        (ulong, byte[])[] writes = new (ulong, byte[])[40];
        using (VhdUnderTest image = VhdUnderTest.Opened(file))
            for (int i = 0; i < writes.Length; i++)
            {
                writes[i] = ((ulong)random.NextInt64((long)image.VirtualBytes / 512 - 64) * 512, Pattern(random, 512 * 40));
                Assert.Equal(ImageStatus.Success, image.Write(writes[i].Item1, writes[i].Item2));
            }
        file.Length += 5L << 30;   // as if something had been left behind the footer
        using VhdUnderTest again = VhdUnderTest.Opened(file);
        Assert.True(again.Image.TailFooterDamaged);
        Assert.Equal(ImageStatus.Success, again.Write(0, writes[0].Item2));
        using VhdUnderTest third = VhdUnderTest.Opened(file);
        Assert.False(third.Image.TailFooterDamaged);
        foreach (var (offset, data) in writes) Assert.True(data.AsSpan().SequenceEqual(third.Read(offset, data.Length)));
        Assert.Equal(writes[0].Item2, third.Read(0, writes[0].Item2.Length));
    }

    /// <summary>A guest may try for ever: as soon as there is room for one block, it has it.</summary>
    [Theory]
    [InlineData(VhdType.Dynamic)]
    [InlineData(VhdType.Differencing)]
    public void WritesThatFindNoRoomUseNoneUp(VhdType type)
    {
        const uint block = 2 * MiB, inFile = block + 512;
        using VhdUnderTest parent = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, 64 * MiB));
        SparseFile file = VhdUnderTest.Create(type, 64 * MiB, block, type == VhdType.Differencing ? parent : null);
        byte[] first = Pattern(new(1), 4096), second = Pattern(new(2), 4096);
        using (VhdUnderTest image = VhdUnderTest.Opened(file, parent))
        {
            Assert.Equal(ImageStatus.Success, image.Write(0, first));
            file.Room = (ulong)file.Length + 1024;
            for (int i = 0; i < 10; i++) Assert.Equal(ImageStatus.InputOutputError, image.Write(10 * block, second));
            file.Room = (ulong)file.Length + inFile;
            Assert.Equal(ImageStatus.Success, image.Write(10 * block, second));
            Assert.Equal(ImageStatus.Success, image.Flush());
        }
        using VhdUnderTest again = VhdUnderTest.Opened(file, parent);
        Assert.False(again.Image.TailFooterDamaged);
        Assert.Equal(first, again.Read(0, first.Length));
        Assert.Equal(second, again.Read(10 * block, second.Length));
        Assert.Equal(new byte[4096], again.Read(10 * block + 8192, 4096));
    }

    [Theory]
    [InlineData(4096u)]
    [InlineData(512u << 10)]
    [InlineData(8u << 20)]
    public void DifferencingChain(uint block)
    {
        const ulong size = 12 * MiB + 512;
        Random random = new(11);
        using VhdUnderTest oldest = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, size));
        SparseFile raw = WriteRandomly(random, oldest, 10, size);
        using VhdUnderTest middle = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Differencing, size, block, oldest), oldest);
        using VhdUnderTest child = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Differencing, size, 0, middle), middle);
        SparseFile beneath = oldest.File.Clone();
        foreach (VhdUnderTest image in new[] { middle, child })
        {
            AssertEqual(raw, image);
            for (int i = 0; i < 25; i++)
            {
                ulong offset = 512 * (ulong)random.Next((int)(size / 512));
                byte[] data = Pattern(random, (int)Math.Min(512u * (ulong)(1 + random.Next(100)), size - offset));
                Assert.Equal(ImageStatus.Success, image.Write(offset, data));
                raw.Write((long)offset, data);
            }
            AssertEqual(raw, image);
        }
        Assert.Equal(beneath.Length, oldest.File.Length);
        using VhdUnderTest again = VhdUnderTest.Opened(child.File, middle);
        AssertEqual(raw, again);
    }

    [Fact]
    public unsafe void ParentIsNamed()
    {
        using VhdUnderTest parent = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, 4 * MiB));
        using VhdUnderTest child = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Differencing, 4 * MiB, 0, parent), parent);
        byte* header = child.Image.HeaderData;
        Assert.True(new Span<byte>(VhdDynamicHeader.ParentUniqueId(header), 16).SequenceEqual(new Span<byte>(VhdFooter.UniqueId(parent.Image.FooterData), 16)));
        Assert.Equal(0x12345678u, VhdDynamicHeader.ParentTimestamp(header));
        Assert.True(new Span<byte>(VhdDynamicHeader.ParentName(header), 16).SequenceEqual("\0p\0a\0r\0.\0v\0h\0d\0\0"u8));
        VhdDynamicHeader.Locator(header, 0, out uint platform, out ulong offset, out uint length);
        Assert.Equal(VhdDynamicHeader.RelativeWindowsPath, platform);
        byte[] path = new byte[length];
        child.File.Read((long)offset, path);
        Assert.Equal("p\0a\0r\0.\0v\0h\0d\0"u8.ToArray(), path);
    }

    [Fact]
    public void RequestsOutsideTheDiskAreRefused()
    {
        using VhdUnderTest image = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, 4 * MiB));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(4 * MiB, new byte[512]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(4 * MiB - 512, new byte[1024]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(ulong.MaxValue - 511, new byte[1024]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(1, new byte[512]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(0, new byte[511]));
        Assert.Equal(ImageStatus.Success, image.Write(4 * MiB, []));
        using VhdUnderTest readOnly = new(image.File, writable: false);
        Assert.Equal(ImageStatus.Success, readOnly.Open());
        Assert.Equal(ImageStatus.ReadOnly, readOnly.Write(0, new byte[512]));
    }

    [Theory]
    [InlineData(VhdType.Fixed, 0u)]
    [InlineData(VhdType.Dynamic, 16384u)]
    [InlineData(VhdType.Dynamic, 4u << 20)]
    [InlineData(VhdType.Differencing, 16384u)]
    public void PowerMayFailAtAnyWrite(VhdType type, uint block)
    {
        ulong size = block > MiB ? 2 * block : 400 * 512;
        for (int seed = 0; seed < 3 * Fuzz.Factor; seed++)
        {
            using VhdUnderTest parent = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, size));
            SparseFile file = VhdUnderTest.Create(type, size, block, type == VhdType.Differencing ? parent : null);
            if (type == VhdType.Differencing) PowerLoss.Fill(parent, 1);
            uint initial = type == VhdType.Differencing ? 1u : 0;
            PowerLoss.Check(seed, file, block == 0 ? 64 : (int)block / 512, block > MiB ? 25 : 60, initial, f => new VhdUnderTest(f) { Parent = parent });
        }
    }

    [Theory]
    [InlineData(VhdType.Dynamic)]
    [InlineData(VhdType.Differencing)]
    public void FailingWritesLeaveTheImageUsable(VhdType type)
    {
        Random random = new(9);
        for (int round = 0; round < 20; round++)
        {
            using VhdUnderTest parent = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Dynamic, MiB));
            SparseFile file = VhdUnderTest.Create(type, MiB, 8192, parent);
            SparseFile raw = new() { Length = MiB };
            using VhdUnderTest image = VhdUnderTest.Opened(file, parent);
            for (int i = 0; i < 60; i++)
            {
                int offset = 512 * random.Next(2000), countdown = random.Next(12);
                byte[] data = Pattern(random, 512 * (1 + random.Next(40)));
                file.Fail = _ => countdown-- == 0;
                if (image.Write((ulong)offset, data) == ImageStatus.Success) raw.Write(offset, data);
                else
                {
                    file.Fail = _ => false;   // what a failed write leaves is undefined: do it again
                    Assert.Equal(ImageStatus.Success, image.Write((ulong)offset, data));
                    raw.Write(offset, data);
                }
                file.Fail = _ => false;
            }
            AssertEqual(raw, image);
            using VhdUnderTest again = VhdUnderTest.Opened(file, parent);
            AssertEqual(raw, again);
        }
    }

    [Fact]
    public unsafe void DamagedMetadataIsHarmless()
    {
        Random random = new(2);
        int opened = 0;
        for (int i = 0; i < 1500 * Fuzz.Factor; i++)
        {
            VhdType type = (VhdType)random.Next(2, 5);
            using VhdUnderTest parent = VhdUnderTest.Opened(VhdUnderTest.Create(VhdType.Fixed, MiB));
            SparseFile file = VhdUnderTest.Create(type, MiB, 16384, type == VhdType.Differencing ? parent : null);
            using (VhdUnderTest good = VhdUnderTest.Opened(file))
                for (int k = 0; k < 4; k++) good.Write(512 * (ulong)random.Next(2000), new byte[1024]);
            for (int k = 1 + random.Next(4); k > 0; k--)
            {
                long at = random.Next(4) switch { 0 => file.Length - 1 - random.Next(100), 1 => random.Next(100), 2 => 512 + random.Next(100), _ => 1536 + random.Next(256) };
                byte[] damage = new byte[1 + random.Next(4)];
                for (int b = 0; b < damage.Length; b++) damage[b] = Fuzz.Byte(random);
                file.Write(Math.Min(at, file.Length - damage.Length), damage);
            }
            Reseal(file, file.Length - 512, 512, 64);
            Reseal(file, 0, 512, 64);
            Reseal(file, 512, 1024, 36);
            if (random.Next(10) == 0) file.Length = 512 * random.Next(20);
            using VhdUnderTest image = new(file) { MemoryLimit = MiB };
            if (image.Open() != ImageStatus.Success) continue;
            opened++;
            for (int k = 0; k < 6; k++)
            {
                ulong offset = 512 * (ulong)random.NextInt64((long)image.VirtualBytes / 512 + 2);
                image.Run(k % 2 == 0 ? ImageOperation.Write : ImageOperation.Read, offset, new byte[512 * random.Next(100)]);
            }
        }
        Assert.True(opened > 100, $"only {opened} damaged images were opened");
    }

    private static void Reseal(SparseFile file, long at, int length, int checksumAt)
    {
        if (at + length > file.Length) return;
        byte[] data = new byte[length];
        file.Read(at, data);
        uint sum = 0;
        for (int i = 0; i < length; i++)
            if (i < checksumAt || i >= checksumAt + 4) sum += data[i];
        sum = ~sum;
        file.Write(at + checksumAt, [(byte)(sum >> 24), (byte)(sum >> 16), (byte)(sum >> 8), (byte)sum]);
    }
}
