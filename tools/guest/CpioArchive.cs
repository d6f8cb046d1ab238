// Writes the archive format of a Linux initial root file system: cpio "newc".
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Text;

namespace Lamina.Tools.Guest;

/// <summary>Entries in the order added; no times and no owners, so the same contents give the same bytes.</summary>
public sealed class CpioArchive
{
    private const uint Directory = 0x4000, Regular = 0x8000, Link = 0xA000, Character = 0x2000;
    private readonly MemoryStream bytes = new();
    private readonly HashSet<string> names = [];
    private uint inode = 1;

    public void AddDirectory(string name) => Add(name, Directory | 0x1ED, []);
    public void AddFile(string name, byte[] contents, bool executable) => Add(name, Regular | (executable ? 0x1EDu : 0x1A4u), contents);
    public void AddLink(string name, string target) => Add(name, Link | 0x1FF, Encoding.UTF8.GetBytes(target));
    public void AddCharacterDevice(string name, uint major, uint minor) => Add(name, Character | 0x180, [], major, minor);

    /// <summary>A file, and before it the folders on the way to it that are not there yet.</summary>
    public void AddFileWithFolders(string name, byte[] contents, bool executable)
    {
        for (int at = name.IndexOf('/'); at > 0; at = name.IndexOf('/', at + 1))
            AddDirectory(name[..at]);
        AddFile(name, contents, executable);
    }

    /// <summary>Ends the archive and writes it as it is: for what the kernel should not spend its time unpacking.</summary>
    public void WriteUncompressedTo(string file)
    {
        Add("TRAILER!!!", 0, []);
        using FileStream target = File.Create(file);
        bytes.WriteTo(target);
    }

    /// <summary>Ends the archive and compresses it.</summary>
    public void WriteTo(string file)
    {
        Add("TRAILER!!!", 0, []);
        using var compressed = new GZipStream(File.Create(file), CompressionLevel.Optimal);
        bytes.WriteTo(compressed);
    }

    // Linux, "initramfs buffer format": magic, 13 fields of 8 hexadecimal digits, name, padding to 4, data, padding to 4.
    private void Add(string name, uint mode, byte[] contents, uint major = 0, uint minor = 0)
    {
        if (!names.Add(name))
            return;
        byte[] path = Encoding.UTF8.GetBytes(name + "\0");
        var head = new StringBuilder("070701");
        uint links = (mode & 0xF000) == Directory ? 2u : 1u;
        foreach (uint field in new[] { inode++, mode, 0u, 0u, links, 0u, (uint)contents.Length, 0u, 0u, major, minor, (uint)path.Length, 0u })
            head.Append(field.ToString("X8"));
        bytes.Write(Encoding.ASCII.GetBytes(head.ToString()));
        bytes.Write(path);
        Pad();
        bytes.Write(contents);
        Pad();
    }

    private void Pad()
    {
        while (bytes.Length % 4 != 0)
            bytes.WriteByte(0);
    }
}
