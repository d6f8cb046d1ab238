// Reads the headers of a PE image: sections, base, sizes.
using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace Lamina.Tools.Build;

/// <summary>One section header; addresses are relative to the image base.</summary>
public sealed record Section(string Name, uint VirtualSize, uint Address, uint RawSize, uint RawOffset)
{
    /// <summary>Bytes that exist in memory only.</summary>
    public uint ZeroBytes => VirtualSize > RawSize ? VirtualSize - RawSize : 0;
}

/// <summary>A PE32+ image. Source: PE Format, "Optional Header", "Section Table".</summary>
public sealed class PortableExecutable
{
    public byte[] File { get; }
    public ulong Base { get; }
    public uint EntryPoint { get; }
    public uint SizeOfImage { get; }
    public uint SizeOfHeaders { get; }
    public IReadOnlyList<Section> Sections { get; }
    public long ZeroBytes => Sections.Sum(s => (long)s.ZeroBytes);

    /// <exception cref="Failure">The bytes are no PE32+ image.</exception>
    public PortableExecutable(byte[] file)
    {
        File = file;
        if (file.Length < 0x40 || file[0] != 'M' || file[1] != 'Z')
            throw new Failure("not a PE image: no MZ");
        int signature = (int)U32(0x3C);
        if (signature < 0 || signature > file.Length - 24 || U32(signature) != 0x00004550)
            throw new Failure("not a PE image: no PE signature");
        int optional = signature + 24;
        int optionalSize = U16(signature + 20), count = U16(signature + 6);
        int table = optional + optionalSize;
        if (optionalSize < 112 || table + count * 40 > file.Length || U16(optional) != 0x20B)
            throw new Failure("not a PE32+ image");
        EntryPoint = U32(optional + 16);
        Base = BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(optional + 24));
        SizeOfImage = U32(optional + 56);
        SizeOfHeaders = U32(optional + 60);
        var sections = new List<Section>();
        for (int i = 0, at = table; i < count; i++, at += 40)
        {
            string name = Encoding.ASCII.GetString(file, at, 8).TrimEnd('\0');
            var section = new Section(name, U32(at + 8), U32(at + 12), U32(at + 16), U32(at + 20));
            if ((ulong)section.RawOffset + section.RawSize > (ulong)file.Length || (ulong)section.Address + section.VirtualSize > SizeOfImage)
                throw new Failure($"section {name} lies outside the image");
            sections.Add(section);
        }
        Sections = sections;
    }

    private uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(File.AsSpan(at));
    private ushort U16(int at) => BinaryPrimitives.ReadUInt16LittleEndian(File.AsSpan(at));
}
