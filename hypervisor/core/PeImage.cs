// The section table of an image that lies in memory as it runs (the headers are its first page). Trusted input: our own build wrote it.
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>PE/COFF, "Section Table (Section Headers)".</summary>
public readonly unsafe struct PeImage
{
    private const uint ScnMemExecute = 0x20000000, ScnMemWrite = 0x80000000;
    private readonly byte* image;

    public PeImage(byte* image) => this.image = image;

    private byte* Header => image + *(uint*)(image + 0x3C);
    public int SectionCount => *(ushort*)(Header + 6);
    public uint EntryPoint => *(uint*)(Header + 24 + 16);
    public ulong ImageBase => *(ulong*)(Header + 24 + 24);
    public uint SizeOfImage => *(uint*)(Header + 24 + 56);
    public bool IsValid => *(ushort*)image == 0x5A4D && *(uint*)Header == 0x4550;

    /// <summary>Offset and size in memory, both in bytes.</summary>
    public void GetSection(int index, out uint rva, out uint size, out bool writable, out bool executable)
    {
        byte* section = Header + 24 + *(ushort*)(Header + 20) + 40 * index;
        size = *(uint*)(section + 8);
        rva = *(uint*)(section + 12);
        uint characteristics = *(uint*)(section + 36);
        writable = (characteristics & ScnMemWrite) != 0;
        executable = (characteristics & ScnMemExecute) != 0;
    }
}
