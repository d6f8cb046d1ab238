// The system table and the boot services, field for field. UEFI Specification 2.10, "EFI System Table" and "Services — Boot Services".
using System.Runtime.InteropServices;

namespace Lamina.Boot.Efi;

/// <summary>EFI_STATUS: the top bit marks an error.</summary>
public static class EfiStatus
{
    private const ulong Error = 1UL << 63;

    public const ulong EFI_SUCCESS = 0;
    public const ulong EFI_LOAD_ERROR = Error | 1;
    public const ulong EFI_INVALID_PARAMETER = Error | 2;
    public const ulong EFI_BUFFER_TOO_SMALL = Error | 5;
    public const ulong EFI_OUT_OF_RESOURCES = Error | 9;
    public const ulong EFI_NOT_FOUND = Error | 14;
    public const ulong EFI_ABORTED = Error | 21;

    public static bool IsError(ulong status) => (status & Error) != 0;
}

[StructLayout(LayoutKind.Sequential)]
public struct EfiTableHeader
{
    public ulong Signature;
    public uint Revision;
    public uint HeaderSize;
    public uint CRC32;
    public uint Reserved;
}

[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiSystemTable
{
    public EfiTableHeader Hdr;
    public ushort* FirmwareVendor;
    public uint FirmwareRevision;
    public void* ConsoleInHandle;
    public EfiSimpleTextInputProtocol* ConIn;
    public void* ConsoleOutHandle;
    public EfiSimpleTextOutputProtocol* ConOut;
    public void* StandardErrorHandle;
    public EfiSimpleTextOutputProtocol* StdErr;
    public void* RuntimeServices;
    public EfiBootServices* BootServices;
    public ulong NumberOfTableEntries;
    public EfiConfigurationTable* ConfigurationTable;
}

[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiConfigurationTable
{
    public EfiGuid VendorGuid;
    public void* VendorTable;
}

public enum EfiAllocateType : uint
{
    AllocateAnyPages,
    AllocateMaxAddress,
    AllocateAddress,
}

public enum EfiTimerDelay : uint
{
    TimerCancel,
    TimerPeriodic,
    TimerRelative,
}

/// <summary>The services in the table's order; those that the loader does not call are plain pointers.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct EfiBootServices
{
    public const uint EVT_TIMER = 0x80000000;
    public const uint ByProtocol = 2;

    public EfiTableHeader Hdr;
    public void* RaiseTPL;
    public void* RestoreTPL;
    public delegate* unmanaged<EfiAllocateType, uint, ulong, ulong*, ulong> AllocatePages;
    public delegate* unmanaged<ulong, ulong, ulong> FreePages;
    public delegate* unmanaged<ulong*, void*, ulong*, ulong*, uint*, ulong> GetMemoryMap;
    public void* AllocatePool;
    public delegate* unmanaged<void*, ulong> FreePool;
    public delegate* unmanaged<uint, ulong, void*, void*, void**, ulong> CreateEvent;
    public delegate* unmanaged<void*, EfiTimerDelay, ulong, ulong> SetTimer;
    public delegate* unmanaged<ulong, void**, ulong*, ulong> WaitForEvent;
    public void* SignalEvent;
    public delegate* unmanaged<void*, ulong> CloseEvent;
    public delegate* unmanaged<void*, ulong> CheckEvent;
    public void* InstallProtocolInterface;
    public void* ReinstallProtocolInterface;
    public void* UninstallProtocolInterface;
    public delegate* unmanaged<void*, EfiGuid*, void**, ulong> HandleProtocol;
    public void* Reserved;
    public void* RegisterProtocolNotify;
    public void* LocateHandle;
    public void* LocateDevicePath;
    public void* InstallConfigurationTable;
    public void* LoadImage;
    public void* StartImage;
    public void* Exit;
    public void* UnloadImage;
    public delegate* unmanaged<void*, ulong, ulong> ExitBootServices;
    public void* GetNextMonotonicCount;
    public void* Stall;
    public delegate* unmanaged<ulong, ulong, ulong, ushort*, ulong> SetWatchdogTimer;
    public void* ConnectController;
    public void* DisconnectController;
    public void* OpenProtocol;
    public void* CloseProtocol;
    public void* OpenProtocolInformation;
    public void* ProtocolsPerHandle;
    public delegate* unmanaged<uint, EfiGuid*, void*, ulong*, void***, ulong> LocateHandleBuffer;
    public delegate* unmanaged<EfiGuid*, void*, void**, ulong> LocateProtocol;
}
