// Builds small ELF kernels for loader tests.
using System;
using System.Collections.Generic;

namespace Lamina.Tests.Host.Loader;

internal sealed class ElfBuilder
{
    public bool Is64 = true;
    public ulong Entry = 0x200000;
    public ushort Machine = 62;
    public readonly List<(uint Type, ulong Virtual, ulong Physical, byte[] Data, ulong MemorySize)> Segments = [];

    public ElfBuilder Load(ulong physical, byte[] data, ulong memorySize, ulong virtualAddress = 0)
    {
        Segments.Add((1, virtualAddress == 0 ? physical : virtualAddress, physical, data, memorySize));
        return this;
    }

    /// <summary>A note segment: one of another owner, then Xen's PHYS32_ENTRY.</summary>
    public ElfBuilder PvhNote(ulong entry, int size)
    {
        byte[] note = new byte[20 + 4 + 16 + size];
        LinuxBootTests.Put(note, 0, 4, 4);
        LinuxBootTests.Put(note, 4, 5, 4);
        LinuxBootTests.Put(note, 8, 18, 4);
        "GNU\0"u8.CopyTo(note.AsSpan(12));
        LinuxBootTests.Put(note, 24, 4, 4);
        LinuxBootTests.Put(note, 28, (ulong)size, 4);
        LinuxBootTests.Put(note, 32, 18, 4);
        "Xen\0"u8.CopyTo(note.AsSpan(36));
        LinuxBootTests.Put(note, 40, entry, size);
        Segments.Add((4, 0, 0, note, 0));
        return this;
    }

    public byte[] Build()
    {
        int header = Is64 ? 64 : 52, entrySize = Is64 ? 56 : 32, at = 64 + Segments.Count * entrySize;
        int length = at;
        foreach (var segment in Segments) length += segment.Data.Length;
        byte[] file = new byte[length];
        new byte[] { 0x7F, (byte)'E', (byte)'L', (byte)'F', (byte)(Is64 ? 2 : 1), 1, 1 }.CopyTo(file, 0);
        LinuxBootTests.Put(file, 16, 2, 2);
        LinuxBootTests.Put(file, 18, Machine, 2);
        LinuxBootTests.Put(file, 24, Entry, Is64 ? 8 : 4);
        LinuxBootTests.Put(file, Is64 ? 32 : 28, 64, Is64 ? 8 : 4);
        LinuxBootTests.Put(file, Is64 ? 52 : 40, (ulong)header, 2);
        LinuxBootTests.Put(file, Is64 ? 54 : 42, (ulong)entrySize, 2);
        LinuxBootTests.Put(file, Is64 ? 56 : 44, (ulong)Segments.Count, 2);
        for (int i = 0; i < Segments.Count; i++)
        {
            var segment = Segments[i];
            int p = 64 + i * entrySize;
            LinuxBootTests.Put(file, p, segment.Type, 4);
            ulong[] fields = [(ulong)at, segment.Virtual, segment.Physical, (ulong)segment.Data.Length, segment.MemorySize];
            for (int j = 0; j < 5; j++) LinuxBootTests.Put(file, p + (Is64 ? 8 + 8 * j : 4 + 4 * j), fields[j], Is64 ? 8 : 4);
            segment.Data.CopyTo(file, at);
            at += segment.Data.Length;
        }
        return file;
    }

    /// <summary>Data of this length whose first bytes are a Multiboot header with these flags.</summary>
    public static byte[] WithMultibootHeader(int length, uint flags, params uint[] addresses)
    {
        byte[] data = new byte[length];
        for (int i = 0; i < length; i++) data[i] = (byte)(i * 3 + 1);
        LinuxBootTests.Put(data, 0, 0x1BADB002, 4);
        LinuxBootTests.Put(data, 4, flags, 4);
        LinuxBootTests.Put(data, 8, ~(0x1BADB002UL + flags) + 1, 4);
        for (int i = 0; i < addresses.Length; i++) LinuxBootTests.Put(data, 12 + 4 * i, addresses[i], 4);
        return data;
    }
}
