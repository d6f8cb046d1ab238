// EFI_GUID and the identifiers that the loader looks for, as the UEFI Specification 2.10 prints them.
using System.Runtime.InteropServices;

namespace Lamina.Boot.Efi;

[StructLayout(LayoutKind.Sequential)]
public readonly struct EfiGuid
{
    private readonly uint data1;
    private readonly ushort data2;
    private readonly ushort data3;
    private readonly byte b0, b1, b2, b3, b4, b5, b6, b7;

    private EfiGuid(uint data1, ushort data2, ushort data3, byte b0, byte b1, byte b2, byte b3, byte b4, byte b5, byte b6, byte b7)
    {
        this.data1 = data1;
        this.data2 = data2;
        this.data3 = data3;
        this.b0 = b0;
        this.b1 = b1;
        this.b2 = b2;
        this.b3 = b3;
        this.b4 = b4;
        this.b5 = b5;
        this.b6 = b6;
        this.b7 = b7;
    }

    public static unsafe bool AreEqual(EfiGuid* a, EfiGuid* b) => ((ulong*)a)[0] == ((ulong*)b)[0] && ((ulong*)a)[1] == ((ulong*)b)[1];

    public static EfiGuid EFI_LOADED_IMAGE_PROTOCOL => new(0x5B1B31A1, 0x9562, 0x11D2, 0x8E, 0x3F, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B);
    public static EfiGuid EFI_DEVICE_PATH_PROTOCOL => new(0x09576E91, 0x6D3F, 0x11D2, 0x8E, 0x39, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B);
    public static EfiGuid EFI_SIMPLE_FILE_SYSTEM_PROTOCOL => new(0x964E5B22, 0x6459, 0x11D2, 0x8E, 0x39, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B);
    public static EfiGuid EFI_FILE_INFO => new(0x09576E92, 0x6D3F, 0x11D2, 0x8E, 0x39, 0x00, 0xA0, 0xC9, 0x69, 0x72, 0x3B);
    public static EfiGuid EFI_GRAPHICS_OUTPUT_PROTOCOL => new(0x9042A9DE, 0x23DC, 0x4A38, 0x96, 0xFB, 0x7A, 0xDE, 0xD0, 0x80, 0x51, 0x6A);
    public static EfiGuid EFI_PXE_BASE_CODE_PROTOCOL => new(0x03C4E603, 0xAC28, 0x11D3, 0x9A, 0x2D, 0x00, 0x90, 0x27, 0x3F, 0xC1, 0x4D);
    public static EfiGuid EFI_ACPI_TABLE => new(0x8868E871, 0xE4F1, 0x11D3, 0xBC, 0x22, 0x00, 0x80, 0xC7, 0x3C, 0x88, 0x81);
    public static EfiGuid ACPI_TABLE => new(0xEB9D2D30, 0x2D88, 0x11D3, 0x9A, 0x16, 0x00, 0x90, 0x27, 0x3F, 0xC1, 0x4D);

    /// <summary>Marks a device that EDK II's console splitter writes to. Not in the specification: EDK II, "ConsoleOutDevice.h".</summary>
    public static EfiGuid ConsoleOutDevice => new(0xD3B36F2C, 0xD551, 0x11D4, 0x9A, 0x46, 0x00, 0x90, 0x27, 0x3F, 0xC1, 0x4D);
}
