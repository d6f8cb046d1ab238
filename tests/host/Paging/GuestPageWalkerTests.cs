// The guest page walker on tables that are built entry by entry with known flaws.
using System;
using System.Collections.Generic;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Paging;

public class GuestPageWalkerTests
{
    private sealed class Ram
    {
        public readonly Dictionary<ulong, uint> Words = new();
        public readonly HashSet<ulong> Missing = new();
        public int Reads;

        public void Write64(ulong at, ulong value)
        {
            Words[at] = (uint)value;
            Words[at + 4] = (uint)(value >> 32);
        }
    }

    private readonly struct Memory : IGuestTableMemory
    {
        private readonly Ram ram;

        public Memory(Ram ram) => this.ram = ram;

        public bool TryRead32(ulong guestPhysical, out uint value)
        {
            Assert.Equal(0UL, guestPhysical & 3);
            ram.Reads++;
            value = ram.Words.GetValueOrDefault(guestPhysical);
            return !ram.Missing.Contains(guestPhysical);
        }

        public bool TryRead64(ulong guestPhysical, out ulong value)
        {
            Assert.Equal(0UL, guestPhysical & 7);
            ram.Reads++;
            value = ram.Words.GetValueOrDefault(guestPhysical) | (ulong)ram.Words.GetValueOrDefault(guestPhysical + 4) << 32;
            return !ram.Missing.Contains(guestPhysical);
        }
    }

    private const ulong P = 1, RW = 2, US = 4, PS = 0x80, NX = 1UL << 63;
    private const int Width = 40;

    private static GuestPagingState StateOf(GuestPagingMode mode, ulong cr3, bool wp = true, bool nxe = true, bool smep = false, bool smap = false) => new()
    {
        Cr0 = 1 | (mode == GuestPagingMode.None ? 0 : 1UL << 31) | (wp ? 1UL << 16 : 0),
        Cr3 = cr3,
        Cr4 = (1UL << 4) | (mode >= GuestPagingMode.Pae ? 1UL << 5 : 0) | (mode == GuestPagingMode.FiveLevel ? 1UL << 12 : 0)
            | (smep ? 1UL << 20 : 0) | (smap ? 1UL << 21 : 0),
        Efer = (mode >= GuestPagingMode.FourLevel ? 1UL << 10 : 0) | (nxe ? 1UL << 11 : 0),
        PhysicalAddressBits = Width,
        HasGigabytePages = true,
    };

    private enum Flaw { None, NotPresent, Reserved, Missing }

    private sealed class Case
    {
        public Ram Ram = new();
        public GuestPagingState State;
        public ulong Address, Physical, PageBytes;
        public bool Writable = true, User = true, Executable = true;
        public Flaw Flaw;
        public ulong FlawAt;
        public int Depth;
    }

    private static ulong NextTable(Random random) => (ulong)random.NextInt64(1, 1L << (Width - 12)) << 12;

    /// <summary>Tables for one address, with random rights at each level and perhaps one flaw on the way.</summary>
    private static Case Build(Random random, GuestPagingMode mode)
    {
        int levels = mode switch { GuestPagingMode.FiveLevel => 5, GuestPagingMode.FourLevel => 4, GuestPagingMode.Pae => 3, _ => 2 };
        bool wide = mode != GuestPagingMode.Bits32;
        int indexBits = wide ? 9 : 10;
        int bits = mode == GuestPagingMode.Pae ? 32 : 12 + indexBits * levels;
        ulong raw = (ulong)random.NextInt64(0, 1L << bits);
        bool canonicalNegative = mode >= GuestPagingMode.FourLevel && (raw >> (bits - 1)) != 0;
        int leafLevel = random.Next(1, mode >= GuestPagingMode.FourLevel ? 4 : 3);
        ulong table = NextTable(random) & (wide && mode != GuestPagingMode.Pae ? ulong.MaxValue : 0xFFFF_F000);
        Case built = new()
        {
            Address = canonicalNegative ? raw | ulong.MaxValue << bits : raw,
            State = StateOf(mode, table | 0x18, random.Next(2) == 0, random.Next(4) != 0, random.Next(2) == 0, random.Next(2) == 0),
        };
        built.State.AlignmentCheck = random.Next(2) == 0;
        int flawLevel = random.Next(3) == 0 ? random.Next(leafLevel, levels + 1) : 0;
        for (int level = levels; level >= leafLevel; level--)
        {
            ulong slot = table + (raw >> (12 + indexBits * (level - 1)) & ((1UL << indexBits) - 1)) * (wide ? 8UL : 4UL);
            ulong entry = MakeEntry(random, built, mode, level, leafLevel, ref table);
            built.Depth++;
            if (level == flawLevel)
            {
                entry = Plant(random, built, mode, level, level == leafLevel, slot, entry);
            }
            if (wide)
            {
                built.Ram.Write64(slot, entry);
            }
            else
            {
                built.Ram.Words[slot] = (uint)entry;
            }
            if (built.Flaw != Flaw.None)
            {
                break;
            }
        }
        return built;
    }

    private static ulong MakeEntry(Random random, Case built, GuestPagingMode mode, int level, int leafLevel, ref ulong table)
    {
        bool wide = mode != GuestPagingMode.Bits32;
        bool leaf = level == leafLevel;
        ulong bytes = 1UL << (12 + (wide ? 9 : 10) * (level - 1));
        ulong target = NextTable(random) & (leaf ? ~(bytes - 1) : ulong.MaxValue);
        bool pse36 = !wide && leaf && level == 2;
        target &= wide || pse36 ? ulong.MaxValue : 0xFFFF_F000;
        ulong entry = pse36 ? (target & 0xFFFF_FFFF) | (target >> 32 & 0xFF) << 13 : target;
        entry |= P | (leaf && level > 1 ? PS : 0);
        if (mode == GuestPagingMode.Pae && level == 3)
        {
            table = target;
            return entry; // no rights there
        }
        bool writable = random.Next(4) != 0, user = random.Next(4) != 0;
        bool noExecute = wide && built.State.NoExecute && random.Next(4) == 0;
        built.Writable &= writable;
        built.User &= user;
        built.Executable &= !noExecute;
        entry |= (writable ? RW : 0) | (user ? US : 0) | (noExecute ? NX : 0);
        if (leaf)
        {
            built.Physical = target | (built.Address & (bytes - 1));
            built.PageBytes = bytes;
        }
        table = target;
        return entry;
    }

    private static ulong Plant(Random random, Case built, GuestPagingMode mode, int level, bool leaf, ulong slot, ulong entry)
    {
        built.Flaw = (Flaw)random.Next(1, 4);
        built.FlawAt = slot;
        switch (built.Flaw)
        {
            case Flaw.NotPresent:
                return entry & ~P;
            case Flaw.Missing:
                built.Ram.Missing.Add(slot);
                return entry;
        }
        List<ulong> reserved = new();
        if (mode == GuestPagingMode.Bits32)
        {
            if (leaf && level == 2)
            {
                reserved.Add(1UL << 21);
            }
        }
        else
        {
            reserved.Add(1UL << random.Next(Width, 52));
            if (!built.State.NoExecute)
            {
                reserved.Add(NX);
            }
            if (level >= 4)
            {
                reserved.Add(PS);
            }
            if (mode == GuestPagingMode.Pae)
            {
                reserved.Add(1UL << random.Next(52, 63));
                if (level == 3)
                {
                    reserved.AddRange(new ulong[] { 2, 4, 0x20, 0x40, 0x80, 0x100, NX });
                }
            }
            if (leaf && level > 1)
            {
                reserved.Add(1UL << random.Next(13, 12 + 9 * (level - 1)));
            }
        }
        if (reserved.Count == 0)
        {
            built.Flaw = Flaw.NotPresent;
            return entry & ~P;
        }
        return entry | reserved[random.Next(reserved.Count)];
    }

    [Theory]
    [InlineData(GuestPagingMode.Bits32)]
    [InlineData(GuestPagingMode.Pae)]
    [InlineData(GuestPagingMode.FourLevel)]
    [InlineData(GuestPagingMode.FiveLevel)]
    public void FindsWhatWasBuiltAndFaultsWhereItIsFlawed(GuestPagingMode mode)
    {
        Random random = new(5 + (int)mode);
        int successes = 0;
        for (int i = 0; i < 30_000; i++)
        {
            Case built = Build(random, mode);
            Assert.Equal(mode, built.State.Mode);
            GuestAccess access = new() { Write = random.Next(2) == 0, User = random.Next(2) == 0 };
            access.Execute = !access.Write && random.Next(2) == 0;
            access.Implicit = !access.User && random.Next(3) == 0;
            GuestWalkResult result = new GuestPageWalker<Memory>(new Memory(built.Ram), built.State).Translate(built.Address, access);
            Assert.Equal(built.Depth, built.Ram.Reads); // each entry once
            if (built.Flaw == Flaw.Missing)
            {
                Assert.Equal((GuestWalkStatus.TableUnreadable, built.FlawAt), (result.Status, result.GuestPhysical));
                continue;
            }
            uint error = ExpectedError(built, access, out bool faults);
            Assert.Equal((faults ? GuestWalkStatus.PageFault : GuestWalkStatus.Success, error), (result.Status, result.ErrorCode));
            if (!faults)
            {
                Assert.Equal((built.Physical, built.PageBytes), (result.GuestPhysical, result.PageBytes));
                Assert.Equal((built.Writable, built.User, built.Executable), (result.Writable, result.User, result.Executable));
                successes++;
            }
        }
        Assert.InRange(successes, 3_000, 27_000);
    }

    private static uint ExpectedError(Case built, GuestAccess access, out bool faults)
    {
        GuestPagingState state = built.State;
        bool smep = (state.Cr4 >> 20 & 1) != 0, smap = (state.Cr4 >> 21 & 1) != 0, wp = (state.Cr0 >> 16 & 1) != 0;
        bool denied = access.User && !built.User;
        denied |= access.Write && !built.Writable && (access.User || wp);
        denied |= access.Execute && (!built.Executable || (smep && !access.User && built.User));
        denied |= smap && !access.User && !access.Execute && built.User && (access.Implicit || !state.AlignmentCheck);
        faults = built.Flaw != Flaw.None || denied;
        bool fetch = access.Execute && (smep || ((state.Efer >> 11 & 1) != 0 && (state.Cr4 >> 5 & 1) != 0));
        uint error = (access.Write ? 2u : 0) | (access.User ? 4u : 0) | (fetch ? 16u : 0);
        error |= built.Flaw switch { Flaw.NotPresent => 0, Flaw.Reserved => 9, _ => 1u };
        return faults ? error : 0;
    }

    [Fact]
    public void WithoutPagingAddressesAreThemselves()
    {
        GuestPageWalker<Memory> walker = new(new Memory(new Ram()), StateOf(GuestPagingMode.None, 0));
        GuestWalkResult result = walker.Translate(0x1234_5678, new GuestAccess { Write = true });
        Assert.True(result.Succeeded);
        Assert.Equal(0x1234_5678UL, result.GuestPhysical);
    }

    [Theory]
    [InlineData(GuestPagingMode.FourLevel, 0x0000_8000_0000_0000UL)]
    [InlineData(GuestPagingMode.FourLevel, 0xFFFF_7FFF_FFFF_FFFFUL)]
    [InlineData(GuestPagingMode.FiveLevel, 0x0100_0000_0000_0000UL)]
    [InlineData(GuestPagingMode.FiveLevel, 0xFEFF_FFFF_FFFF_FFFFUL)]
    public void NonCanonicalIsNoPageFault(GuestPagingMode mode, ulong address)
    {
        Ram ram = new();
        Assert.Equal(GuestWalkStatus.NotCanonical, new GuestPageWalker<Memory>(new Memory(ram), StateOf(mode, 0x1000)).Translate(address, default).Status);
        Assert.Equal(0, ram.Reads);
    }

    [Fact]
    public void GigabytePagesAreReservedWhereTheProcessorHasNone()
    {
        Ram ram = new();
        ram.Write64(0x1000, 0x2000 | P | RW | US);
        ram.Write64(0x2000, 0x4000_0000 | P | RW | US | PS);
        GuestPagingState state = StateOf(GuestPagingMode.FourLevel, 0x1000);
        Assert.True(new GuestPageWalker<Memory>(new Memory(ram), state).Translate(5, default).Succeeded);
        state.HasGigabytePages = false;
        Assert.Equal(9u, new GuestPageWalker<Memory>(new Memory(ram), state).Translate(5, default).ErrorCode);
    }
}
