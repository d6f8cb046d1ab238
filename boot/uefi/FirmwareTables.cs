// What the firmware knows and the core wants to: the ACPI root pointer and the framebuffer.
using Lamina.Abi;
using Lamina.Boot.Efi;

namespace Lamina.Boot;

public static unsafe class FirmwareTables
{
    /// <summary>Physical address of the RSDP, of ACPI 2.0 when there is one; 0: none.</summary>
    public static ulong FindRsdp(EfiSystemTable* system)
    {
        EfiGuid acpi2 = EfiGuid.EFI_ACPI_TABLE;
        EfiGuid acpi1 = EfiGuid.ACPI_TABLE;
        ulong old = 0;
        for (ulong i = 0; i < system->NumberOfTableEntries; i++)
        {
            EfiConfigurationTable* table = &system->ConfigurationTable[i];
            if (EfiGuid.AreEqual(&table->VendorGuid, &acpi2))
            {
                return (ulong)table->VendorTable;
            }
            if (EfiGuid.AreEqual(&table->VendorGuid, &acpi1))
            {
                old = (ulong)table->VendorTable;
            }
        }
        return old;
    }

    /// <summary>The framebuffer in the mode that the firmware left; all zero when it has none of 32-bit RGBX or BGRX pixels.</summary>
    public static FramebufferInfo FindFramebuffer(EfiSystemTable* system)
    {
        EfiGuid guid = EfiGuid.EFI_GRAPHICS_OUTPUT_PROTOCOL;
        EfiGraphicsOutputProtocol* output = null;
        // The console's own output first: with several adapters that is the screen somebody looks at. Its splitter may be blt-only.
        if (system->ConsoleOutHandle != null
            && !EfiStatus.IsError(system->BootServices->HandleProtocol(system->ConsoleOutHandle, &guid, (void**)&output))
            && TryDescribe(output, out FramebufferInfo info))
        {
            return info;
        }
        return !EfiStatus.IsError(system->BootServices->LocateProtocol(&guid, null, (void**)&output)) && TryDescribe(output, out info) ? info : default;
    }

    private static bool TryDescribe(EfiGraphicsOutputProtocol* output, out FramebufferInfo info)
    {
        info = default;
        EfiGraphicsOutputProtocolMode* mode = output->Mode;
        if (mode == null || mode->Info == null || mode->FrameBufferBase == 0)
        {
            return false;
        }
        uint format = mode->Info->PixelFormat switch
        {
            EfiGraphicsOutputModeInformation.PixelRedGreenBlueReserved8BitPerColor => FramebufferFormat.Rgbx,
            EfiGraphicsOutputModeInformation.PixelBlueGreenRedReserved8BitPerColor => FramebufferFormat.Bgrx,
            _ => FramebufferFormat.None,
        };
        if (format == FramebufferFormat.None)
        {
            return false;
        }
        info.Base = mode->FrameBufferBase;
        info.Size = mode->FrameBufferSize;
        info.Width = mode->Info->HorizontalResolution;
        info.Height = mode->Info->VerticalResolution;
        info.PixelsPerScanLine = mode->Info->PixelsPerScanLine;
        info.Format = format;
        return true;
    }
}
