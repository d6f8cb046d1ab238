// Puts GRUB onto a disk so that a BIOS starts it: boot.img in the first sector, core.img in a BIOS boot partition.
using System;
using System.Buffers.Binary;
using System.IO;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>What grub-install does on a mounted disk, on an image file. GRUB manual, "BIOS installation"; boot.S and diskboot.S say which numbers stand where.</summary>
public static class GrubDisk
{
    private const string Folder = "/usr/lib/grub/i386-pc";
    private const int Sector = 512;
    /// <summary>The first sector's code ends where the disk signature begins, before the partition table.</summary>
    private const int CodeBytes = 440;
    /// <summary>boot.img: sector of core.img.</summary>
    private const int KernelSector = 0x5C;
    /// <summary>boot.img: a jump over what mends a drive number that some BIOSes pass wrongly for a hard disk; two NOPs enable it.</summary>
    private const int DriveCheck = 0x66;
    private const ushort TwoNops = 0x9090;
    /// <summary>core.img's first sector ends with a list of the blocks that follow it: first sector (8 bytes), count (2), segment (2).</summary>
    private const int FirstBlock = 0x1F4;
    private const ushort LoadSegment = 0x820;

    private static readonly string[] Modules = ["biosdisk", "part_gpt", "fat", "normal", "multiboot2", "serial", "terminal", "vbe", "vga"];

    /// <param name="partition">First sector of the BIOS boot partition.</param>
    /// <param name="room">Its sectors.</param>
    /// <param name="volume">Number of the partition with /boot/grub.</param>
    public static async Task InstallAsync(string image, long partition, long room, int volume)
    {
        string file = Path.GetTempFileName();
        try
        {
            await ChildProcess.RequireAsync("grub-mkimage", ["-O", "i386-pc", "-p", $"(,gpt{volume})/boot/grub", "-o", file, .. Modules]);
            byte[] core = await File.ReadAllBytesAsync(file), boot = await File.ReadAllBytesAsync(Path.Combine(Folder, "boot.img"));
            Link(boot, core, partition);
            if (core.Length > room * Sector)
                throw new Failure($"GRUB's core image takes {core.Length} bytes, its partition has {room * Sector}");
            using FileStream disk = File.OpenWrite(image);
            disk.Write(boot.AsSpan(0, CodeBytes));
            disk.Position = partition * Sector;
            disk.Write(core);
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Tells boot.img where core.img is, and core.img's first sector where the rest of it is.</summary>
    public static void Link(byte[] boot, byte[] core, long partition)
    {
        if (boot.Length < Sector || core.Length < 2 * Sector)
            throw new Failure("GRUB's images are shorter than they can be");
        BinaryPrimitives.WriteUInt64LittleEndian(boot.AsSpan(KernelSector), (ulong)partition);
        BinaryPrimitives.WriteUInt16LittleEndian(boot.AsSpan(DriveCheck), TwoNops);
        BinaryPrimitives.WriteUInt64LittleEndian(core.AsSpan(FirstBlock), (ulong)partition + 1);
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(FirstBlock + 8), (ushort)((core.Length + Sector - 1) / Sector - 1));
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(FirstBlock + 10), LoadSegment);
    }
}
