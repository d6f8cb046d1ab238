// The page-table editor against a plain array of pages, against every moment in between, and out of memory at every point.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Paging;

public class PageTableEditorTests
{
    private const int WindowPages = 2 << 18; // 2 GiB
    private const ulong MappingMask = ~0x300UL; // everything of a walk but the page size

    public enum Verb { Map, Unmap, Protect, Prune }

    public readonly record struct Operation(Verb Verb, int Start, int Count, ulong Physical, int Permissions, PageSize Largest);

    private sealed class Machine<TFormat> where TFormat : struct, IPageTableFormat
    {
        public readonly FakePhysicalMemory Memory = new();
        public PageTableEditor<TFormat, FakeTables> Editor;
        public ulong[] Model = new ulong[WindowPages];

        public static ulong Base => typeof(TFormat) == typeof(LongModeFormat) ? 0xFFFF_FF7F_C000_0000 : 0x0000_007F_C000_0000;

        public Machine()
        {
            Editor = new PageTableEditor<TFormat, FakeTables>(new FakeTables(Memory), 0);
            Assert.True(Editor.TryCreateRoot());
        }

        public ulong Walk(Func<ulong, ulong> read, int page)
        {
            ulong address = Base + ((ulong)page << 12);
            return typeof(TFormat) == typeof(EptFormat)
                ? HardwareWalk.Ept(read, Editor.Root, address)
                : HardwareWalk.LongMode(read, Editor.Root, address);
        }

        public PageTableResult Apply(Operation operation)
        {
            ulong address = Base + ((ulong)operation.Start << 12);
            ulong count = (ulong)operation.Count;
            switch (operation.Verb)
            {
                case Verb.Map:
                    return Editor.Map(address, operation.Physical, count, PermissionsOf(operation.Permissions), operation.Largest);
                case Verb.Unmap:
                    return Editor.Unmap(address, count);
                case Verb.Protect:
                    return Editor.Protect(address, count, PermissionsOf(operation.Permissions));
                default:
                    Assert.True(Editor.FreeEmptyTables(address, count));
                    return new PageTableResult(PageTableStatus.Success, count);
            }
        }

        /// <summary>What a page of the range must translate to after the operation.</summary>
        public ulong Expected(Operation operation, int page)
        {
            switch (operation.Verb)
            {
                case Verb.Map:
                    return Encoded(operation.Physical + ((ulong)(page - operation.Start) << 12), operation.Permissions);
                case Verb.Unmap:
                    return 0;
                case Verb.Protect:
                    return Model[page] == 0 ? 0 : Encoded(Model[page], operation.Permissions);
                default:
                    return Model[page];
            }
        }

        private static ulong Encoded(ulong physical, int index)
        {
            PagePermissions p = PermissionsOf(index);
            bool user = typeof(TFormat) == typeof(NestedPageTableFormat) || (typeof(TFormat) == typeof(LongModeFormat) && p.User);
            return HardwareWalk.Pack(physical, p.Read, p.Write, p.Execute, user, (ulong)p.Type, 0);
        }
    }

    private static PagePermissions PermissionsOf(int index) => index switch
    {
        0 => PagePermissions.ReadWriteExecute,
        1 => PagePermissions.ReadOnly,
        2 => PagePermissions.ReadExecute.WithUser(),
        3 => PagePermissions.Device,
        4 => PagePermissions.ReadWrite.WithType(MemoryType.WriteCombining).WithGlobal(),
        5 => PagePermissions.ReadWrite.WithType(MemoryType.WriteProtected).WithUser(),
        _ => PagePermissions.ReadWrite.WithType(MemoryType.WriteThrough),
    };

    private static Gen<T> Among<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    // Starts and lengths that like the neighbourhood of large-page borders.
    private static readonly Gen<int> GenPage =
        from unit in Among(1, 8, 512, 1 << 18)
        from n in Gen.Int[0, WindowPages - 1]
        from jitter in Among(0, 0, 0, 1, -1, 3)
        select Math.Clamp(n / unit * unit + jitter, 0, WindowPages - 1);

    private static readonly Gen<Operation> GenOperation =
        from verb in Among(Verb.Map, Verb.Map, Verb.Unmap, Verb.Protect, Verb.Prune)
        from start in GenPage
        from unit in Among(1, 40, 512, 1500, 1 << 18)
        from n in Gen.Int[1, 3]
        from jitter in Among(0, 0, 1, 7)
        from physical in Among(1UL << 21, 1UL << 30, 0x1000UL, 0UL)
        from far in Gen.ULong[0, 63]
        from permissions in Gen.Int[0, 6]
        from largest in Among(PageSize.Page4K, PageSize.Page2M, PageSize.Page1G, PageSize.Page1G)
        let small = largest == PageSize.Page4K || physical == 0x1000
        let count = Math.Min(Math.Min(unit * n + jitter, small ? 2500 : WindowPages), WindowPages - start)
        // Most maps keep virtual and physical congruent, so that large pages are possible at all.
        select new Operation(verb, start, count, (far << 32) + physical + (((ulong)start << 12) & 0x3FFF_FFFF), permissions, largest);

    private static void RunAgainstModel<TFormat>(Operation[] operations) where TFormat : struct, IPageTableFormat
    {
        Machine<TFormat> machine = new();
        foreach (Operation operation in operations)
        {
            machine.Editor.CompleteFlush();
            PageTableResult result = machine.Apply(operation);
            int done = CheckResult(machine, operation, result);
            bool changedPresent = false;
            for (int page = operation.Start; page < operation.Start + done; page++)
            {
                ulong expected = machine.Expected(operation, page);
                changedPresent |= machine.Model[page] != 0 && machine.Model[page] != expected;
                machine.Model[page] = expected;
            }
            Assert.True(!changedPresent || machine.Editor.FlushRequired, "a present translation changed and no flush was asked for");
        }
        CheckAll(machine);
        machine.Editor.DestroyAll();
        Assert.Equal(0, machine.Memory.Outstanding);
    }

    private static int CheckResult<TFormat>(Machine<TFormat> machine, Operation operation, PageTableResult result) where TFormat : struct, IPageTableFormat
    {
        int hole = Array.FindIndex(machine.Model, operation.Start, operation.Count, entry => entry == 0);
        bool stops = operation.Verb == Verb.Protect && hole >= 0;
        Assert.Equal(stops ? PageTableStatus.NotMapped : PageTableStatus.Success, result.Status);
        Assert.Equal(stops ? hole - operation.Start : operation.Count, (int)result.PagesDone);
        return (int)result.PagesDone;
    }

    private static void CheckAll<TFormat>(Machine<TFormat> machine) where TFormat : struct, IPageTableFormat
    {
        for (int page = 0; page < WindowPages; page++)
        {
            ulong walked = machine.Walk(machine.Memory.Read, page);
            if ((walked & MappingMask) != machine.Model[page])
            {
                Assert.Fail($"page {page:X}: {walked:X} instead of {machine.Model[page]:X}");
            }
            if ((page & 0x1FF) < 3)
            {
                CheckTranslate(machine, page, walked);
            }
        }
    }

    private static void CheckTranslate<TFormat>(Machine<TFormat> machine, int page, ulong walked) where TFormat : struct, IPageTableFormat
    {
        ulong address = Machine<TFormat>.Base + ((ulong)page << 12) + 0x123;
        bool mapped = machine.Editor.TryTranslate(address, out ulong physical, out PagePermissions p, out PageSize size);
        Assert.Equal(walked != 0, mapped);
        if (mapped)
        {
            Assert.Equal(0x123UL, physical & 0xFFF);
            bool user = typeof(TFormat) != typeof(EptFormat) && p.User;
            Assert.Equal(walked, HardwareWalk.Pack(physical, p.Read, p.Write, p.Execute, user, (ulong)p.Type, (int)size));
        }
    }

    [Fact]
    public void LongModeAgreesWithPlainArray() => GenOperation.Array[1, 10].Sample(RunAgainstModel<LongModeFormat>, iter: 40, threads: 1);

    [Fact]
    public void NestedAgreesWithPlainArray() => GenOperation.Array[1, 10].Sample(RunAgainstModel<NestedPageTableFormat>, iter: 40, threads: 1);

    [Fact]
    public void EptAgreesWithPlainArray() => GenOperation.Array[1, 10].Sample(RunAgainstModel<EptFormat>, iter: 40, threads: 1);

    private static void CheckEveryMoment<TFormat>(Operation[] operations) where TFormat : struct, IPageTableFormat
    {
        Machine<TFormat> machine = new();
        foreach (Operation operation in operations[..^1])
        {
            machine.Apply(operation);
        }
        machine.Editor.CompleteFlush();
        Operation last = operations[^1];
        FakePhysicalMemory replay = machine.Memory.Snapshot();
        int[] probes = Probes(last);
        ulong[] before = probes.Select(page => machine.Walk(replay.ReadOrZero, page) & MappingMask).ToArray();
        machine.Memory.Recording = true;
        machine.Apply(last);
        ulong[] after = probes.Select(page => machine.Walk(machine.Memory.Read, page) & MappingMask).ToArray();
        foreach ((ulong physical, ulong value) in machine.Memory.Writes)
        {
            replay.Replay(physical, value);
            for (int i = 0; i < probes.Length; i++)
            {
                ulong now = machine.Walk(replay.ReadOrZero, probes[i]) & MappingMask;
                bool inside = probes[i] >= last.Start && probes[i] < last.Start + last.Count;
                if (now != before[i] && !(inside && now == after[i]))
                {
                    Assert.Fail($"page {probes[i]:X} (inside: {inside}) was {before[i]:X}, becomes {after[i]:X}, but was {now:X} in between");
                }
            }
        }
    }

    private static int[] Probes(Operation operation)
    {
        int end = operation.Start + operation.Count;
        List<int> probes = new() { 0, WindowPages - 1 };
        foreach (int edge in new[] { operation.Start, end, operation.Start + operation.Count / 2 })
        {
            foreach (int unit in new[] { 1, 512, 1 << 18 })
            {
                int border = edge / unit * unit;
                probes.AddRange(new[] { border - 1, border, border + 1, border + unit - 1, border + unit });
            }
        }
        return probes.Where(page => page is >= 0 and < WindowPages).Distinct().ToArray();
    }

    [Fact]
    public void LongModeIsWholeAtEveryMoment() => GenOperation.Array[1, 6].Sample(CheckEveryMoment<LongModeFormat>, iter: 400, threads: 1);

    [Fact]
    public void NestedIsWholeAtEveryMoment() => GenOperation.Array[1, 6].Sample(CheckEveryMoment<NestedPageTableFormat>, iter: 400, threads: 1);

    [Fact]
    public void EptIsWholeAtEveryMoment() => GenOperation.Array[1, 6].Sample(CheckEveryMoment<EptFormat>, iter: 400, threads: 1);

    private static void CheckEveryFailedAllocation<TFormat>(Operation[] operations) where TFormat : struct, IPageTableFormat
    {
        for (int budget = 0; ; budget++)
        {
            Machine<TFormat> machine = new();
            foreach (Operation operation in operations[..^1])
            {
                machine.Apply(operation);
            }
            machine.Editor.CompleteFlush();
            for (int page = 0; page < WindowPages; page++)
            {
                machine.Model[page] = machine.Walk(machine.Memory.Read, page) & MappingMask;
            }
            Operation last = operations[^1];
            machine.Memory.Budget = budget;
            PageTableResult result = machine.Apply(last);
            int done = (int)result.PagesDone;
            CheckPrefix(machine, last, done);
            if (result.Status != PageTableStatus.InsufficientMemory)
            {
                return;
            }
            machine.Memory.Budget = int.MaxValue;
            Operation rest = last with { Start = last.Start + done, Count = last.Count - done, Physical = last.Physical + ((ulong)done << 12) };
            PageTableResult second = machine.Apply(rest);
            Assert.NotEqual(PageTableStatus.InsufficientMemory, second.Status);
            CheckPrefix(machine, last, done + (int)second.PagesDone);
            machine.Editor.DestroyAll();
            Assert.Equal(0, machine.Memory.Outstanding);
        }
    }

    private static void CheckPrefix<TFormat>(Machine<TFormat> machine, Operation operation, int done) where TFormat : struct, IPageTableFormat
    {
        foreach (int page in Probes(operation).Append(operation.Start + done).Append(operation.Start + done - 1).Where(page => page is >= 0 and < WindowPages))
        {
            bool inside = page >= operation.Start && page < operation.Start + done;
            ulong expected = inside ? machine.Expected(operation, page) : machine.Model[page];
            Assert.Equal(expected, machine.Walk(machine.Memory.Read, page) & MappingMask);
        }
    }

    [Fact]
    public void EveryFailedAllocationLeavesTheRestAsItWas()
    {
        Gen<Operation[]> gen = GenOperation.Array[1, 3];
        gen.Sample(CheckEveryFailedAllocation<NestedPageTableFormat>, iter: 12, threads: 1);
        gen.Sample(CheckEveryFailedAllocation<LongModeFormat>, iter: 6, threads: 1);
        gen.Sample(CheckEveryFailedAllocation<EptFormat>, iter: 6, threads: 1);
    }

    [Fact]
    public void SplittingOneGigabyteForOnePageNeedsTwoTablesAndKeepsTheRest()
    {
        Machine<NestedPageTableFormat> machine = new();
        Assert.True(machine.Editor.Map(0, 0, 1 << 18, PagePermissions.ReadWriteExecute, PageSize.Page1G).Succeeded);
        Assert.False(machine.Editor.FlushRequired);
        Assert.Equal(2, machine.Memory.Outstanding);
        Assert.True(machine.Editor.Unmap(0x1234_5000, 1).Succeeded);
        Assert.True(machine.Editor.FlushRequired);
        Assert.Equal(4, machine.Memory.Outstanding);
        Assert.False(machine.Editor.TryTranslate(0x1234_5000, out _, out _, out _));
        Assert.True(machine.Editor.TryTranslate(0x1234_6FFF, out ulong near, out _, out PageSize small));
        Assert.True(machine.Editor.TryTranslate(0x3FFF_FFFF, out ulong far, out _, out PageSize large));
        Assert.Equal((0x1234_6FFFUL, PageSize.Page4K, 0x3FFF_FFFFUL, PageSize.Page2M), (near, small, far, large));
    }

    [Fact]
    public void EmptyTablesComeBackOnlyAfterTheFlush()
    {
        Machine<EptFormat> machine = new();
        Assert.True(machine.Editor.Map(0x1000, 0x1000, 1 << 19, PagePermissions.ReadWriteExecute, PageSize.Page2M).Succeeded);
        int used = machine.Memory.Outstanding;
        Assert.True(machine.Editor.Unmap(0, 1UL << 36).Succeeded);
        machine.Editor.CompleteFlush();
        Assert.True(machine.Editor.FreeEmptyTables(0, 1UL << 36));
        Assert.True(machine.Editor.FlushRequired);
        Assert.Equal(used, machine.Memory.Outstanding);
        machine.Editor.CompleteFlush();
        Assert.Equal(1, machine.Memory.Outstanding);
        Assert.False(machine.Editor.FlushRequired);
        machine.Editor.DestroyAll();
        Assert.Equal(0, machine.Memory.Outstanding);
        Assert.Equal(0UL, machine.Editor.Root);
    }

    [Fact]
    public void EmptiedTableGivesWayToALargePage()
    {
        Machine<LongModeFormat> machine = new();
        Assert.True(machine.Editor.Map(0x20_0000, 0x40_0000, 512, PagePermissions.ReadWrite, PageSize.Page4K).Succeeded);
        Assert.True(machine.Editor.Unmap(0x20_0000, 512).Succeeded);
        Assert.True(machine.Editor.Map(0x20_0000, 0x40_0000, 512, PagePermissions.ReadWrite, PageSize.Page1G).Succeeded);
        Assert.True(machine.Editor.TryTranslate(0x20_1000, out ulong physical, out _, out PageSize size));
        Assert.Equal((0x40_1000UL, PageSize.Page2M), (physical, size));
        Assert.Equal(4, machine.Memory.Outstanding);
        machine.Editor.CompleteFlush();
        Assert.Equal(3, machine.Memory.Outstanding);
    }

    [Fact]
    public void MappingTheSameAgainChangesNothing()
    {
        Machine<NestedPageTableFormat> machine = new();
        machine.Editor.Map(0, 0, 5000, PagePermissions.ReadWriteExecute, PageSize.Page2M);
        machine.Memory.Recording = true;
        Assert.True(machine.Editor.Map(0, 0, 5000, PagePermissions.ReadWriteExecute, PageSize.Page2M).Succeeded);
        Assert.Empty(machine.Memory.Writes);
        Assert.False(machine.Editor.FlushRequired);
    }

    [Theory]
    [InlineData(1UL, 0UL, 1UL)]
    [InlineData(0UL, 1UL, 1UL)]
    [InlineData(0UL, 0UL, 0UL)]
    [InlineData(0xFFFF_FFFF_F000UL, 0UL, 2UL)]
    [InlineData(0x1_0000_0000_0000UL, 0UL, 1UL)]
    [InlineData(0xFFFF_FFFF_FFFF_F000UL, 0UL, 1UL)]
    [InlineData(0UL, 0xF_FFFF_FFFF_F000UL, 2UL)]
    [InlineData(0UL, 0x10_0000_0000_0000UL, 1UL)]
    [InlineData(0UL, 0UL, ulong.MaxValue)]
    [InlineData(0UL, 0UL, 1UL << 52)]
    public void UntranslatableRangesAreRefused(ulong address, ulong physical, ulong count)
    {
        Machine<EptFormat> ept = new();
        Machine<NestedPageTableFormat> nested = new();
        ept.Memory.Budget = nested.Memory.Budget = 0;
        Assert.Equal(PageTableStatus.InvalidArgument, ept.Editor.Map(address, physical, count, PagePermissions.ReadOnly, PageSize.Page1G).Status);
        Assert.Equal(PageTableStatus.InvalidArgument, nested.Editor.Map(address, physical, count, PagePermissions.ReadOnly, PageSize.Page1G).Status);
    }

    [Fact]
    public void LongModeTakesBothCanonicalHalvesAndNothingBetween()
    {
        Machine<LongModeFormat> machine = new();
        PagePermissions p = PagePermissions.ReadOnly;
        Assert.True(machine.Editor.Map(0x7FFF_FFFF_F000, 0, 1, p, PageSize.Page4K).Succeeded);
        Assert.True(machine.Editor.Map(0xFFFF_8000_0000_0000, 0, 1, p, PageSize.Page4K).Succeeded);
        Assert.True(machine.Editor.Map(0xFFFF_FFFF_FFFF_F000, 0, 1, p, PageSize.Page4K).Succeeded);
        Assert.True(machine.Editor.Unmap(0xFFFF_8000_0000_0000, 1UL << 35).Succeeded);
        Assert.Equal(PageTableStatus.InvalidArgument, machine.Editor.Map(0x7FFF_FFFF_F000, 0, 2, p, PageSize.Page4K).Status);
        Assert.Equal(PageTableStatus.InvalidArgument, machine.Editor.Map(0x8000_0000_0000, 0, 1, p, PageSize.Page4K).Status);
        Assert.Equal(PageTableStatus.InvalidArgument, machine.Editor.Map(0xFFFF_7FFF_FFFF_F000, 0, 2, p, PageSize.Page4K).Status);
        Assert.False(machine.Editor.TryTranslate(0x8000_0000_0000, out _, out _, out _));
    }

    [Fact]
    public void PermissionsThatTheFormatCannotSayAreRefused()
    {
        Machine<EptFormat> machine = new();
        PagePermissions writeOnly = new(read: false, write: true, execute: false);
        Assert.Equal(PageTableStatus.InvalidArgument, machine.Editor.Map(0, 0, 1, writeOnly, PageSize.Page4K).Status);
        Assert.Equal(PageTableStatus.InvalidArgument, machine.Editor.Protect(0, 1, default).Status);
    }
}
