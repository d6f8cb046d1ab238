// The protocols that the loader uses, field for field. UEFI Specification 2.10, chapters "Protocols — …".
using System.Runtime.InteropServices;

namespace Lamina.Boot.Efi;

/// <summary>EFI_SIMPLE_TEXT_INPUT_PROTOCOL.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiSimpleTextInputProtocol
{
    public delegate* unmanaged<EfiSimpleTextInputProtocol*, byte, ulong> Reset;
    public delegate* unmanaged<EfiSimpleTextInputProtocol*, uint*, ulong> ReadKeyStroke;
    public void* WaitForKey;
}

/// <summary>EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL, as far as it is used.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiSimpleTextOutputProtocol
{
    public void* Reset;
    public delegate* unmanaged<EfiSimpleTextOutputProtocol*, ushort*, ulong> OutputString;
}

/// <summary>EFI_LOADED_IMAGE_PROTOCOL, as far as it is used.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiLoadedImageProtocol
{
    public uint Revision;
    public void* ParentHandle;
    public EfiSystemTable* SystemTable;
    public void* DeviceHandle;
}

/// <summary>EFI_SIMPLE_FILE_SYSTEM_PROTOCOL.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiSimpleFileSystemProtocol
{
    public ulong Revision;
    public delegate* unmanaged<EfiSimpleFileSystemProtocol*, EfiFileProtocol**, ulong> OpenVolume;
}

/// <summary>EFI_FILE_PROTOCOL, as far as it is used.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiFileProtocol
{
    public const ulong EFI_FILE_MODE_READ = 1;

    public ulong Revision;
    public delegate* unmanaged<EfiFileProtocol*, EfiFileProtocol**, ushort*, ulong, ulong, ulong> Open;
    public delegate* unmanaged<EfiFileProtocol*, ulong> Close;
    public void* Delete;
    public delegate* unmanaged<EfiFileProtocol*, ulong*, void*, ulong> Read;
    public void* Write;
    public void* GetPosition;
    public void* SetPosition;
    public delegate* unmanaged<EfiFileProtocol*, EfiGuid*, ulong*, void*, ulong> GetInfo;
}

/// <summary>EFI_FILE_INFO up to the file's name, which follows it.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiFileInfo
{
    public const ulong EFI_FILE_DIRECTORY = 0x10;

    public ulong Size;
    public ulong FileSize;
    public ulong PhysicalSize;
    public fixed ulong Times[6];
    public ulong Attribute;
}

/// <summary>EFI_GRAPHICS_OUTPUT_PROTOCOL.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiGraphicsOutputProtocol
{
    public void* QueryMode;
    public void* SetMode;
    public void* Blt;
    public EfiGraphicsOutputProtocolMode* Mode;
}

[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiGraphicsOutputProtocolMode
{
    public uint MaxMode;
    public uint Mode;
    public EfiGraphicsOutputModeInformation* Info;
    public ulong SizeOfInfo;
    public ulong FrameBufferBase;
    public ulong FrameBufferSize;
}

[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiGraphicsOutputModeInformation
{
    public const uint PixelRedGreenBlueReserved8BitPerColor = 0;
    public const uint PixelBlueGreenRedReserved8BitPerColor = 1;

    public uint Version;
    public uint HorizontalResolution;
    public uint VerticalResolution;
    public uint PixelFormat;
    public fixed uint PixelInformation[4];
    public uint PixelsPerScanLine;
}

/// <summary>EFI_IP_ADDRESS; an IPv4 address stands in its first four bytes, in network order.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EfiIpAddress
{
    public uint IPv4;
    public uint Rest1;
    public uint Rest2;
    public uint Rest3;
}

/// <summary>EFI_PXE_BASE_CODE_PROTOCOL.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiPxeBaseCodeProtocol
{
    public const uint EFI_PXE_BASE_CODE_TFTP_GET_FILE_SIZE = 1;
    public const uint EFI_PXE_BASE_CODE_TFTP_READ_FILE = 2;

    public ulong Revision;
    public void* Start;
    public void* Stop;
    public void* Dhcp;
    public void* Discover;

    /// <summary>Protocol, operation, buffer, overwrite, buffer size, block size, server, file name, multicast information, do without a buffer.</summary>
    public delegate* unmanaged<EfiPxeBaseCodeProtocol*, uint, void*, byte, ulong*, ulong*, EfiIpAddress*, byte*, void*, byte, ulong> Mtftp;
    public void* UdpWrite;
    public void* UdpRead;
    public void* SetIpFilter;
    public void* Arp;
    public void* SetParameters;
    public void* SetStationIp;
    public void* SetPackets;
    public EfiPxeBaseCodeMode* Mode;
}

/// <summary>EFI_PXE_BASE_CODE_MODE, as far as it is used.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiPxeBaseCodeMode
{
    public const int PacketBytes = 1472;

    public byte Started;
    public byte Ipv6Available;
    public byte Ipv6Supported;
    public byte UsingIpv6;
    public byte BisSupported;
    public byte BisDetected;
    public byte AutoArp;
    public byte SendGUID;
    public byte DhcpDiscoverValid;
    public byte DhcpAckReceived;
    public byte ProxyOfferReceived;
    public byte PxeDiscoverValid;
    public byte PxeReplyReceived;
    public byte PxeBisReplyReceived;
    public byte IcmpErrorReceived;
    public byte TftpErrorReceived;
    public byte MakeCallbacks;
    public byte TTL;
    public byte ToS;
    public EfiIpAddress StationIp;
    public EfiIpAddress SubnetMask;
    public fixed byte DhcpDiscover[PacketBytes];
    public fixed byte DhcpAck[PacketBytes];
    public fixed byte ProxyOffer[PacketBytes];
    public fixed byte PxeDiscover[PacketBytes];
    public fixed byte PxeReply[PacketBytes];
}
