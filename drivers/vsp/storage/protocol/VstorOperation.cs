// Numbers in storage packets. Sources: Linux, "drivers/scsi/storvsc_drv.c"; Windows Driver Kit, "srb.h" and "ntstatus.h" as documented.

namespace Lamina.Drivers.Vsp.Storage;

/// <summary>VSTOR_OPERATION_…</summary>
public static class VstorOperation
{
    public const uint CompleteIo = 1;
    public const uint RemoveDevice = 2;
    public const uint ExecuteSrb = 3;
    public const uint ResetLun = 4;
    public const uint ResetAdapter = 5;
    public const uint ResetBus = 6;
    public const uint BeginInitialization = 7;
    public const uint EndInitialization = 8;
    public const uint QueryProtocolVersion = 9;
    public const uint QueryProperties = 10;
    public const uint EnumerateBus = 11;
    public const uint FchbaData = 12;
    public const uint CreateSubChannels = 13;
}

/// <summary>SRB_STATUS_…</summary>
public static class SrbStatus
{
    public const byte Success = 0x01;
    public const byte Error = 0x04;
    public const byte InvalidRequest = 0x06;
    public const byte InvalidPathId = 0x07;
    public const byte InvalidLun = 0x20;
    /// <summary>Goes with another: the sense data is there.</summary>
    public const byte AutosenseValid = 0x80;
}

/// <summary>The status of a packet as a whole. Linux prints it; what counts for a command is in its SRB.</summary>
public static class NtStatus
{
    public const uint Success = 0;
    public const uint InvalidParameter = 0xC000000D;
    public const uint InvalidDeviceRequest = 0xC0000010;
    public const uint RevisionMismatch = 0xC0000059;
    public const uint InsufficientResources = 0xC000009A;
    public const uint DeviceDoesNotExist = 0xC00000C0;
    public const uint InvalidDeviceState = 0xC0000184;
    public const uint IoDeviceError = 0xC0000185;
}
