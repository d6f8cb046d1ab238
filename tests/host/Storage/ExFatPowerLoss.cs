// Runs requests on several exFAT files at a time, with files and directories made in between, then cuts the power anywhere: in front of the cut
// everything up to the last flush is on the disk, of what came later any sectors.
using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed class ExFatPowerLoss
{
    private const int AtATime = 4, Sectors = 120, MaximumSectors = 20;

    /// <summary>What a sector of a file may be: the version that a finished flush promised, up to the last that was begun; 0: not there, or zeros.</summary>
    private sealed class Tracked(string name)
    {
        public readonly string Name = name;
        public ExFatUnderTest.OpenFile File;
        public readonly uint[] Begun = new uint[Sectors], Completed = new uint[Sectors], Promised = new uint[Sectors];
        /// <summary>Versions at or below this are gone for good: the file was cut in front of them.</summary>
        public readonly uint[] Gone = new uint[Sectors];
        /// <summary>The version that the volume must read back now.</summary>
        public readonly uint[] Current = new uint[Sectors];
        public bool Removing, Exclusive;

        public Tracked Snapshot()
        {
            Tracked copy = new(Name) { Removing = Removing };
            Begun.CopyTo(copy.Begun, 0);
            Promised.CopyTo(copy.Promised, 0);
            Gone.CopyTo(copy.Gone, 0);
            return copy;
        }
    }

    private sealed class Operation
    {
        public ExFatUnderTest.Running Running;
        public Tracked Of;
        public ExFatOperation Kind;
        public bool Creates;
        public string Name;
        public int First, Count;
        public uint[] CompletedBefore;
    }

    private sealed record Moment(int LogIndex, Tracked[] Files, string[] Created);

    private readonly List<Tracked> files = [];
    private readonly List<string> created = [];
    private readonly List<Moment> moments = [];
    private readonly List<Operation> running = [];

    [Theory]
    [InlineData(512, 1)]
    [InlineData(512, 2)]
    [InlineData(4096, 3)]
    [InlineData(4096, 4)]
    [InlineData(16384, 5)]
    public void PowerMayFailAtAnyWrite(int clusterBytes, int variant)
    {
        for (int seed = 0; seed < 3 * Fuzz.Factor; seed++) new ExFatPowerLoss().Check(seed * 10 + variant, clusterBytes);
    }

    /// <summary>Files in pieces become longer, shorter and nothing, entry sets of a whole sector come and go: each place of the log, several losses each.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public void ChainsAndLongNamesSurviveAnyCut(int clusterBytes)
    {
        Random random = new(clusterBytes);
        SparseFile file = ExFatUnderTest.Format(2 << 20, clusterBytes);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        Scatter(random, volume);
        ExFatUnderTest.OpenFile one = volume.Created("one"), two = volume.Created("two");
        SparseFile before = file.Clone();
        file.Log = [];
        for (int pieces = 1; pieces < 12; pieces++)
            foreach (ExFatUnderTest.OpenFile grows in new[] { one, two })
            {
                Assert.Equal(ImageStatus.Success, grows.Resize((ulong)(pieces * clusterBytes * 3)));
                Assert.Equal(ImageStatus.Success, grows.Flush());
            }
        Assert.True(one.Runs > 5);
        foreach (int pieces in new[] { 8, 5, 6, 0 }) Assert.Equal(ImageStatus.Success, one.Resize((ulong)(pieces * clusterBytes * 3)));
        Assert.Equal(ImageStatus.Success, one.Flush());
        Assert.Equal(ImageStatus.Success, two.Remove());
        // Sets that fill a sector, in slots that were never used and in such as were.
        foreach (char unit in "abcdef") Assert.Equal(ImageStatus.Success, volume.Create(new string(unit, 210)));
        foreach (char unit in "ace") Assert.Equal(ImageStatus.Success, volume.Opened(new string(unit, 210)).Remove());
        foreach (char unit in "ghij") Assert.Equal(ImageStatus.Success, volume.Create(new string(unit, 150)));
        Moment moment = new(0, [], ["/one"]);
        for (int cut = 0; cut <= file.Log.Count; cut++)
            for (int losses = 0; losses < 4; losses++) CheckCut(random, before, file.Log, cut, moment);
    }

    private void Check(int seed, int clusterBytes)
    {
        Random random = new(seed);
        SparseFile file = ExFatUnderTest.Format(2 << 20, clusterBytes);
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
        {
            Assert.Equal(ImageStatus.Success, volume.Create("d", true));
            Litter(volume);
            if (random.Next(2) == 0) Scatter(random, volume);
            for (int i = 0; i < 7; i++) files.Add(new Tracked($"/d/file {i}") { File = volume.Created($"/d/file {i}") });
            SparseFile before = file.Clone();
            file.Log = [];
            Remember(file);
            Drive(random, volume, 90);
            List<(long, byte[])?> log = file.Log;
            file.Log = null;
            int stride = Math.Max(1, log.Count / 60);
            for (int cut = random.Next(stride); cut <= log.Count; cut += 1 + random.Next(2 * stride - 1))
                CheckCut(random, before, log, cut, moments.FindLast(m => m.LogIndex <= cut));
        }
    }

    /// <summary>What is free holds what somebody deleted: nobody may get to see it.</summary>
    private static void Litter(ExFatUnderTest volume)
    {
        ExFatUnderTest.OpenFile litter = volume.Created("litter");
        byte[] data = new byte[volume.Volume.FreeBytes];
        data.AsSpan().Fill(0xEE);
        Assert.Equal(ImageStatus.Success, litter.Write(0, data));
        Assert.Equal(ImageStatus.Success, litter.Remove());
    }

    /// <summary>Many files of one cluster each, anywhere, so that no other stays in one piece and chains lead far.</summary>
    private static void Scatter(Random random, ExFatUnderTest volume)
    {
        for (int i = 0; i < 60; i++)
        {
            ExFatUnderTest.OpenFile one = volume.Created($"/{i}");
            volume.Volume.SearchFrom = 2 + (uint)random.Next((int)volume.Volume.ClusterCount);
            Assert.Equal(ImageStatus.Success, one.Resize(volume.Volume.ClusterBytes));
            Assert.Equal(ImageStatus.Success, one.Flush());
            one.Close();
        }
    }

    private void Remember(SparseFile file) => moments.Add(new(file.Log.Count, [.. files.Select(f => f.Snapshot())], [.. created]));

    private void Drive(Random random, ExFatUnderTest volume, int operations)
    {
        for (int started = 0, steps = 0; started < operations || running.Count != 0; steps++)
        {
            Assert.True(steps < 1 << 20, "operations wait for each other");
            if (started < operations && running.Count < AtATime && random.Next(3) == 0)
            {
                started++;
                if (Begin(random, volume) is { } next) running.Add(next);
            }
            if (running.Count == 0) continue;
            Operation one = running[random.Next(running.Count)];
            Remember(volume.File);
            if (one.Running.Step()) continue;
            Assert.Equal(ImageStatus.Success, one.Running.Status);
            running.Remove(one);
            End(one);
            Remember(volume.File);
        }
    }

    private Operation Begin(Random random, ExFatUnderTest volume)
    {
        if (random.Next(8) == 0)
        {
            string name = "/d/" + new string((char)('a' + random.Next(26)), random.Next(2) == 0 ? 8 : 1 + random.Next(210));
            if (created.Contains(name) || running.Any(o => o.Name == name)) return null;
            return new Operation { Creates = true, Name = name, Running = volume.StartCreate(name, random.Next(3) == 0) };
        }
        Tracked of = files[random.Next(random.Next(3) == 0 ? files.Count : Math.Min(2, files.Count))];   // they should meet
        if (of.Exclusive) return null;
        Operation next = new() { Of = of, Kind = random.Next(10) switch { 0 or 1 or 2 => ExFatOperation.Flush, 3 or 4 => ExFatOperation.Read, 5 => ExFatOperation.Resize, _ => ExFatOperation.Write } };
        next.First = random.Next(Sectors);
        next.Count = Math.Min(1 + random.Next(MaximumSectors), Sectors - next.First);
        bool busy = running.Any(r => r.Of == of);
        if (next.Kind == ExFatOperation.Read)
        {
            int there = (int)(of.File.Length / 512);
            if (next.First + next.Count > there) return null;
        }
        // The order of overlapping requests is not defined: have none at the same time.
        if (next.Kind is ExFatOperation.Read or ExFatOperation.Write &&
            running.Any(r => r.Of == of && r.Kind is ExFatOperation.Read or ExFatOperation.Write && r.First < next.First + next.Count && next.First < r.First + r.Count)) return null;
        if (next.Kind == ExFatOperation.Resize)
        {
            if (busy) return null;
            of.Exclusive = true;
            if (random.Next(3) == 0 && files.Count > 1)
            {
                next.Kind = ExFatOperation.Remove;
                next.First = 0;
                of.Removing = true;
            }
            for (int i = next.First; i < Sectors; i++) of.Promised[i] = of.Completed[i] = 0;
        }
        byte[] data = next.Kind is ExFatOperation.Read or ExFatOperation.Write ? new byte[next.Count * 512] : [];
        for (int i = 0; next.Kind == ExFatOperation.Write && i < next.Count; i++) Stamp(data.AsSpan(i * 512, 512), next.First + i, ++of.Begun[next.First + i]);
        if (next.Kind == ExFatOperation.Flush) next.CompletedBefore = [.. of.Completed];
        next.Running = of.File.Start(next.Kind, (ulong)next.First * 512, data);
        return next;
    }

    private void End(Operation one)
    {
        if (one.Creates)
        {
            created.Add(one.Name);
            return;
        }
        Tracked of = one.Of;
        switch (one.Kind)
        {
            case ExFatOperation.Write:
                for (int i = one.First; i < one.First + one.Count; i++) of.Current[i] = of.Completed[i] = of.Begun[i];
                break;
            case ExFatOperation.Read:
                for (int i = one.First; i < one.First + one.Count; i++)
                    Assert.Equal(of.Current[i], VersionOf(one.Running.Data.AsSpan((i - one.First) * 512, 512), i));
                break;
            case ExFatOperation.Flush:
                for (int i = 0; i < Sectors; i++) of.Promised[i] = Math.Max(of.Promised[i], one.CompletedBefore[i] > of.Gone[i] ? one.CompletedBefore[i] : 0);
                break;
            case ExFatOperation.Remove:
                files.Remove(of);
                break;
            default:
                of.Exclusive = false;
                for (int i = one.First; i < Sectors; i++)
                {
                    of.Current[i] = 0;
                    of.Gone[i] = of.Begun[i];
                }
                break;
        }
    }

    private static void CheckCut(Random random, SparseFile before, List<(long Offset, byte[] Data)?> log, int cut, Moment moment)
    {
        int durable = cut == 0 ? 0 : log.FindLastIndex(cut - 1, entry => entry == null) + 1;
        int chance = random.Next(4);   // of a sector written after the last flush to be there, in quarters; 3: all
        SparseFile disk = before.Clone();
        for (int i = 0; i < cut; i++)
        {
            if (log[i] is not var (offset, data)) continue;
            if (i < durable) disk.Write(offset, data);
            else
                for (int at = 0; at < data.Length; at += 512)
                    if (chance == 3 || random.Next(4) < chance) disk.Write(offset + at, data.AsSpan(at, 512));
        }
        string where = $"cut at {cut} of {log.Count}, durable {durable}";
        ExFatChecker checker = new(disk);
        Assert.True(checker.Errors.Count == 0, $"{where}: {string.Join("; ", checker.Errors)}");
        CheckPromises(checker, moment, where);
        Assert.True(checker.Dirty || (checker.LeakedClusters == 0 && checker.LongChains.Count == 0), where + ": something is left over and VolumeDirty does not say so");
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(disk))
        {
            Assert.Equal(checker.Dirty, volume.Volume.WasDirty);
            Assert.Equal(ImageStatus.Success, volume.Recover(out ExFatRecovery recovery));
            Assert.Equal(((uint)checker.LeakedClusters, 0u, false), (recovery.FreedClusters, recovery.AddedClusters, recovery.SawDamage));
            // The volume must go on working.
            ExFatUnderTest.OpenFile next = volume.Created("afterwards");
            Assert.Equal(ImageStatus.Success, next.Write(1024, new byte[70 * 512]));
            Assert.Equal(ImageStatus.Success, next.Flush());
            next.Close();
            Assert.Equal(ImageStatus.Success, volume.Unmount());
        }
        ExFatChecker after = random.Next(4) == 0 ? ExFatTests.AssertSound(disk) : new(disk);
        Assert.True(after is { Errors.Count: 0, LeakedClusters: 0, LongChains.Count: 0, Dirty: false }, where);
        CheckPromises(after, moment, where + ", after recovery");
    }

    private static void CheckPromises(ExFatChecker checker, Moment moment, string where)
    {
        foreach (string name in moment.Created) Assert.True(checker.Files.ContainsKey(name) || checker.Directories.Contains(name), $"{where}: {name} is gone");
        foreach (Tracked tracked in moment.Files)
        {
            if (!checker.Files.ContainsKey(tracked.Name))
            {
                Assert.True(tracked.Removing, $"{where}: {tracked.Name} is gone");
                continue;
            }
            byte[] content = checker.Content(tracked.Name);
            for (int i = 0; i < Sectors; i++)
            {
                uint version = (i + 1) * 512 <= content.Length ? VersionOf(content.AsSpan(i * 512, 512), i) : 0;
                Assert.True(version >= tracked.Promised[i] && (version == 0 || (version > tracked.Gone[i] && version <= tracked.Begun[i])),
                    $"{where}: sector {i} of {tracked.Name} has version {version}, {tracked.Promised[i]} was promised, {tracked.Begun[i]} begun, {tracked.Gone[i]} is gone");
            }
        }
    }

    private static void Stamp(Span<byte> sector, int index, uint version)
    {
        for (int i = 0; i < sector.Length; i += 8)
        {
            BinaryPrimitives.WriteInt32LittleEndian(sector[i..], index);
            BinaryPrimitives.WriteUInt32LittleEndian(sector[(i + 4)..], version);
        }
    }

    private static uint VersionOf(ReadOnlySpan<byte> sector, int index)
    {
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(sector[4..]);
        byte[] expected = new byte[512];
        if (version != 0) Stamp(expected, index, version);
        Assert.True(sector.SequenceEqual(expected), $"sector {index} holds something that was never written there");
        return version;
    }
}
