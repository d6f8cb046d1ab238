// A command and its completion as they lie in the queues, and what the fields of those commands hold that this driver uses.
// NVM Express Base Specification 2.0, "Submission Queue Entry", "Completion Queue Entry"; NVM Command Set Specification 1.0.
using System.Runtime.InteropServices;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>Opcodes; an admin command's and an I/O command's may have the same value.</summary>
public static class NvmeOpcode
{
    public const byte DeleteIoSubmissionQueue = 0x00;
    public const byte CreateIoSubmissionQueue = 0x01;
    public const byte CreateIoCompletionQueue = 0x05;
    public const byte Identify = 0x06;
    public const byte SetFeatures = 0x09;

    public const byte Flush = 0x00;
    public const byte Write = 0x01;
    public const byte Read = 0x02;
    public const byte WriteZeroes = 0x08;
    public const byte DatasetManagement = 0x09;
}

/// <summary>Controller or Namespace Structure: what Identify returns.</summary>
public static class NvmeCns
{
    public const uint Namespace = 0x00;
    public const uint Controller = 0x01;
    public const uint ActiveNamespaceList = 0x02;

    /// <summary>I/O Command Set specific Identify Controller, from 2.0 on.</summary>
    public const uint CommandSetController = 0x06;
}

/// <summary>A submission queue entry.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
public struct NvmeCommand
{
    public const int Bytes = 64;
    private const uint NumberOfQueues = 0x07;
    private const uint PhysicallyContiguous = 1 << 0, InterruptsEnabled = 1 << 1;
    private const uint ForceUnitAccess = 1u << 30, AttributeDeallocate = 1 << 2;

    [FieldOffset(0)] public byte Opcode;
    [FieldOffset(2)] public ushort CommandId;
    [FieldOffset(4)] public uint NamespaceId;
    [FieldOffset(24)] public ulong Prp1;
    [FieldOffset(32)] public ulong Prp2;
    [FieldOffset(40)] public uint Dword10;
    [FieldOffset(44)] public uint Dword11;
    [FieldOffset(48)] public uint Dword12;

    public static NvmeCommand Identify(uint cns, uint namespaceId, ulong buffer) =>
        new() { Opcode = NvmeOpcode.Identify, NamespaceId = namespaceId, Prp1 = buffer, Dword10 = cns };

    /// <summary>Asks for as many queues of either kind; the completion says how many there are.</summary>
    public static NvmeCommand SetNumberOfQueues(uint count) =>
        new() { Opcode = NvmeOpcode.SetFeatures, Dword10 = NumberOfQueues, Dword11 = count - 1 | count - 1 << 16 };

    public static NvmeCommand CreateCompletionQueue(uint queue, uint entries, ulong memory, uint vector) => new()
    {
        Opcode = NvmeOpcode.CreateIoCompletionQueue, Prp1 = memory, Dword10 = queue | entries - 1 << 16, Dword11 = PhysicallyContiguous | InterruptsEnabled | vector << 16,
    };

    public static NvmeCommand CreateSubmissionQueue(uint queue, uint entries, ulong memory) => new()
    {
        Opcode = NvmeOpcode.CreateIoSubmissionQueue, Prp1 = memory, Dword10 = queue | entries - 1 << 16, Dword11 = PhysicallyContiguous | queue << 16,
    };

    /// <summary>Read, Write or Write Zeroes of <paramref name="blocks"/> (1 to 65536).</summary>
    public static NvmeCommand Blocks(byte opcode, uint namespaceId, ulong first, uint blocks, bool force) => new()
    {
        Opcode = opcode, NamespaceId = namespaceId, Dword10 = (uint)first, Dword11 = (uint)(first >> 32), Dword12 = blocks - 1 | (force ? ForceUnitAccess : 0),
    };

    /// <summary>Deallocates what one <see cref="NvmeRange"/> at <paramref name="range"/> says.</summary>
    public static NvmeCommand Deallocate(uint namespaceId, ulong range) =>
        new() { Opcode = NvmeOpcode.DatasetManagement, NamespaceId = namespaceId, Prp1 = range, Dword10 = 0, Dword11 = AttributeDeallocate };
}

/// <summary>A range of Dataset Management.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct NvmeRange
{
    public uint ContextAttributes;
    public uint LengthInBlocks;
    public ulong StartingBlock;
}

/// <summary>The second half of a completion queue entry, which holds its phase: read at once, as the device writes it at any time.</summary>
public readonly struct NvmeCompletion(ulong value)
{
    public const int Bytes = 16;
    private readonly ulong value = value;

    /// <summary>Submission queue head pointer, and the queue it is about.</summary>
    public ushort SQHD => (ushort)value;
    public ushort SQID => (ushort)(value >> 16);
    public ushort CommandId => (ushort)(value >> 32);

    /// <summary>Inverted each time the device passes the ring's end.</summary>
    public bool Phase => (value >> 48 & 1) != 0;
    public NvmeStatus Status => new((ushort)(value >> 49));
}
