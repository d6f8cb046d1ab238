// Partition tables: made by hand and by sgdisk, with broken copies, and with random damage.
using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Partitions;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public unsafe class PartitionTableTests
{
    internal static readonly Guid Linux = new("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), Esp = new("C12A7328-F81F-11D2-BA4B-00A0C93EC93B");

    private readonly record struct Found(ulong First, ulong Count, string Name, byte MbrType, bool Esp);

    private sealed class Outcome
    {
        public ImageStatus Status;
        public PartitionScheme Scheme;
        public bool FromBackup;
        public List<Found> Partitions = [];
    }

    private static Outcome Read(SparseFile disk, uint blockBytes = 512, uint workspaceBytes = PartitionTable.UsualWorkspaceBytes)
    {
        // Guard bytes behind the workspace show a write beyond it.
        byte* workspace = (byte*)NativeMemory.AllocZeroed(workspaceBytes + 64);
        try
        {
            new Span<byte>(workspace + workspaceBytes, 64).Fill(0xA5);
            PartitionTable table = new(workspace, workspaceBytes, blockBytes, (ulong)disk.Length / blockBytes);
            Outcome outcome = new();
            bool success = true;
            for (int steps = 0; ; steps++)
            {
                Assert.True(steps < 16);
                BlockStep step = table.Advance(success);
                if (step.Kind == StepKind.Finished) { outcome.Status = step.Status; break; }
                Assert.Equal(StepKind.Read, step.Kind);
                Assert.True(step.Buffer >= workspace && step.Length % blockBytes == 0 && step.Offset % blockBytes == 0);
                Assert.True(step.Buffer + step.Length <= workspace + workspaceBytes && step.Offset + step.Length <= (ulong)disk.Length);
                success = disk.Perform(step, default);
            }
            outcome.Scheme = table.Scheme;
            outcome.FromBackup = table.FromBackup;
            for (uint i = 0; i < table.SlotCount; i++)
                if (table.TryGetPartition(i, out PartitionEntry p))
                {
                    Assert.True(p.BlockCount > 0 && p.FirstBlock + p.BlockCount <= (ulong)disk.Length / blockBytes);
                    string name = p.Name == null ? "" : Encoding.Unicode.GetString(p.Name, 72).TrimEnd('\0');
                    outcome.Partitions.Add(new(p.FirstBlock, p.BlockCount, name, p.MbrType, p.Type.Equals(GptGuid.EfiSystemPartition)));
                }
            Assert.Equal(-1, new Span<byte>(workspace + workspaceBytes, 64).IndexOfAnyExcept((byte)0xA5));
            return outcome;
        }
        finally { NativeMemory.Free(workspace); }
    }

    internal static byte[] Entry(Guid type, ulong first, ulong last, string name)
    {
        byte[] entry = new byte[128];
        type.TryWriteBytes(entry);
        entry[16] = 1;
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(32), first);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(40), last);
        Encoding.Unicode.GetBytes(name).CopyTo(entry, 56);
        return entry;
    }

    /// <summary>A disk with both copies; <paramref name="change"/> edits a header (blocks 1 and last) before its checksum is made.</summary>
    internal static SparseFile Disk(ulong blocks, int blockBytes, byte[][] entries, Action<ulong, byte[]> change = null)
    {
        SparseFile disk = new() { Length = (long)blocks * blockBytes };
        byte[] mbr = new byte[blockBytes];
        mbr[450] = 0xEE;
        mbr[454] = 1;
        mbr[458] = mbr[459] = mbr[460] = mbr[461] = 0xFF;
        mbr[510] = 0x55;
        mbr[511] = 0xAA;
        disk.Write(0, mbr);
        byte[] array = new byte[128 * 128];
        for (int i = 0; i < entries.Length; i++) entries[i].CopyTo(array, i * 128);
        ulong arrayBlocks = (ulong)(array.Length / blockBytes);
        foreach (ulong block in new[] { 1UL, blocks - 1 })
        {
            ulong arrayAt = block == 1 ? 2 : blocks - 1 - arrayBlocks;
            disk.Write((long)arrayAt * blockBytes, array);
            byte[] header = new byte[blockBytes];
            "EFI PART"u8.CopyTo(header);
            void Set32(int at, uint v) => BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(at), v);
            void Set64(int at, ulong v) => BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(at), v);
            Set32(8, 0x10000); Set32(12, 92);
            Set64(24, block); Set64(32, block == 1 ? blocks - 1 : 1);
            Set64(40, 2 + arrayBlocks); Set64(48, blocks - 2 - arrayBlocks);
            Set64(72, arrayAt); Set32(80, 128); Set32(84, 128);
            Set32(88, Crc(array));
            change?.Invoke(block, header);
            Set32(16, 0);
            Set32(16, Crc(header.AsSpan(0, 92)));
            disk.Write((long)block * blockBytes, header);
        }
        return disk;
    }

    /// <summary>CRC-32 bit by bit: another way than the code under test takes.</summary>
    private static uint Crc(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in data)
            for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (((crc ^ (uint)b >> bit) & 1) != 0 ? 0xEDB88320 : 0);
        return ~crc;
    }

    private static byte[][] Two => [Entry(Esp, 2048, 4095, "EFI system"), Entry(Linux, 4096, 8191, "root ü")];

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void ReadsBothPartitions(int blockBytes)
    {
        Outcome outcome = Read(Disk(1 << 20, blockBytes, Two), (uint)blockBytes);
        Assert.Equal((ImageStatus.Success, PartitionScheme.Gpt, false), (outcome.Status, outcome.Scheme, outcome.FromBackup));
        Assert.Equal([new Found(2048, 2048, "EFI system", 0, true), new Found(4096, 4096, "root ü", 0, false)], outcome.Partitions);
    }

    [Fact]
    public void DiskBeyondTwoTebibytes()
    {
        ulong blocks = 20UL << 31;
        Outcome outcome = Read(Disk(blocks, 512, [Entry(Linux, 2048, blocks - 100, "big")]));
        Assert.Equal([new Found(2048, blocks - 100 - 2047, "big", 0, false)], outcome.Partitions);
    }

    [Theory]
    [InlineData(512)]       // header
    [InlineData(1024 + 40)] // entries
    public void BackupServesWhenThePrimaryIsDamaged(int at)
    {
        SparseFile disk = Disk(1 << 16, 512, Two);
        disk.Write(at, [0x77]);
        Outcome outcome = Read(disk);
        Assert.Equal((ImageStatus.Success, true, 2), (outcome.Status, outcome.FromBackup, outcome.Partitions.Count));
        disk.Write(disk.Length - 512, [0x77]);
        outcome = Read(disk);
        Assert.Equal((ImageStatus.Invalid, PartitionScheme.None, 0), (outcome.Status, outcome.Scheme, outcome.Partitions.Count));
    }

    // Offset in the header and a value of eight bytes (four where the field has four) that a correct checksum does not make right.
    [Theory]
    [InlineData(24, 2UL)]          // MyLBA
    [InlineData(40, 1UL)]          // FirstUsableLBA in the header
    [InlineData(40, 60000UL)]      // entries of the primary fine, first behind last below
    [InlineData(48, 0xFFFFUL)]     // LastUsableLBA covers the backup
    [InlineData(48, ulong.MaxValue)]
    [InlineData(72, 0UL)]
    [InlineData(72, 1UL)]
    [InlineData(72, 40UL)]         // in the usable blocks
    [InlineData(72, ulong.MaxValue)]
    [InlineData(80, 0UL)]          // no entries, size 0
    [InlineData(80, 0x80_FFFFFFFF)]
    [InlineData(80, 0x8000_0000_0000_0080)]
    [InlineData(80, 0x60_00000080)]
    public void FieldsAreChecked(int offset, ulong value)
    {
        if (offset == 40 && value == 60000) value = (1 << 16) - 10;
        Outcome outcome = Read(Disk(1 << 16, 512, Two, (block, header) => { if (block == 1) BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(offset), value); }));
        Assert.Equal((ImageStatus.Success, true), (outcome.Status, outcome.FromBackup));
    }

    [Fact]
    public void EntriesOutsideOrOverlappingAreNotShown()
    {
        Outcome outcome = Read(Disk(1 << 16, 512, [Entry(Linux, 2048, 4095, "a"), Entry(Linux, 4095, 5000, "over a"), Entry(Linux, 6000, 5999, "none"),
            Entry(Linux, 33, 100, "in the entries"), Entry(Linux, 60000, 1 << 16, "past"), Entry(Linux, 5000, ulong.MaxValue, "wrap"), Entry(Linux, 7000, 7000, "one")]));
        Assert.Equal([new Found(2048, 2048, "a", 0, false), new Found(7000, 1, "one", 0, false)], outcome.Partitions);
    }

    [Fact]
    public void WorkspaceTooSmallForTheEntriesIsSaid() => Assert.Equal(ImageStatus.NoMemory, Read(Disk(1 << 16, 512, Two), 512, 512 + 16384 - 512).Status);

    [Fact]
    public void ClassicMbr()
    {
        SparseFile disk = new() { Length = 1 << 20 };
        byte[] mbr = new byte[512];
        mbr[510] = 0x55; mbr[511] = 0xAA;
        byte[] entries = [0x80, 0, 0, 0, 0x83, 0, 0, 0, 64, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x0C, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 4, 0, 0, 1, 4, 0, 0];
        entries.CopyTo(mbr, 446);
        disk.Write(0, mbr);
        Outcome outcome = Read(disk);
        Assert.Equal((ImageStatus.Success, PartitionScheme.Mbr), (outcome.Status, outcome.Scheme));
        Assert.Equal([new Found(64, 256, "", 0x83, false), new Found(1024, 1024, "", 0x0C, false)], outcome.Partitions);
        disk.Write(510, [0]);
        outcome = Read(disk);
        Assert.Equal((ImageStatus.Success, PartitionScheme.None, 0), (outcome.Status, outcome.Scheme, outcome.Partitions.Count));
    }

    [Fact]
    public void RandomDamageNeverReadsOutOfRange()
    {
        Random random = new(1);
        for (int i = 0; i < 300 * Fuzz.Factor; i++)
        {
            ulong blocks = 1 << 10;
            byte[][] entries = [Entry(Linux, 40, 900, "a"), Entry(Linux, (ulong)random.NextInt64(), (ulong)random.NextInt64(), "b")];
            SparseFile disk = Disk(blocks, 512, entries, (_, header) => { for (int k = random.Next(4); k > 0; k--) header[random.Next(92)] = Fuzz.Byte(random); });
            for (int k = random.Next(3); k > 0; k--) disk.Write(random.Next(3) switch { 0 => 446 + random.Next(66), 1 => random.Next(20000), _ => disk.Length - 1 - random.Next(20000) }, [Fuzz.Byte(random)]);
            if (random.Next(8) == 0) disk.Length = 512 * random.Next(8);
            Read(disk, 512, 512 * (uint)random.Next(1, 40));
        }
    }

    [ProgramFact("sgdisk", "gdisk")]
    public void ReadsWhatSgdiskMade()
    {
        string path = Path.GetTempFileName();
        try
        {
            using (FileStream stream = File.OpenWrite(path)) stream.SetLength(64 << 20);
            Programs.Run("sgdisk", "-n", "1:2048:+8M", "-t", "1:ef00", "-c", "1:boot", "-n", "2:0:0", "-c", "2:the rest", path);
            SparseFile disk = SparseFile.Load(path);
            Outcome outcome = Read(disk);
            Assert.Equal((ImageStatus.Success, PartitionScheme.Gpt, false), (outcome.Status, outcome.Scheme, outcome.FromBackup));
            Assert.Equal(new Found(2048, 16384, "boot", 0, true), outcome.Partitions[0]);
            Assert.Equal((2, 18432ul, "the rest"), (outcome.Partitions.Count, outcome.Partitions[1].First, outcome.Partitions[1].Name));
            Assert.InRange(outcome.Partitions[1].Count, 131072ul - 18432 - 4096, 131072ul - 18432 - 33);   // sgdisk may align the end
        }
        finally { File.Delete(path); }
    }
}
