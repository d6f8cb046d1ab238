// The boot sector of an exFAT volume and its check. exFAT specification 1.00, "Main and Backup Boot Sector Sub-regions".
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

[StructLayout(LayoutKind.Explicit, Size = 512)]
public unsafe struct ExFatBootSector
{
    public const ushort VolumeDirty = 1 << 1, Signature = 0xAA55;
    /// <summary>A boot region is the boot sector, eight extended ones, OEM parameters, a reserved sector and one of checksums.</summary>
    public const uint RegionSectors = 12, ChecksumSector = 11;
    public const uint FirstCluster = 2, MaximumClusterCount = 0xFFFFFFF5, EndOfChain = 0xFFFFFFFF;
    private const int MinimumSectorShift = 9, MaximumSectorShift = 12, MaximumClusterShift = 25;
    private const uint MinimumFatOffset = 24;
    private const ulong MinimumVolumeBytes = 1 << 20;
    private const ulong Name = 0x2020205441465845;   // "EXFAT   "

    [FieldOffset(0)] public fixed byte JumpBoot[3];
    [FieldOffset(3)] public ulong FileSystemName;
    [FieldOffset(11)] public fixed byte MustBeZero[53];
    [FieldOffset(64)] public ulong PartitionOffset;
    /// <summary>In sectors.</summary>
    [FieldOffset(72)] public ulong VolumeLength;
    [FieldOffset(80)] public uint FatOffset;
    [FieldOffset(84)] public uint FatLength;
    [FieldOffset(88)] public uint ClusterHeapOffset;
    [FieldOffset(92)] public uint ClusterCount;
    [FieldOffset(96)] public uint FirstClusterOfRootDirectory;
    [FieldOffset(100)] public uint VolumeSerialNumber;
    [FieldOffset(104)] public ushort FileSystemRevision;
    [FieldOffset(106)] public ushort VolumeFlags;
    [FieldOffset(108)] public byte BytesPerSectorShift;
    [FieldOffset(109)] public byte SectorsPerClusterShift;
    [FieldOffset(110)] public byte NumberOfFats;
    [FieldOffset(111)] public byte DriveSelect;
    [FieldOffset(112)] public byte PercentInUse;
    [FieldOffset(510)] public ushort BootSignature;

    /// <summary>Success, Invalid, or Unsupported for another revision or for TexFAT's second FAT.</summary>
    /// <param name="volumeBytes">Of the partition or disk that the volume lies in.</param>
    public readonly ImageStatus Check(ulong volumeBytes)
    {
        if (BootSignature != Signature || FileSystemName != Name || JumpBoot[0] != 0xEB || JumpBoot[1] != 0x76 || JumpBoot[2] != 0x90) return ImageStatus.Invalid;
        for (int i = 0; i < 53; i++)
            if (MustBeZero[i] != 0) return ImageStatus.Invalid;
        if (FileSystemRevision >> 8 != 1) return ImageStatus.Unsupported;
        if (BytesPerSectorShift is < MinimumSectorShift or > MaximumSectorShift || SectorsPerClusterShift > MaximumClusterShift - BytesPerSectorShift) return ImageStatus.Invalid;
        if (VolumeLength < MinimumVolumeBytes >> BytesPerSectorShift || VolumeLength > volumeBytes >> BytesPerSectorShift) return ImageStatus.Invalid;
        if (NumberOfFats == 2) return ImageStatus.Unsupported;
        if (NumberOfFats != 1 || ClusterCount is 0 or > MaximumClusterCount) return ImageStatus.Invalid;
        ulong fatBytes = ((ulong)ClusterCount + FirstCluster) * sizeof(uint);
        if (FatOffset < MinimumFatOffset || (ulong)FatLength << BytesPerSectorShift < fatBytes || (ulong)FatOffset + FatLength > ClusterHeapOffset) return ImageStatus.Invalid;
        if (ClusterHeapOffset + ((ulong)ClusterCount << SectorsPerClusterShift) > VolumeLength) return ImageStatus.Invalid;
        return FirstClusterOfRootDirectory >= FirstCluster && FirstClusterOfRootDirectory - FirstCluster < ClusterCount ? ImageStatus.Success : ImageStatus.Invalid;
    }

    /// <summary>"Main and Backup Boot Checksum Sub-regions": adds a sector to the checksum; the first is without VolumeFlags and PercentInUse.</summary>
    public static uint AddToChecksum(uint checksum, byte* sector, uint length, bool isFirst)
    {
        for (uint i = 0; i < length; i++)
            if (!isFirst || i is not (106 or 107 or 112)) checksum = (checksum << 31 | checksum >> 1) + sector[i];
        return checksum;
    }
}
