// The two CRCs of disk formats, reflected, four bits at a time: a small table, as checksums here cover metadata only.
using System;

namespace Lamina.Drivers.Storage.Images;

public static unsafe class Checksums
{
    // UEFI, "GPT Header": the CRC32 of ISO 3309 / ITU-T V.42.
    private static ReadOnlySpan<uint> Crc32Nibbles =>
    [
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    ];

    // MS-VHDX, "Overview": CRC-32C with the Castagnoli polynomial.
    private static ReadOnlySpan<uint> Crc32CNibbles =>
    [
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
        0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    ];

    /// <summary>CRC-32 of the bytes.</summary>
    public static uint Crc32(byte* data, uint length) => ~Add(Crc32Nibbles, uint.MaxValue, data, length);

    /// <summary>CRC-32 of the bytes with the four at <paramref name="zeroed"/> taken as zero, as formats define it that hold their own checksum.</summary>
    public static uint Crc32(byte* data, uint length, uint zeroed) => WithoutField(Crc32Nibbles, data, length, zeroed);

    /// <summary>CRC-32C of the bytes with the four at <paramref name="zeroed"/> taken as zero.</summary>
    public static uint Crc32C(byte* data, uint length, uint zeroed) => WithoutField(Crc32CNibbles, data, length, zeroed);

    /// <summary>The state of a CRC-32C over several pieces, after the first; its four bytes at <paramref name="zeroed"/> are taken as zero.</summary>
    public static uint BeginCrc32C(byte* data, uint length, uint zeroed) => ~WithoutField(Crc32CNibbles, data, length, zeroed);

    /// <summary>The state after a further piece.</summary>
    public static uint ContinueCrc32C(uint state, byte* data, uint length) => Add(Crc32CNibbles, state, data, length);

    /// <summary>The CRC-32C of the pieces so far.</summary>
    public static uint EndCrc32C(uint state) => ~state;

    private static uint WithoutField(ReadOnlySpan<uint> nibbles, byte* data, uint length, uint zeroed)
    {
        uint nothing = 0;
        uint crc = Add(nibbles, uint.MaxValue, data, zeroed);
        crc = Add(nibbles, crc, (byte*)&nothing, sizeof(uint));
        return ~Add(nibbles, crc, data + zeroed + sizeof(uint), length - zeroed - sizeof(uint));
    }

    private static uint Add(ReadOnlySpan<uint> nibbles, uint crc, byte* data, uint length)
    {
        for (uint i = 0; i < length; i++)
        {
            crc ^= data[i];
            crc = crc >> 4 ^ nibbles[(int)(crc & 15)];
            crc = crc >> 4 ^ nibbles[(int)(crc & 15)];
        }
        return crc;
    }
}
