// Writes a tar file of what is laid over a Debian system: everything owned by root, with one time.
using System;
using System.Collections.Generic;
using System.Formats.Tar;
using System.IO;

namespace Lamina.Tools.Guest;

/// <summary>Entries in the order added; the folders above an entry come before it.</summary>
public sealed class OverlayArchive(string target, long secondsSince1970) : IDisposable
{
    private const int Executable = 0x1ED, Plain = 0x1A4, Everyone = 0x1FF;
    private readonly TarWriter tar = new(File.Create(target), TarEntryFormat.Pax);
    private readonly HashSet<string> folders = [];

    public void AddFile(string name, byte[] contents, bool executable = false)
    {
        AddFoldersAbove(name);
        PaxTarEntry entry = Entry(TarEntryType.RegularFile, name, executable ? Executable : Plain);
        entry.DataStream = new MemoryStream(contents);
        tar.WriteEntry(entry);
    }

    public void AddLink(string name, string to)
    {
        AddFoldersAbove(name);
        PaxTarEntry entry = Entry(TarEntryType.SymbolicLink, name, Everyone);
        entry.LinkName = to;
        tar.WriteEntry(entry);
    }

    public void Dispose() => tar.Dispose();

    private void AddFoldersAbove(string name)
    {
        for (int at = name.IndexOf('/'); at > 0; at = name.IndexOf('/', at + 1))
            if (folders.Add(name[..at]))
                tar.WriteEntry(Entry(TarEntryType.Directory, name[..at], Executable));
    }

    private PaxTarEntry Entry(TarEntryType type, string name, int mode) => new(type, name)
    {
        Uid = 0, Gid = 0, UserName = "root", GroupName = "root", Mode = (UnixFileMode)mode, ModificationTime = DateTimeOffset.FromUnixTimeSeconds(secondsSince1970),
    };
}
