// ATA commands as AHCI sends them: the register FIS from host to device. ATA/ATAPI Command Set (ACS-3), Serial ATA 3 "Register – Host to Device".
using System;

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>Command codes.</summary>
public static class AtaCode
{
    public const byte DataSetManagement = 0x06, ReadDmaExt = 0x25, ReadLogExt = 0x2F, WriteDmaExt = 0x35, WriteDmaFuaExt = 0x3D;
    public const byte ReadFpdmaQueued = 0x60, WriteFpdmaQueued = 0x61, StandbyImmediate = 0xE0, FlushCacheExt = 0xEA, IdentifyDevice = 0xEC;
    public const ushort Trim = 1;
    public const byte NcqErrorLog = 0x10;
}

/// <summary>Bits of the error register.</summary>
public static class AtaError
{
    public const byte ICRC = 1 << 7, UNC = 1 << 6, IDNF = 1 << 4, ABRT = 1 << 2;
}

/// <summary>The task file of a 48-bit command.</summary>
public struct AtaCommand
{
    public const int FisBytes = 20;
    private const byte RegisterHostToDevice = 0x27, IsCommand = 0x80;
    private const byte LbaMode = 1 << 6, ForceUnitAccess = 1 << 7;
    private const int TagShift = 3;

    public byte Code;
    public byte Device;
    public ushort Features;
    public ushort Count;
    public ulong Lba;
    public bool IsWrite;

    /// <summary>Reads or writes <paramref name="blocks"/> (1 to 65536) blocks; nobody else's command may run meanwhile unless it is of this kind.</summary>
    public static AtaCommand Transfer(ulong lba, uint blocks, bool isWrite, bool fua) => new()
    {
        Code = !isWrite ? AtaCode.ReadDmaExt : fua ? AtaCode.WriteDmaFuaExt : AtaCode.WriteDmaExt,
        Device = LbaMode, Lba = lba, Count = (ushort)blocks, IsWrite = isWrite,
    };

    /// <summary>The same as a queued command: the count is where others have features, and the count holds the tag.</summary>
    public static AtaCommand QueuedTransfer(ulong lba, uint blocks, bool isWrite, bool fua, int tag) => new()
    {
        Code = isWrite ? AtaCode.WriteFpdmaQueued : AtaCode.ReadFpdmaQueued,
        Device = (byte)(LbaMode | (fua && isWrite ? ForceUnitAccess : 0)), Lba = lba, Features = (ushort)blocks, Count = (ushort)(tag << TagShift), IsWrite = isWrite,
    };

    public static AtaCommand Flush => new() { Code = AtaCode.FlushCacheExt, Device = LbaMode };
    public static AtaCommand Standby => new() { Code = AtaCode.StandbyImmediate };
    public static AtaCommand Identify => new() { Code = AtaCode.IdentifyDevice };

    /// <summary>One block of ranges follows as data.</summary>
    public static AtaCommand Trim => new() { Code = AtaCode.DataSetManagement, Features = AtaCode.Trim, Count = 1, Device = LbaMode, IsWrite = true };

    /// <summary>The one page of the log that says which queued command failed.</summary>
    public static AtaCommand ReadNcqErrorLog => new() { Code = AtaCode.ReadLogExt, Lba = AtaCode.NcqErrorLog, Count = 1, Device = LbaMode };

    /// <summary>Writes the 20 bytes of the FIS.</summary>
    public readonly void WriteFis(Span<byte> fis)
    {
        fis[0] = RegisterHostToDevice;
        fis[1] = IsCommand;
        fis[2] = Code;
        fis[3] = (byte)Features;
        fis[4] = (byte)Lba;
        fis[5] = (byte)(Lba >> 8);
        fis[6] = (byte)(Lba >> 16);
        fis[7] = Device;
        fis[8] = (byte)(Lba >> 24);
        fis[9] = (byte)(Lba >> 32);
        fis[10] = (byte)(Lba >> 40);
        fis[11] = (byte)(Features >> 8);
        fis[12] = (byte)Count;
        fis[13] = (byte)(Count >> 8);
        for (int i = 14; i < FisBytes; i++) fis[i] = 0;
    }
}
