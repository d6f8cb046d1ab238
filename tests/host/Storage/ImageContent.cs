// Random content for images of any format, in the image and in a raw file beside it.
using System;
using System.IO;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public static class ImageContent
{
    public static byte[] Pattern(Random random, int length)
    {
        byte[] data = new byte[length];
        random.NextBytes(data);
        return data;
    }

    public static void Temporary(Action<string> test)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("lamina-images");
        try { test(folder.FullName); }
        finally { folder.Delete(true); }
    }

    /// <summary>Random writes to an image and to a raw file of the same size.</summary>
    public static SparseFile WriteRandomly(Random random, ImageUnderTest image, int count, ulong spread)
    {
        SparseFile raw = new() { Length = (long)image.VirtualBytes };
        for (int i = 0; i < count; i++)
        {
            ulong sector = (ulong)image.SectorBytes, offset = (ulong)random.NextInt64((long)(spread / sector)) * sector;
            byte[] data = Pattern(random, (int)Math.Min(sector * (ulong)(1 + random.Next((int)(300000 / sector))), image.VirtualBytes - offset));
            Assert.Equal(ImageStatus.Success, image.Write(offset, data));
            raw.Write((long)offset, data);
        }
        Assert.Equal(ImageStatus.Success, image.Flush());
        return raw;
    }

    public static void AssertEqual(SparseFile raw, ImageUnderTest image)
    {
        Assert.Equal((ulong)raw.Length, image.VirtualBytes);
        byte[] expected = new byte[3 << 19];
        for (long at = 0; at < raw.Length; at += expected.Length)
        {
            int length = (int)Math.Min(expected.Length, raw.Length - at);
            raw.Read(at, expected);
            Assert.True(expected.AsSpan(0, length).SequenceEqual(image.Read((ulong)at, length)), $"differs from {at} on");
        }
    }
}
