// Reads device paths as far as to tell whether one leads to COM1. UEFI Specification 2.10, "Device Path Nodes".
using System;

namespace Lamina.Boot;

public static class DevicePathScan
{
    private const uint Pnp0501 = 0x0501_41D0; // EISA identifier of a 16550-compatible port

    /// <summary>Whether a path ends in a UART node on the ACPI device PNP0501 with _UID 0. Reads at most 1 KiB.</summary>
    public static unsafe bool IsCom1(byte* path)
    {
        bool port = false;
        for (int offset = 0; offset + 4 <= 1024;)
        {
            byte* node = path + offset;
            int length = node[2] | node[3] << 8;
            if (node[0] == 0x7F || length < 4 || offset + length > 1024) // End of Hardware Device Path
            {
                return false;
            }
            if (node[0] == 2 && node[1] == 1 && length >= 12) // ACPI Device Path
            {
                port = UInt32At(node + 4) == Pnp0501 && UInt32At(node + 8) == 0;
            }
            else if (node[0] == 3 && node[1] == 14) // UART Device Path
            {
                return port;
            }
            offset += length;
        }
        return false;
    }

    private static unsafe uint UInt32At(byte* bytes) => (uint)(bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24);
}
