// Files of the TFTP server that the loader was itself started from, by the firmware's PXE protocol.
using System;
using Lamina.Boot.Efi;
using Lamina.Text;

namespace Lamina.Boot;

/// <summary>UEFI Specification 2.10, "PXE Base Code Protocol". A file comes whole or not at all.</summary>
public unsafe struct NetworkFiles : IFileSource
{
    private const int PathCapacity = 512;
    private const ulong BlockBytes = 1408; // fits an Ethernet frame with IPv4, UDP and TFTP headers, and tunnels

    private EfiPxeBaseCodeProtocol* network;
    private EfiIpAddress server;
    private PathBuffer path;
    private PathBuffer bootFile;
    private int bootFileLength;

    private struct PathBuffer
    {
        public fixed byte Bytes[PathCapacity];
    }

    /// <summary>Looks where the loader came from. False, with the reason said unless the device is none of the network's: it cannot be asked for files.</summary>
    public static bool TryOpenServer(EfiBootServices* services, void* device, out NetworkFiles files, out bool isNetwork)
    {
        files = default;
        EfiGuid guid = EfiGuid.EFI_PXE_BASE_CODE_PROTOCOL;
        EfiPxeBaseCodeProtocol* protocol = null;
        isNetwork = !EfiStatus.IsError(services->HandleProtocol(device, &guid, (void**)&protocol)) && protocol->Mode != null;
        if (!isNetwork)
        {
            return false;
        }
        EfiPxeBaseCodeMode* mode = protocol->Mode;
        if (mode->Started == 0 || mode->UsingIpv6 != 0)
        {
            BootConsole.WriteLine("boot: started from the network, but not by PXE over IPv4: no files can be fetched, going on without modules"u8);
            return false;
        }
        // The last answer is the one that named the boot file. EDK II goes by the same order.
        byte* packet = mode->PxeReplyReceived != 0 ? mode->PxeReply : mode->ProxyOfferReceived != 0 ? mode->ProxyOffer : mode->DhcpAck;
        if (!BootReply.TryRead(new ReadOnlySpan<byte>(packet, EfiPxeBaseCodeMode.PacketBytes), out uint address, out ReadOnlySpan<byte> name)
            || name.Length > PathCapacity)
        {
            BootConsole.WriteLine("boot: the answer of the boot server names no server or no file: going on without modules"u8);
            return false;
        }
        files.network = protocol;
        files.server.IPv4 = address;
        files.bootFileLength = name.Length;
        fixed (byte* copy = files.bootFile.Bytes)
        {
            name.CopyTo(new Span<byte>(copy, PathCapacity));
        }
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: files come by TFTP from "u8).Decimal(address & 0xFF).Text("."u8).Decimal(address >> 8 & 0xFF).Text("."u8)
            .Decimal(address >> 16 & 0xFF).Text("."u8).Decimal(address >> 24).Text(", beside "u8).Printable(name);
        BootConsole.WriteLine(ref line);
        return true;
    }

    // Nothing more is known: the firmware has one error for all of it.
    public static ReadOnlySpan<byte> WhyNot => ": the TFTP server does not have it, does not tell its size (option tsize), or does not answer; left out"u8;

    public readonly ulong LargestRead => ulong.MaxValue;

    public bool TryOpen(ReadOnlySpan<byte> name, out ulong length)
    {
        ulong size = 0, block = BlockBytes;
        fixed (byte* text = path.Bytes)
        fixed (byte* boot = bootFile.Bytes)
        fixed (EfiIpAddress* address = &server)
        {
            bool found = TftpPath.TryConvert(new ReadOnlySpan<byte>(boot, bootFileLength), name, new Span<byte>(text, PathCapacity))
                && !EfiStatus.IsError(network->Mtftp(network, EfiPxeBaseCodeProtocol.EFI_PXE_BASE_CODE_TFTP_GET_FILE_SIZE, null, 0, &size, &block, address, text, null, 0));
            length = found ? size : 0;
            return found;
        }
    }

    public bool TryRead(void* destination, ulong bytes)
    {
        ulong size = bytes, block = BlockBytes;
        fixed (byte* text = path.Bytes)
        fixed (EfiIpAddress* address = &server)
        {
            return !EfiStatus.IsError(network->Mtftp(network, EfiPxeBaseCodeProtocol.EFI_PXE_BASE_CODE_TFTP_READ_FILE, destination, 0, &size, &block, address, text, null, 0))
                && size == bytes;
        }
    }

    public readonly void Close()
    {
    }
}
