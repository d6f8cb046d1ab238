// What makes one disk different from all others: made of its controller and its address, so that it is the same at every start.
using System;
using Lamina.Text;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

/// <summary>Where the data lies does not enter: an image may move, /dev/disk/by-id stays.</summary>
public unsafe struct ScsiIdentity
{
    /// <summary>The controller's 32 digits, target and unit with two each.</summary>
    public const int SerialLength = 36;

    /// <summary>NAA 3h, "Locally Assigned": 60 bits that nobody else has to agree to.</summary>
    public ulong NaaIdentifier;
    private fixed byte serial[SerialLength];

    public static ScsiIdentity Of(VMBusGuid controller, byte target, byte lun)
    {
        ScsiIdentity identity = default;
        TextWriter writer = new(identity.serial, SerialLength);
        writer.HexDigits(controller.Low, 16).HexDigits(controller.High, 16).HexDigits(target, 2).HexDigits(lun, 2);
        // FNV-1a, 64 bits: spreads what differs in a few digits over all of them.
        ulong hash = 0xCBF29CE484222325;
        for (int i = 0; i < SerialLength; i++) hash = (hash ^ identity.serial[i]) * 0x100000001B3;
        identity.NaaIdentifier = 3ul << 60 | hash >> 4;
        return identity;
    }

    public readonly void CopySerial(byte* destination)
    {
        for (int i = 0; i < SerialLength; i++) destination[i] = serial[i];
    }
}
