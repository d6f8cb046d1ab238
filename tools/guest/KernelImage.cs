// Unpacks the ELF kernel inside a Linux bzImage.
using System;
using System.Buffers.Binary;
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
        ReadOnlySpan<byte> payload = image.AsSpan(start, length);
        (string program, string[] arguments) = payload[0] switch
        {
            0xFD => ("xz", new[] { "-dc", "--single-stream" }),
            0x28 => ("zstd", ["-dcq"]),
            0x1F => ("gzip", ["-dc"]),
            _ => throw new Failure($"{bzImage}: payload of unknown compression (first byte 0x{payload[0]:X2})"),
        };
        string packed = target + ".packed";
        File.WriteAllBytes(packed, payload);
        var start2 = new System.Diagnostics.ProcessStartInfo(program) { RedirectStandardOutput = true };
        foreach (string argument in arguments.Append(packed))
            start2.ArgumentList.Add(argument);
        using (var process = System.Diagnostics.Process.Start(start2))
        {
            await using (FileStream file = File.Create(target + ".partial"))
                await process.StandardOutput.BaseStream.CopyToAsync(file);
            await process.WaitForExitAsync();
            if (process.ExitCode != 0)
                throw new Failure($"{program} cannot unpack {bzImage}");
        }
        File.Delete(packed);
        File.Move(target + ".partial", target, overwrite: true);
    }
}
