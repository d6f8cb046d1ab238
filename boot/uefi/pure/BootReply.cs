// Reads the DHCP answer that named the boot file. RFC 2131, "The Client-Server Protocol"; RFC 2132, "DHCP Options and BOOTP Vendor Extensions".
using System;

namespace Lamina.Boot;

public static class BootReply
{
    private const int SiAddr = 20, File = 108, FileBytes = 128, Cookie = 236, Options = 240;
    private const uint MagicCookie = 0x63538263; // 99, 130, 83, 99
    private const byte Pad = 0, OptionOverload = 52, ServerIdentifier = 54, BootFileName = 67, End = 255;
    private const byte FileHoldsOptions = 1;

    /// <summary>
    /// The server's address, in network byte order as it stands in memory, and the boot file's name: from option 67, else from the
    /// field of BOOTP. The server is "siaddr", else who answered. False: one of them is missing.
    /// </summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, out uint server, out ReadOnlySpan<byte> bootFile)
    {
        server = 0;
        bootFile = default;
        if (packet.Length < Options || UInt32At(packet, Cookie) != MagicCookie)
        {
            return false;
        }
        ReadOnlySpan<byte> options = packet.Slice(Options);
        ReadOnlySpan<byte> overload = Find(options, OptionOverload);
        ReadOnlySpan<byte> field = packet.Slice(File, FileBytes);
        bootFile = Find(options, BootFileName);
        if (bootFile.Length == 0 && (overload.Length != 1 || (overload[0] & FileHoldsOptions) == 0))
        {
            bootFile = field;
        }
        bootFile = UpToZero(bootFile);
        server = UInt32At(packet, SiAddr);
        ReadOnlySpan<byte> identifier = Find(options, ServerIdentifier);
        if (server == 0 && identifier.Length == 4)
        {
            server = UInt32At(identifier, 0);
        }
        return server != 0 && bootFile.Length != 0;
    }

    /// <summary>The value of the first option of a code; empty: there is none, or it reaches beyond the packet.</summary>
    private static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> options, byte code)
    {
        int position = 0;
        while (position < options.Length && options[position] != End)
        {
            if (options[position] == Pad)
            {
                position++;
                continue;
            }
            if (position + 2 > options.Length || options[position + 1] > options.Length - position - 2)
            {
                return default;
            }
            if (options[position] == code)
            {
                return options.Slice(position + 2, options[position + 1]);
            }
            position += 2 + options[position + 1];
        }
        return default;
    }

    private static ReadOnlySpan<byte> UpToZero(ReadOnlySpan<byte> text)
    {
        int length = 0;
        while (length < text.Length && text[length] != 0)
        {
            length++;
        }
        return text.Slice(0, length);
    }

    private static uint UInt32At(ReadOnlySpan<byte> bytes, int offset) =>
        (uint)(bytes[offset] | bytes[offset + 1] << 8 | bytes[offset + 2] << 16 | bytes[offset + 3] << 24);
}
