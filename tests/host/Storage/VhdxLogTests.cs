// The log of a VHDX: which of its entries count, what replaying them does to the file, and what is refused.
using System;
using System.Collections.Generic;
using System.Linq;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public unsafe class VhdxLogTests
{
    private const int Sector = 4096, MiB = 1 << 20, LogBytes = MiB;
    private const long LogOffset = MiB;
    private static readonly VhdxGuid Guid = new(0x1122334455667788, 0x99AABBCCDDEEFF00);

    private readonly SparseFile file = VhdxUnderTest.Create(VhdxType.Dynamic, 8 * MiB, MiB);
    private ulong flushed = 3 * MiB, last = 4 * MiB;

    /// <summary>Sets the header's LogGuid.</summary>
    private void SetLogGuid(VhdxGuid guid)
    {
        foreach (uint index in new[] { 0u, 1u })
        {
            byte[] data = new byte[VhdxHeader.Bytes];
            file.Read((long)VhdxLayout.HeaderOffset(index), data);
            fixed (byte* at = data)
            {
                ((VhdxHeader*)at)->LogGuid = guid;
                VhdxHeader.Seal((VhdxHeader*)at);
            }
            file.Write((long)VhdxLayout.HeaderOffset(index), data);
        }
    }

    private readonly record struct Descriptor(long Offset, byte Fill, long Zeros);

    private static Descriptor Data(long offset, byte fill) => new(offset, fill, 0);
    private static Descriptor Zeros(long offset, long length) => new(offset, 0, length);

    /// <summary>Writes an entry at an offset in the log, around its end if need be; where the next would go.</summary>
    private int Entry(int at, ulong sequence, int tail, VhdxGuid guid, params Descriptor[] descriptors)
    {
        int dataCount = descriptors.Count(d => d.Zeros == 0), descriptorSectors = (64 + 32 * descriptors.Length + Sector - 1) / Sector;
        byte[] entry = new byte[(descriptorSectors + dataCount) * Sector];
        fixed (byte* memory = entry)
        {
            *(VhdxLogEntryHeader*)memory = new()
            {
                Signature = VhdxLogEntryHeader.SignatureValue, EntryLength = (uint)entry.Length, Tail = (uint)tail, SequenceNumber = sequence, DescriptorCount = (uint)descriptors.Length,
                LogGuid = guid, FlushedFileOffset = flushed, LastFileOffset = last,
            };
            VhdxLogDescriptor* descriptor = (VhdxLogDescriptor*)(memory + 64);
            byte* sector = memory + descriptorSectors * Sector;
            foreach (Descriptor one in descriptors)
            {
                *descriptor = new() { Signature = one.Zeros != 0 ? VhdxLogDescriptor.Zero : VhdxLogDescriptor.Data, LeadingBytes = (ulong)one.Zeros, FileOffset = (ulong)one.Offset, SequenceNumber = sequence };
                if (one.Zeros == 0)
                {
                    new Span<byte>(sector, Sector).Fill(one.Fill);
                    VhdxLogDataSector.Seal(sector, descriptor, sequence);
                    sector += Sector;
                }
                descriptor++;
            }
            ((VhdxLogEntryHeader*)memory)->Checksum = Checksums.Crc32C(memory, (uint)entry.Length, 4);
        }
        for (int i = 0; i < entry.Length; i += Sector) file.Write(LogOffset + (at + i) % LogBytes, entry.AsSpan(i, Sector));
        return (at + entry.Length) % LogBytes;
    }

    private ImageStatus Open(bool writable = true)
    {
        using VhdxUnderTest image = new(file, writable);
        return image.Open();
    }

    private byte At(long offset)
    {
        byte[] sector = new byte[Sector];
        file.Read(offset, sector);
        Assert.All(sector, b => Assert.Equal(sector[0], b));
        return sector[0];
    }

    private VhdxHeader Header(uint index)
    {
        byte[] data = new byte[VhdxHeader.Bytes];
        file.Read((long)VhdxLayout.HeaderOffset(index), data);
        fixed (byte* at = data)
        {
            Assert.True(VhdxHeader.IsValid((VhdxHeader*)at));
            return *(VhdxHeader*)at;
        }
    }

    // A place in the metadata region that nothing uses.
    private const long Free = 2 * MiB + 512 * 1024;

    [Fact]
    public void AllEntriesOfTheActiveSequenceAreReplayed()
    {
        SetLogGuid(Guid);
        file.Write(Free + 3 * Sector, Enumerable.Repeat((byte)9, 2 * Sector).ToArray());
        int second = Entry(8 * Sector, 5, 8 * Sector, Guid, Data(Free, 1), Data(Free + Sector, 1));
        int third = Entry(second, 6, 8 * Sector, Guid, Data(Free + Sector, 2), Zeros(Free + 3 * Sector, 2 * Sector));
        Entry(third, 7, 8 * Sector, Guid, Data(Free + 2 * Sector, 3));
        VhdxHeader before = Header(1);
        Assert.Equal(ImageStatus.NeedsReplay, Open(writable: false));
        Assert.Equal(ImageStatus.Success, Open());
        Assert.Equal((1, 2, 3, 0, 0), (At(Free), At(Free + Sector), At(Free + 2 * Sector), At(Free + 3 * Sector), At(Free + 4 * Sector)));
        // Both headers say the same: new FileWriteGuid, same data, no log.
        foreach (uint index in new[] { 0u, 1u })
        {
            VhdxHeader header = Header(index);
            Assert.True(header.LogGuid.IsZero);
            Assert.False(header.FileWriteGuid.Equals(before.FileWriteGuid));
            Assert.True(header.DataWriteGuid.Equals(before.DataWriteGuid));
            Assert.True(header.SequenceNumber > before.SequenceNumber);
        }
        Assert.Equal(ImageStatus.Success, Open(writable: false));
    }

    /// <summary>At each write of a repair: all that was flushed and that write alone are there.</summary>
    [Fact]
    public void PowerMayFailInTheMiddleOfARepair()
    {
        SetLogGuid(Guid);
        last = 6 * MiB;
        int second = Entry(0, 5, 0, Guid, Data(Free, 1), Data(Free + Sector, 1));
        Entry(second, 6, 0, Guid, Data(Free + Sector, 2), Data(5 * MiB, 3));
        SparseFile before = file.Clone();
        file.Log = [];
        Assert.Equal(ImageStatus.Success, Open());
        Assert.True(file.Log.Count > 10);
        for (int cut = 0; cut <= file.Log.Count; cut++)
        {
            SparseFile disk = before.Clone();
            int durable = cut == 0 ? 0 : file.Log.FindLastIndex(cut - 1, entry => entry == null) + 1;
            for (int i = 0; i < cut; i++)
                if (file.Log[i] is var (offset, data) && (i < durable || i == cut - 1)) disk.Write(offset, data);
            using VhdxUnderTest image = new(disk);
            Assert.Equal(ImageStatus.Success, image.Open());
            byte[] sector = new byte[Sector];
            foreach (var (at, fill) in new[] { (Free, 1), (Free + Sector, 2), (5L * MiB, 3) })
            {
                disk.Read(at, sector);
                Assert.All(sector, b => Assert.Equal(fill, b));
            }
            Assert.Equal(6 * MiB, disk.Length);
        }
    }

    [Fact]
    public void OnlyFromTheTailOn()
    {
        SetLogGuid(Guid);
        int second = Entry(0, 5, 0, Guid, Data(Free, 1));
        Entry(second, 6, second, Guid, Data(Free + Sector, 2));
        Assert.Equal(ImageStatus.Success, Open());
        Assert.Equal((0, 2), (At(Free), At(Free + Sector)));
    }

    [Fact]
    public void TheNewestValidSequenceCounts()
    {
        SetLogGuid(Guid);
        Entry(0, 20, 0, Guid, Data(Free, 1));
        Entry(10 * Sector, 30, 10 * Sector, Guid, Data(Free, 2));
        Entry(20 * Sector, 25, 20 * Sector, Guid, Data(Free, 3));
        Entry(30 * Sector, 40, 30 * Sector, new VhdxGuid(1, 2), Data(Free, 4));   // of another time
        Entry(40 * Sector, 50, 0, Guid, Data(Free, 5));                           // its tail is not of its sequence
        int torn = Entry(50 * Sector, 60, 50 * Sector, Guid, Data(Free, 6));
        file.Write(LogOffset + torn - 512, [1]);
        Assert.Equal(ImageStatus.Success, Open());
        Assert.Equal(2, At(Free));
    }

    [Fact]
    public void ASequenceMayRunAroundTheEnd()
    {
        SetLogGuid(Guid);
        int tail = LogBytes - 5 * Sector;
        int second = Entry(tail, 5, tail, Guid, Data(Free, 1), Data(Free + Sector, 1));
        int third = Entry(second, 6, tail, Guid, Data(Free + Sector, 2), Data(Free + 2 * Sector, 2));
        Assert.Equal(Sector, third);
        Entry(third, 7, tail, Guid, Data(Free + 3 * Sector, 3));
        Assert.Equal(ImageStatus.Success, Open());
        Assert.Equal((1, 2, 2, 3), (At(Free), At(Free + Sector), At(Free + 2 * Sector), At(Free + 3 * Sector)));
    }

    [Theory]
    [InlineData(126)]
    [InlineData(127)]
    [InlineData(126 + 128)]
    [InlineData(126 + 1)]
    public void DescriptorsFillSeveralSectors(int count)
    {
        SetLogGuid(Guid);
        Entry(250 * Sector, 5, 250 * Sector, Guid, [.. Enumerable.Range(0, count).Select(i => i % 3 == 0 ? Data(Free + i % 100 * Sector, (byte)(i + 1)) : Zeros(Free + (100 + i % 7) * Sector, Sector))]);
        Assert.Equal(ImageStatus.Success, Open());
        for (int slot = 0; slot < 100; slot++)
        {
            int newest = Enumerable.Range(0, count).LastOrDefault(i => i % 3 == 0 && i % 100 == slot, -1);
            Assert.Equal((byte)(newest + 1), At(Free + slot * Sector));
        }
    }

    [Fact]
    public void AnEntryMayHaveNoDescriptors()
    {
        SetLogGuid(Guid);
        Entry(0, 5, 0, Guid);
        Assert.Equal(ImageStatus.Success, Open());
    }

    [Fact]
    public void TheFileGrowsToWhatIsAllocated()
    {
        SetLogGuid(Guid);
        last = 9 * MiB;
        Entry(0, 5, 0, Guid, Data(8 * MiB, 7));
        Assert.Equal(ImageStatus.Success, Open());
        Assert.Equal(9 * MiB, file.Length);
        Assert.Equal(7, At(8 * MiB));
    }

    [Fact]
    public void ATruncatedFileIsRefused()
    {
        SetLogGuid(Guid);
        flushed = 5 * MiB;
        last = 5 * MiB;
        Entry(0, 5, 0, Guid, Data(Free, 1));
        Assert.Equal(ImageStatus.Invalid, Open());
        Assert.Equal(0, At(Free));
    }

    [Fact]
    public void ALogThatIsSaidToBeThereMustBe()
    {
        SetLogGuid(Guid);
        Assert.Equal(ImageStatus.Invalid, Open());
        Entry(0, 5, 0, new VhdxGuid(3, 4), Data(Free, 1));
        Assert.Equal(ImageStatus.Invalid, Open());
    }

    public static IEnumerable<object[]> Forbidden =>
    [
        [0L, 0L], [64L << 10, 0L], [188L << 10, 0L], [LogOffset, 0L], [LogOffset + LogBytes - Sector, 0L], [4L * MiB, 0L], [long.MaxValue & ~4095L, 0L], [-4096L, 0L],
        [512L << 10, 1L << 20], [0L, 4096L], [3L << 20, 1L << 60], [-4096L, 8192L], [3L << 20, 5L << 30],
    ];

    [Theory]
    [MemberData(nameof(Forbidden))]
    public void EntriesThatWouldHitHeadersOrLogOrLieBeyondTheEndAreRefused(long offset, long zeros)
    {
        SetLogGuid(Guid);
        Entry(0, 5, 0, Guid, new Descriptor(offset, 1, zeros));
        SparseFile before = file.Clone();
        Assert.Equal(ImageStatus.Invalid, Open());
        byte[] was = new byte[MiB], isNow = new byte[MiB];
        before.Read(LogOffset, was);
        file.Read(LogOffset, isNow);
        Assert.Equal(was, isNow);
        Assert.Equal(before.Length, file.Length);
    }

    /// <summary>However the log is filled, each sector is read a few times at most.</summary>
    [Fact]
    public void ALogFullOfPromisesIsReadInLinearTime()
    {
        SetLogGuid(Guid);
        byte[] sector = new byte[Sector];
        for (int kind = 0; kind < 3; kind++)
        {
            // Entries that say they are as long as the log; entries that are valid, but whose tails are not among them.
            for (int at = 0; at < LogBytes; at += Sector)
                if (kind == 2) Entry(at, (ulong)at / Sector + 1, LogBytes - Sector, Guid);
                else
                {
                    fixed (byte* memory = sector)
                        *(VhdxLogEntryHeader*)memory = new()
                        {
                            Signature = VhdxLogEntryHeader.SignatureValue, EntryLength = LogBytes, Tail = (uint)at, SequenceNumber = 1, LogGuid = Guid,
                            DescriptorCount = kind == 0 ? 0u : (LogBytes - 64) / 32,
                        };
                    file.Write(LogOffset + at, sector);
                }
            if (kind == 2) Entry(LogBytes - Sector, 5000, 0, Guid);
            int reads = 0;
            file.Fail = step => step == StepKind.Read && ++reads < 0;
            Assert.Equal(kind == 2 ? ImageStatus.Invalid : ImageStatus.Invalid, Open());
            Assert.InRange(reads, 256, 1024);
        }
    }
}
