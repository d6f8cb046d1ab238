// Unpacks the ELF kernel inside a Linux bzImage.
using System;
using System.Buffers.Binary;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Lamina.Tools.Guest;

/// <summary>Source: The Linux/x86 Boot Protocol, "payload_offset", "payload_length".</summary>
public static class KernelImage
{
    private const int SetupSectors = 0x1F1, HeaderMagic = 0x202, PayloadOffset = 0x248, PayloadLength = 0x24C;

    /// <summary>Writes the unpacked kernel (an ELF file with a PVH note) to <paramref name="target"/>.</summary>
    public static async Task UnpackAsync(string bzImage, string target)
    {
        byte[] image = File.ReadAllBytes(bzImage);
        if (image.Length < 0x260 || BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(HeaderMagic)) != 0x53726448)
            throw new Failure($"{bzImage} is no bzImage");
        int setup = image[SetupSectors] == 0 ? 4 : image[SetupSectors];
        int start = (setup + 1) * 512 + BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(PayloadOffset));
        int length = BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(PayloadLength)) - 4; // the last four bytes are the unpacked size
        byte[] payload = image.AsSpan(start, length).ToArray();
        string partial = target + ".partial";
        if (BinaryPrimitives.ReadUInt32LittleEndian(payload) == Lz4Legacy.Magic)
        {
            using FileStream file = File.Create(partial);
            Lz4Legacy.Unpack(payload, file);
        }
        else
            await UnpackWithAsync(Unpacker(payload[0], bzImage), payload, partial);
        File.Move(partial, target, overwrite: true);
    }

    private static string[] Unpacker(byte first, string bzImage) => first switch
    {
        0xFD => ["xz", "-dc", "--single-stream"],
        0x28 => ["zstd", "-dcq"],
        0x1F => ["gzip", "-dc"],
        _ => throw new Failure($"{bzImage}: payload of unknown compression (first byte 0x{first:X2})"),
    };

    private static async Task UnpackWithAsync(string[] command, byte[] payload, string target)
    {
        string packed = target + ".packed";
        await File.WriteAllBytesAsync(packed, payload);
        var start = new ProcessStartInfo(command[0], [.. command.Skip(1), packed]) { RedirectStandardOutput = true };
        using (Process process = Process.Start(start))
        {
            await using (FileStream file = File.Create(target))
                await process.StandardOutput.BaseStream.CopyToAsync(file);
            await process.WaitForExitAsync();
            if (process.ExitCode != 0)
                throw new Failure($"{command[0]} cannot unpack the kernel");
        }
        File.Delete(packed);
    }
}
