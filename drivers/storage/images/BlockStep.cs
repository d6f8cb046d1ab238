// What a reader or writer of an on-disk format wants done next: formats are state machines that plan, whoever drives them performs.

namespace Lamina.Drivers.Storage.Images;

public enum StepKind : byte
{
    /// <summary>Nothing more; <see cref="BlockStep.Status"/> says how it ended.</summary>
    Finished,
    /// <summary>Read <c>Length</c> bytes at <c>Offset</c>.</summary>
    Read,
    /// <summary>Write <c>Length</c> bytes at <c>Offset</c>; a write beyond the end of the file grows it, and what lies between reads as zeros.</summary>
    Write,
    /// <summary>Write <c>Length</c> zeros at <c>Offset</c>.</summary>
    WriteZeros,
    /// <summary>Everything whose write has completed must survive loss of power before the next step.</summary>
    Flush,
    /// <summary>Set <c>Length</c> bytes of the request's data at <c>DataOffset</c> to zero.</summary>
    ZeroData,
    /// <summary>Read <c>Length</c> bytes at <c>Offset</c> of the parent's virtual disk into the request's data at <c>DataOffset</c>.</summary>
    ReadParent,
    /// <summary>Another request owns what this one needs: ask again (with success) once any other request of the image has been advanced.</summary>
    Wait,
    /// <summary>Supply <c>Length</c> zeroed bytes of memory, 8-byte aligned, that stay the image's; then go on.</summary>
    NeedMemory,
}

public enum ImageStatus : byte
{
    Success,
    /// <summary>The file below failed.</summary>
    InputOutputError,
    /// <summary>The file is not of this format, or its metadata contradicts itself, the file's length or the format.</summary>
    Invalid,
    /// <summary>Valid as far as looked at, but of a version or with a feature that is not supported.</summary>
    Unsupported,
    /// <summary>The request lies beyond the virtual disk or is not a whole number of sectors.</summary>
    OutOfRange,
    /// <summary>A write to an image that was opened for reading, or that needs repair first.</summary>
    ReadOnly,
    /// <summary>The memory supplied is too small.</summary>
    NoMemory,
    /// <summary>Its last writer did not close it: it must be opened for writing once, which repairs it, before it can be opened for reading.</summary>
    NeedsReplay,
    /// <summary>The parent is another image than the one that this was made from, or has been written to since.</summary>
    WrongParent,
    /// <summary>The store: no volume of that name is mounted.</summary>
    NoVolume,
    /// <summary>File systems: a component of the path is not there.</summary>
    NotFound,
    /// <summary>File systems: there is something of that name already.</summary>
    Exists,
    /// <summary>File systems: the volume is full. Images: writes that failed have used up the room that an image may grow by, until it is opened again.</summary>
    NoSpace,
    /// <summary>File systems: not UTF-8, too long, or not allowed in a name.</summary>
    BadName,
    /// <summary>File systems: a directory where a file is wanted, or the other way round, or one that is not empty.</summary>
    WrongKind,
    /// <summary>File systems: the file is open in a way that excludes this.</summary>
    Busy,
}

/// <summary>One step. Offsets and lengths are bytes, multiples of the sector of 512 bytes (<see cref="StepKind.NeedMemory"/> apart,
/// and <see cref="StepKind.ZeroData"/> of file systems).</summary>
public unsafe struct BlockStep
{
    public StepKind Kind;
    public ImageStatus Status;
    public uint Length;
    /// <summary>Where in the request's own data; meaningless when <see cref="Buffer"/> is not null.</summary>
    public uint DataOffset;
    public ulong Offset;
    /// <summary>Metadata to read into or write from; null: the request's own data, which the planner never sees.</summary>
    public byte* Buffer;

    public static BlockStep Finish(ImageStatus status) => new() { Kind = StepKind.Finished, Status = status };

    public static BlockStep Metadata(StepKind kind, ulong offset, byte* buffer, uint length) => new() { Kind = kind, Offset = offset, Buffer = buffer, Length = length };

    public static BlockStep Data(StepKind kind, ulong offset, uint dataOffset, uint length) => new() { Kind = kind, Offset = offset, DataOffset = dataOffset, Length = length };

    public static BlockStep Of(StepKind kind) => new() { Kind = kind };
}
