// What became of a command, and what that means for a request. NVM Express Base Specification 2.0, "Status Field".
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>The status field without its phase bit: code in 7:0, type in 10:8.</summary>
public readonly struct NvmeStatus(ushort value)
{
    public readonly ushort Value = value;

    private const uint Generic = 0, CommandSpecific = 1, MediaAndDataIntegrity = 2;

    /// <summary>Status Code and Status Code Type.</summary>
    public uint SC => Value & 0xFFu;
    public uint SCT => (uint)Value >> 8 & 7;
    public bool IsSuccess => (Value & 0x7FF) == 0;

    public BlockStatus ToBlockStatus() => SCT switch
    {
        Generic => FromGeneric(SC),
        CommandSpecific when SC == 0x82 => BlockStatus.ReadOnly,             // Attempted Write to Read Only Range
        MediaAndDataIntegrity when SC != 0x86 => BlockStatus.MediumError,   // that one is Access Denied
        _ => BlockStatus.DeviceError,
    };

    private static BlockStatus FromGeneric(uint code) => code switch
    {
        0x00 => BlockStatus.Success,
        0x01 => BlockStatus.Unsupported,     // Invalid Command Opcode
        0x07 or 0x08 => BlockStatus.Aborted, // Command Abort Requested; Command Aborted due to SQ Deletion
        0x20 => BlockStatus.ReadOnly,        // Namespace is Write Protected
        0x80 => BlockStatus.OutOfRange,      // LBA Out of Range
        0x81 => BlockStatus.NoSpace,         // Capacity Exceeded
        _ => BlockStatus.DeviceError,
    };
}
