// Damaged and hostile VHDX files: one of two is enough where there are two; everything else is refused, or harmless.
using System;
using Lamina.Drivers.Storage.Images;
using Xunit;
using static Lamina.Tests.Host.Storage.ImageContent;

namespace Lamina.Tests.Host.Storage;

public unsafe class VhdxDamageTests
{
    private const int MiB = 1 << 20, Bat = 3 * MiB, Metadata = 2 * MiB;

    private static ImageStatus Open(SparseFile file, bool writable = true)
    {
        using VhdxUnderTest image = new(file, writable) { MemoryLimit = MiB };
        return image.Open();
    }

    private static SparseFile Written(VhdxType type, VhdxUnderTest parent = null)
    {
        SparseFile file = VhdxUnderTest.Create(type, 9 * MiB, MiB, 0, parent);
        using VhdxUnderTest image = VhdxUnderTest.Opened(file, parent);
        for (int i = 0; i < 4; i++) Assert.Equal(ImageStatus.Success, image.Write((ulong)i * 2 * MiB, Pattern(new(i), 4096)));
        Assert.Equal(ImageStatus.Success, image.Close());
        return file;
    }

    private static ulong Entry(SparseFile file, int index)
    {
        byte[] entry = new byte[8];
        file.Read(Bat + index * 8, entry);
        return BitConverter.ToUInt64(entry);
    }

    [Theory]
    [InlineData(64 << 10)]
    [InlineData(128 << 10)]
    [InlineData(192 << 10)]
    [InlineData(256 << 10)]
    public void OneHeaderOrRegionTableIsEnough(int at)
    {
        SparseFile file = Written(VhdxType.Dynamic);
        file.Write(at + 100, [77]);
        using VhdxUnderTest image = VhdxUnderTest.Opened(file);
        Assert.Equal(Pattern(new(1), 4096), image.Read(2 * MiB, 4096));
        Assert.Equal(ImageStatus.Success, image.Write(0, new byte[512]));
    }

    [Theory]
    [InlineData(0, 0)]                       // the identifier
    [InlineData(64 << 10, 128 << 10)]
    [InlineData(192 << 10, 256 << 10)]
    [InlineData(Metadata, Metadata)]
    public void WithoutBothItIsInvalid(int first, int second)
    {
        SparseFile file = Written(VhdxType.Dynamic);
        file.Write(first + 3, [77]);
        file.Write(second + 3, [77]);
        Assert.Equal(ImageStatus.Invalid, Open(file));
    }

    [Theory]
    [InlineData(4)]   // reserved states
    [InlineData(5)]
    [InlineData(7)]   // partially present without a parent
    [InlineData(6)]   // in the header section
    [InlineData(6 | 1 << 20)]   // log
    [InlineData(6 | 2 << 20)]   // metadata
    [InlineData(6 | 3 << 20)]   // BAT
    [InlineData(6 | 4UL << 20 | 0UL)]   // another block's
    [InlineData(6 | 8UL << 20)]         // behind the end
    [InlineData(6 | 0xFFFFFFFFFFFUL << 20)]
    public void BlocksThatLieWhereTheyMustNotAreRefused(ulong entry)
    {
        SparseFile file = Written(VhdxType.Dynamic);
        Assert.Equal(8 * MiB, file.Length);
        Assert.Equal(6UL | 4 << 20, Entry(file, 0));
        file.Write(Bat + 8, BitConverter.GetBytes(entry));
        Assert.Equal(ImageStatus.Invalid, Open(file));
    }

    [Fact]
    public void PlacesKeptForAbsentBlocksAreNotTaken()
    {
        SparseFile file = Written(VhdxType.Dynamic);
        file.Length = 10 * MiB;
        file.Write(Bat + 8, BitConverter.GetBytes(3UL | 8 << 20));     // UNMAPPED, with its place
        file.Write(Bat + 24, BitConverter.GetBytes(1UL | 4 << 20));    // UNDEFINED, with that of another
        using VhdxUnderTest image = VhdxUnderTest.Opened(file);
        Assert.Equal(new byte[512], image.Read(MiB, 512));
        Assert.Equal(new byte[512], image.Read(3 * MiB, 512));
        Assert.Equal(ImageStatus.Success, image.Write(5 * MiB, Pattern(new(9), 512)));
        Assert.Equal(6UL | 9 << 20, Entry(file, 5));
        Assert.Equal(ImageStatus.Success, image.Write(3 * MiB, Pattern(new(8), 512)));
        Assert.Equal(Pattern(new(0), 4096), image.Read(0, 4096));
    }

    /// <summary>A block that becomes partially present has only those bits that were written, whatever an earlier owner left.</summary>
    [Theory]
    [InlineData(1u << 20)]
    [InlineData(16u << 20)]
    [InlineData(64u << 20)]
    public void LeftoverBitsAreCleared(uint block)
    {
        ulong size = 3UL * block;
        Random random = new(3);
        using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size));
        SparseFile raw = WriteRandomly(random, parent, 60, size);
        SparseFile file = VhdxUnderTest.Create(VhdxType.Differencing, size, block, 0, parent);
        byte[] data = Pattern(random, 8192);
        using (VhdxUnderTest image = VhdxUnderTest.Opened(file, parent))
        {
            Assert.Equal(ImageStatus.Success, image.Write(0, data));
            raw.Write(0, data);
            Assert.Equal(ImageStatus.Success, image.Close());
        }
        int bitmapIndex = (int)((1UL << 23) * 512 / block);
        long bitmap = (long)(Entry(file, bitmapIndex) & ~0xFFFFFUL);
        byte[] ones = new byte[2 * block / 512 / 8];
        ones.AsSpan().Fill(0xFF);
        file.Write(bitmap + block / 512 / 8, ones);
        SparseFile cut = null;
        using (VhdxUnderTest image = VhdxUnderTest.Opened(file, parent))
        {
            foreach (uint at in new[] { block + block / 2, 2 * block + 512 })
            {
                cut = file.Clone();
                file.Log = [];
                Assert.Equal(ImageStatus.Success, image.Write(at, data));
                raw.Write(at, data);
            }
            AssertEqual(raw, image);
        }
        // Power fails before anything of the last commit was applied: its entry alone must do the same.
        int applied = file.Log.FindLastIndex(entry => entry == null);
        Assert.NotEqual(file.Log.Count - 1, applied);
        foreach (var entry in file.Log.GetRange(0, applied))
            if (entry is var (offset, bytes)) cut.Write(offset, bytes);
        foreach (SparseFile disk in new[] { file, cut })
        {
            using VhdxUnderTest again = VhdxUnderTest.Opened(disk, parent);
            AssertEqual(raw, again);
        }
    }

    [Fact]
    public void DamagedMetadataIsHarmless()
    {
        Random random = new(2);
        int opened = 0, replayed = 0;
        using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, 9 * MiB));
        SparseFile[] good = [Written(VhdxType.Fixed), Written(VhdxType.Dynamic), Written(VhdxType.Differencing, parent)];
        for (int i = 0; i < 1500 * Fuzz.Factor; i++)
        {
            int which = random.Next(3);
            SparseFile file = good[which].Clone();
            bool withLog = random.Next(2) == 0;
            if (withLog)
                using (VhdxUnderTest open = VhdxUnderTest.Opened(file, parent))
                    for (int k = 0; k < 3; k++) open.Run(k == 1 ? ImageOperation.Discard : ImageOperation.Write, (ulong)random.Next(8) * MiB, new byte[k == 1 ? MiB : 1024]);
            for (int k = 1 + random.Next(4); k > 0; k--)
            {
                long at = random.Next(9) switch
                {
                    0 => random.Next(16),
                    1 => (64 << 10) + random.Next(80),
                    2 => (128 << 10) + random.Next(80),
                    3 => (192 << 10) + random.Next(80),
                    4 => Metadata + random.Next(32 + 6 * 32),
                    5 => Metadata + (64 << 10) + random.Next(220),
                    6 => MiB + random.Next(5) * 4096 + random.Next(64 + 6 * 32),
                    7 => Bat + (random.Next(3) == 0 ? 4096 * 8 : 0) + random.Next(80),
                    _ => MiB + random.Next(16 * 4096),
                };
                byte[] damage = new byte[1 + random.Next(8)];
                for (int b = 0; b < damage.Length; b++) damage[b] = Fuzz.Byte(random);
                file.Write(at, damage);
            }
            if (random.Next(8) != 0) Reseal(file);
            if (random.Next(12) == 0) file.Length = random.NextInt64(file.Length) / 512 * 512;
            using VhdxUnderTest image = new(file, random.Next(8) != 0) { MemoryLimit = 4 * MiB, Parent = parent };
            if (image.Open() != ImageStatus.Success) continue;
            opened++;
            if (withLog) replayed++;
            for (int k = 0; k < 6; k++)
            {
                ulong sectors = image.VirtualBytes / (ulong)image.SectorBytes, offset = (ulong)image.SectorBytes * (ulong)random.NextInt64((long)sectors + 2);
                ImageOperation operation = (ImageOperation)random.Next(6);
                byte[] data = new byte[operation is ImageOperation.Flush or ImageOperation.Close ? 0 : image.SectorBytes * random.Next(100)];
                image.Run(operation, offset, data);
            }
        }
        Assert.True(opened > 200 && replayed > 50, $"only {opened} damaged images were opened, {replayed} with a log");
    }

    /// <summary>Makes all checksums right, so that what is wrong is looked at.</summary>
    private static void Reseal(SparseFile file)
    {
        foreach (var (at, length) in new[] { (64 << 10, 4096), (128 << 10, 4096), (192 << 10, 64 << 10), (256 << 10, 64 << 10) }) Reseal(file, at, length);
        byte[] header = new byte[64];
        for (int at = 0; at < MiB; at += 4096)
        {
            file.Read(MiB + at, header);
            uint length = BitConverter.ToUInt32(header, 8);
            if (BitConverter.ToUInt32(header) == VhdxLogEntryHeader.SignatureValue && length >= 64 && length <= MiB - at) Reseal(file, MiB + at, (int)length);
        }
    }

    private static void Reseal(SparseFile file, long at, int length)
    {
        byte[] data = new byte[length];
        file.Read(at, data);
        fixed (byte* memory = data) file.Write(at + 4, BitConverter.GetBytes(Checksums.Crc32C(memory, (uint)length, 4)));
    }
}
