// Files of the volume that the loader was itself started from, by the firmware's file protocols.
using System;
using Lamina.Boot.Efi;

namespace Lamina.Boot;

/// <summary>UEFI Specification 2.10, "Simple File System Protocol" and "File Protocol".</summary>
public unsafe struct VolumeFiles : IFileSource
{
    private const int PathCapacity = 256;

    private EfiFileProtocol* volume;
    private EfiFileProtocol* file;

    /// <summary>Opens the volume on a device. False: the device has no file system that the firmware can read.</summary>
    public static bool TryOpenVolume(EfiBootServices* services, void* device, out VolumeFiles files)
    {
        files = default;
        EfiGuid guid = EfiGuid.EFI_SIMPLE_FILE_SYSTEM_PROTOCOL;
        EfiSimpleFileSystemProtocol* system = null;
        EfiFileProtocol* root = null;
        if (EfiStatus.IsError(services->HandleProtocol(device, &guid, (void**)&system)) || EfiStatus.IsError(system->OpenVolume(system, &root)))
        {
            return false;
        }
        files.volume = root;
        return true;
    }

    public static ReadOnlySpan<byte> WhyNot => ": not found where the loader came from, left out"u8;

    public readonly ulong LargestRead => 4 * 1024 * 1024;

    public bool TryOpen(ReadOnlySpan<byte> name, out ulong length)
    {
        length = 0;
        ushort* path = stackalloc ushort[PathCapacity];
        EfiFileProtocol* opened = null;
        if (!FirmwarePath.TryConvert(name, new Span<ushort>(path, PathCapacity))
            || EfiStatus.IsError(volume->Open(volume, &opened, path, EfiFileProtocol.EFI_FILE_MODE_READ, 0)))
        {
            return false;
        }
        EfiGuid guid = EfiGuid.EFI_FILE_INFO;
        const ulong Room = 1024; // EFI_FILE_INFO ends with the file's name
        byte* info = stackalloc byte[(int)Room];
        ulong size = Room;
        if (EfiStatus.IsError(opened->GetInfo(opened, &guid, &size, info)) || (((EfiFileInfo*)info)->Attribute & EfiFileInfo.EFI_FILE_DIRECTORY) != 0)
        {
            opened->Close(opened);
            return false;
        }
        length = ((EfiFileInfo*)info)->FileSize;
        file = opened;
        return true;
    }

    public bool TryRead(void* destination, ulong bytes)
    {
        ulong done = 0;
        while (done < bytes)
        {
            ulong step = bytes - done;
            if (EfiStatus.IsError(file->Read(file, &step, (byte*)destination + done)) || step == 0)
            {
                return false;
            }
            done += step;
        }
        return true;
    }

    public void Close()
    {
        file->Close(file);
        file = null;
    }
}
