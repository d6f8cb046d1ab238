// Operation codes, statuses and sense codes. Sources: SPC-4, SBC-3, SAM-5; names as printed there.

namespace Lamina.Drivers.Vsp.Storage.Scsi;

/// <summary>First byte of a CDB.</summary>
public static class OperationCode
{
    public const byte TestUnitReady = 0x00;
    public const byte RequestSense = 0x03;
    public const byte Read6 = 0x08;
    public const byte Write6 = 0x0A;
    public const byte Inquiry = 0x12;
    public const byte ModeSelect6 = 0x15;
    public const byte Reserve6 = 0x16;
    public const byte Release6 = 0x17;
    public const byte ModeSense6 = 0x1A;
    public const byte StartStopUnit = 0x1B;
    public const byte PreventAllowMediumRemoval = 0x1E;
    public const byte ReadCapacity10 = 0x25;
    public const byte Read10 = 0x28;
    public const byte Write10 = 0x2A;
    public const byte Verify10 = 0x2F;
    public const byte SynchronizeCache10 = 0x35;
    public const byte WriteSame10 = 0x41;
    public const byte Unmap = 0x42;
    public const byte ModeSelect10 = 0x55;
    public const byte Reserve10 = 0x56;
    public const byte Release10 = 0x57;
    public const byte ModeSense10 = 0x5A;
    public const byte PersistentReserveIn = 0x5E;
    public const byte PersistentReserveOut = 0x5F;
    public const byte Read16 = 0x88;
    public const byte Write16 = 0x8A;
    public const byte Verify16 = 0x8F;
    public const byte SynchronizeCache16 = 0x91;
    public const byte WriteSame16 = 0x93;
    public const byte ServiceActionIn16 = 0x9E;
    public const byte ReportLuns = 0xA0;
    public const byte Read12 = 0xA8;
    public const byte Write12 = 0xAA;
    public const byte Verify12 = 0xAF;

    /// <summary>Service action of SERVICE ACTION IN(16).</summary>
    public const byte ReadCapacity16Action = 0x10;
}

/// <summary>SAM-5, "Status codes".</summary>
public static class ScsiStatus
{
    public const byte Good = 0x00;
    public const byte CheckCondition = 0x02;
}

/// <summary>Sense key, additional sense code and qualifier, a byte each.</summary>
public enum SenseCode : uint
{
    NoSense = 0,
    UnrecoveredReadError = 0x03_11_00,
    WriteError = 0x03_0C_00,
    InternalTargetFailure = 0x04_44_00,
    ParameterListLengthError = 0x05_1A_00,
    InvalidCommandOperationCode = 0x05_20_00,
    LogicalBlockAddressOutOfRange = 0x05_21_00,
    InvalidFieldInCdb = 0x05_24_00,
    InvalidFieldInParameterList = 0x05_26_00,
    SavingParametersNotSupported = 0x05_39_00,
    CapacityDataHasChanged = 0x06_2A_09,
    WriteProtected = 0x07_27_00,
    SpaceAllocationFailedWriteProtect = 0x07_27_07,
    AbortedCommand = 0x0B_00_00,
}
