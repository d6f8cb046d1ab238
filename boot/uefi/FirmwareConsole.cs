// The firmware's console as the loader's screen, and whether it reaches COM1 by itself.
using System;
using Lamina.Boot.Efi;

namespace Lamina.Boot;

/// <summary>Until boot services end. A firmware whose console writes to COM1 already is left to it: each line once on each.</summary>
public static unsafe class FirmwareConsole
{
    private static EfiSimpleTextOutputProtocol* output;
    private static bool writesToCom1;

    /// <summary>Must run first.</summary>
    public static void Initialize(EfiSystemTable* system)
    {
        output = system->ConOut;
        writesToCom1 = SerialPort.IsPresent() && WritesToCom1(system->BootServices);
        if (!writesToCom1)
        {
            BootConsole.UseSerialPort(configured: false);
        }
        if (output != null)
        {
            BootConsole.UseScreen(&WriteLine);
        }
    }

    /// <summary>Boot services are gone: only COM1 is left, and it is ours.</summary>
    public static void Leave()
    {
        BootConsole.UseScreen(null);
        if (writesToCom1)
        {
            BootConsole.UseSerialPort(configured: true);
        }
    }

    private static void WriteLine(ReadOnlySpan<byte> text)
    {
        ushort* wide = stackalloc ushort[BootConsole.LineCapacity + 3];
        int length = 0;
        for (; length < text.Length && length < BootConsole.LineCapacity; length++)
        {
            wide[length] = text[length] is >= 0x20 and < 0x7F ? text[length] : (ushort)'?';
        }
        wide[length] = '\r';
        wide[length + 1] = '\n';
        wide[length + 2] = 0;
        output->OutputString(output, wide);
    }

    /// <summary>Whether one of the devices that the firmware's console writes to is COM1; a firmware that does not tell answers no.</summary>
    private static bool WritesToCom1(EfiBootServices* services)
    {
        EfiGuid marker = EfiGuid.ConsoleOutDevice;
        EfiGuid devicePath = EfiGuid.EFI_DEVICE_PATH_PROTOCOL;
        ulong count = 0;
        void** handles = null;
        if (EfiStatus.IsError(services->LocateHandleBuffer(EfiBootServices.ByProtocol, &marker, null, &count, &handles)))
        {
            return false;
        }
        bool found = false;
        for (ulong i = 0; i < count && !found; i++)
        {
            void* path = null;
            found = !EfiStatus.IsError(services->HandleProtocol(handles[i], &devicePath, &path)) && path != null
                && DevicePathScan.IsCom1((byte*)path);
        }
        services->FreePool(handles);
        return found;
    }
}
