// What a mapping allows and how it is cached, independent of the format that encodes it.
namespace Lamina.X64.Paging;

/// <summary>Memory types by the numbers of the PAT, the MTRRs and EPT entries. SDM 3A, "Memory Types and Their Encoding".</summary>
public enum MemoryType : byte
{
    Uncacheable = 0,
    WriteCombining = 1,
    WriteThrough = 4,
    WriteProtected = 5,
    WriteBack = 6,
}

/// <summary>Permissions and memory type of a mapping. A format that cannot express a combination refuses it.</summary>
public readonly struct PagePermissions
{
    private const byte ReadBit = 1;
    private const byte WriteBit = 2;
    private const byte ExecuteBit = 4;
    private const byte UserBit = 8;
    private const byte GlobalBit = 16;

    private readonly byte flags;
    private readonly byte type;

    private PagePermissions(int flags, MemoryType type)
    {
        this.flags = (byte)flags;
        this.type = (byte)type;
    }

    /// <summary>Second-stage tables ignore user and global; long-mode tables need read.</summary>
    public PagePermissions(bool read, bool write, bool execute, bool user = false, bool global = false, MemoryType type = MemoryType.WriteBack)
        : this((read ? ReadBit : 0) | (write ? WriteBit : 0) | (execute ? ExecuteBit : 0) | (user ? UserBit : 0) | (global ? GlobalBit : 0), type)
    {
    }

    public bool Read => (flags & ReadBit) != 0;
    public bool Write => (flags & WriteBit) != 0;
    public bool Execute => (flags & ExecuteBit) != 0;
    public bool User => (flags & UserBit) != 0;
    public bool Global => (flags & GlobalBit) != 0;
    public MemoryType Type => (MemoryType)type;

    public static PagePermissions ReadOnly => new(ReadBit, MemoryType.WriteBack);
    public static PagePermissions ReadWrite => new(ReadBit | WriteBit, MemoryType.WriteBack);
    public static PagePermissions ReadExecute => new(ReadBit | ExecuteBit, MemoryType.WriteBack);
    public static PagePermissions ReadWriteExecute => new(ReadBit | WriteBit | ExecuteBit, MemoryType.WriteBack);

    /// <summary>What memory-mapped device registers want: readable, writable, uncached.</summary>
    public static PagePermissions Device => new(ReadBit | WriteBit, MemoryType.Uncacheable);

    public PagePermissions WithType(MemoryType value) => new(flags, value);
    public PagePermissions WithUser() => new(flags | UserBit, Type);
    public PagePermissions WithGlobal() => new(flags | GlobalBit, Type);

    /// <summary>What remains when both must allow it, as on the way down a walk; memory type and global are the leaf's, i.e. <paramref name="leaf"/>'s.</summary>
    public PagePermissions And(PagePermissions leaf) => new((flags & leaf.flags & ~GlobalBit) | (leaf.flags & GlobalBit), leaf.Type);

    public bool SameAs(PagePermissions other) => flags == other.flags && type == other.type;
}
