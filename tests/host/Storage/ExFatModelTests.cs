// Random operations on exFAT files against a model of plain byte arrays.
using System;
using System.Collections.Generic;
using System.Linq;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed class ExFatModelTests
{
    private const int MaximumBytes = 200 * 512;

    private sealed class Model
    {
        public byte[] Content = [];
        public ExFatUnderTest.OpenFile File;
    }

    [Theory]
    [InlineData(512, 512)]
    [InlineData(512, 4096)]
    [InlineData(512, 65536)]
    [InlineData(4096, 4096)]
    [InlineData(2048, 8192)]
    public void FilesAreWhatAModelSays(int sectorBytes, int clusterBytes)
    {
        for (int seed = 0; seed < 4 * Fuzz.Factor; seed++)
        {
            SparseFile file = ExFatUnderTest.Format(clusterBytes > 16384 ? 8 << 20 : 2 << 20, clusterBytes, sectorBytes);
            Dictionary<string, Model> models = [];
            Random random = new(seed * 31 + clusterBytes);
            for (int session = 0; session < 3; session++)
            {
                using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
                if (session == 0) Assert.Equal(ImageStatus.Success, volume.Create("d", true));
                for (int i = 0; i < 150; i++) Operate(random, volume, models);
                foreach (Model model in models.Values.Where(m => m.File != null)) Close(model);
                Assert.Equal(ImageStatus.Success, volume.Unmount());
                Compare(ExFatTests.AssertSound(file), models);
            }
        }
    }

    private static void Operate(Random random, ExFatUnderTest volume, Dictionary<string, Model> models)
    {
        string name = $"{(random.Next(2) == 0 ? "/d" : "")}/{new string((char)('a' + random.Next(8)), random.Next(3) switch { 0 => 3, 1 => 20, _ => 3 + random.Next(207) })}";
        if (models.Count != 0 && random.Next(20) != 0) name = models.Keys.ElementAt(random.Next(models.Count));
        if (!models.TryGetValue(name, out Model model))
        {
            bool there = models.Keys.Any(k => k.Equals(name, StringComparison.OrdinalIgnoreCase));
            ImageStatus status = volume.Create(name);
            Assert.Equal(there ? ImageStatus.Exists : ImageStatus.Success, status);
            models[name] = new Model();
            return;
        }
        if (model.File == null)
        {
            ImageStatus status = volume.Open(name.ToUpperInvariant(), true, out model.File);
            Assert.Equal(ImageStatus.Success, status);
        }
        int operation = random.Next(12);
        if (operation < 5) Write(random, model);
        else if (operation < 7) Read(random, model);
        else if (operation == 7) Resize(random, model);
        else if (operation == 8) Assert.Equal(ImageStatus.Success, model.File.Flush());
        else if (operation == 9 && random.Next(4) == 0)
        {
            Assert.Equal(ImageStatus.Success, model.File.Remove());
            models.Remove(name);
        }
        else if (operation == 10) Close(model);
    }

    private static void Write(Random random, Model model)
    {
        int offset = 512 * random.Next(150), length = 512 * (1 + random.Next(50));
        byte[] data = new byte[length];
        random.NextBytes(data);
        ImageStatus status = model.File.Write((ulong)offset, data);
        if (status == ImageStatus.NoSpace) return;
        Assert.Equal(ImageStatus.Success, status);
        Array.Resize(ref model.Content, Math.Max(model.Content.Length, offset + length));
        data.CopyTo(model.Content, offset);
    }

    private static void Read(Random random, Model model)
    {
        int sectors = (model.Content.Length + 511) / 512;
        if (sectors == 0) return;
        int first = random.Next(sectors), count = 1 + random.Next(sectors - first);
        byte[] padded = new byte[sectors * 512];
        model.Content.CopyTo(padded, 0);
        Assert.True(padded.AsSpan(first * 512, count * 512).SequenceEqual(model.File.Read((ulong)first * 512, count * 512)));
        byte[] sector = new byte[512];
        Assert.Equal(ImageStatus.OutOfRange, model.File.Run(ExFatOperation.Read, (ulong)sectors * 512, sector));
    }

    private static void Resize(Random random, Model model)
    {
        int length = random.Next(3) == 0 ? random.Next(MaximumBytes) : 512 * random.Next(MaximumBytes / 512);
        ImageStatus status = model.File.Resize((ulong)length);
        if (status == ImageStatus.NoSpace) return;
        Assert.Equal(ImageStatus.Success, status);
        Array.Resize(ref model.Content, length);
    }

    private static void Close(Model model)
    {
        if (model.File.NeedsFlush) Assert.Equal(ImageStatus.Success, model.File.Flush());
        model.File.Close();
        model.File = null;
    }

    private static void Compare(ExFatChecker checker, Dictionary<string, Model> models)
    {
        Assert.Equal(models.Keys.Order(), checker.Files.Keys.Order());
        foreach (var (name, model) in models) Assert.True(model.Content.AsSpan().SequenceEqual(checker.Content(name)), name);
    }
}
