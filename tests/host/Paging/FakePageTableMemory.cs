// Physical memory for page tables that remembers every write, so that a test can look at each moment in between.
using System;
using System.Collections.Generic;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Paging;

internal sealed class FakePhysicalMemory
{
    private const ulong FirstPage = 0x10_0000;

    private readonly List<ulong[]> pages = new(); // from FirstPage upwards
    private readonly HashSet<ulong> allocated = new();
    private readonly List<ulong> free = new();

    public List<(ulong Physical, ulong Value)> Writes { get; } = new();
    public bool Recording { get; set; }
    public int Budget { get; set; } = int.MaxValue;
    public int Outstanding => allocated.Count;

    /// <summary>Pages that a replay has not met yet are zero.</summary>
    public ulong ReadOrZero(ulong physical) => (physical - FirstPage) >> 12 < (ulong)pages.Count ? Read(physical) : 0;

    public ulong Read(ulong physical) => (physical & 7) == 0 ? PageOf(physical)[(physical & 0xFFF) >> 3] : throw new ArgumentException("misaligned");

    private ulong[] PageOf(ulong physical) => pages[(int)((physical - FirstPage) >> 12)];

    public void Write(ulong physical, ulong value)
    {
        if ((physical & 7) != 0 || !allocated.Contains(physical & ~0xFFFUL))
        {
            Assert.Fail($"write to {physical:X}, which is no table");
        }
        PageOf(physical)[(physical & 0xFFF) >> 3] = value;
        if (Recording)
        {
            Writes.Add((physical, value));
        }
    }

    public bool TryAllocate(out ulong physical)
    {
        physical = 0;
        if (Budget == 0)
        {
            return false;
        }
        Budget--;
        if (free.Count > 0)
        {
            physical = free[^1];
            free.RemoveAt(free.Count - 1);
        }
        else
        {
            physical = FirstPage + ((ulong)pages.Count << 12);
            pages.Add(new ulong[512]);
        }
        Assert.True(allocated.Add(physical));
        return true;
    }

    public void Free(ulong physical)
    {
        Assert.True(allocated.Remove(physical), "freed twice, or never allocated");
        Assert.DoesNotContain(PageOf(physical), entry => entry != 0);
        free.Add(physical);
    }

    /// <summary>A copy to replay recorded writes on.</summary>
    public FakePhysicalMemory Snapshot()
    {
        FakePhysicalMemory copy = new();
        foreach (ulong[] content in pages)
        {
            copy.pages.Add((ulong[])content.Clone());
        }
        return copy;
    }

    public void Replay(ulong physical, ulong value)
    {
        while ((physical - FirstPage) >> 12 >= (ulong)pages.Count)
        {
            pages.Add(new ulong[512]);
        }
        PageOf(physical)[(physical & 0xFFF) >> 3] = value;
    }
}

internal readonly struct FakeTables : IPageTableMemory
{
    private readonly FakePhysicalMemory memory;

    public FakeTables(FakePhysicalMemory memory) => this.memory = memory;

    public ulong ReadEntry(ulong physical) => memory.Read(physical);
    public void WriteEntry(ulong physical, ulong value) => memory.Write(physical, value);
    public bool TryAllocatePage(out ulong physical) => memory.TryAllocate(out physical);
    public void FreePage(ulong physical) => memory.Free(physical);
}

/// <summary>The processor's walk, written against the manuals' bit positions and not against the code under test.</summary>
internal static class HardwareWalk
{
    /// <summary>Physical page | 1 read | 2 write | 4 execute | 8 user | type at bits 6:4 | level at bits 9:8; 0 when not present.</summary>
    public static ulong LongMode(Func<ulong, ulong> read, ulong root, ulong address)
    {
        bool write = true, execute = true, user = true;
        ulong table = root;
        for (int level = 4; level >= 1; level--)
        {
            ulong entry = read(table + ((address >> (3 + 9 * level)) & 0x1FF) * 8);
            if ((entry & 1) == 0)
            {
                return 0;
            }
            Require((entry & 0x7FF0_0000_0000_0000) == 0, "reserved bits");
            write &= (entry & 2) != 0;
            user &= (entry & 4) != 0;
            execute &= entry >> 63 == 0;
            bool leaf = level == 1 || (entry & 0x80) != 0;
            if (!leaf)
            {
                table = entry & 0x000F_FFFF_FFFF_F000;
                continue;
            }
            Require(level < 4, "PS is reserved at level 4");
            ulong span = 1UL << (3 + 9 * level);
            ulong physical = entry & 0x000F_FFFF_FFFF_F000;
            bool pat = level == 1 ? (entry & 0x80) != 0 : (physical & 0x1000) != 0;
            physical &= level == 1 ? ~0UL : ~0x1000UL;
            Require((physical & (span - 1)) == 0, "misaligned large page");
            ulong index = ((entry >> 3) & 3) | (pat ? 4UL : 0);
            ulong type = PatTypes[(int)index];
            return Pack(physical + (address & (span - 1)), true, write, execute, user, type, level);
        }
        return 0;
    }

    public static ulong Ept(Func<ulong, ulong> read, ulong root, ulong address)
    {
        ulong access = 7;
        ulong table = root;
        for (int level = 4; level >= 1; level--)
        {
            ulong entry = read(table + ((address >> (3 + 9 * level)) & 0x1FF) * 8);
            if ((entry & 7) == 0)
            {
                return 0;
            }
            Require((entry & 3) != 2, "write without read is a misconfiguration");
            access &= entry;
            bool leaf = level == 1 || (level < 4 && (entry & 0x80) != 0);
            if (!leaf)
            {
                Require((entry & 0xF8) == 0, "reserved bits of a table entry");
                table = entry & 0x000F_FFFF_FFFF_F000;
                continue;
            }
            ulong span = 1UL << (3 + 9 * level);
            ulong physical = entry & 0x000F_FFFF_FFFF_F000;
            Require((physical & (span - 1)) == 0, "misaligned large page");
            ulong type = (entry >> 3) & 7;
            Require(type is 0 or 1 or 4 or 5 or 6, "reserved memory type");
            return Pack(physical + (address & (span - 1)), (access & 1) != 0, (access & 2) != 0, (access & 4) != 0, false, type, level);
        }
        return 0;
    }

    private static ReadOnlySpan<byte> PatTypes => [6, 4, 7, 0, 6, 1, 5, 0];

    private static void Require(bool condition, string what)
    {
        if (!condition)
        {
            Assert.Fail(what);
        }
    }

    public static ulong Pack(ulong physical, bool read, bool write, bool execute, bool user, ulong type, int level) =>
        (physical & ~0xFFFUL) | (read ? 1UL : 0) | (write ? 2UL : 0) | (execute ? 4UL : 0) | (user ? 8UL : 0) | type << 4 | (ulong)level << 8;
}
