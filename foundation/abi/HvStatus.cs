// The status values that a hypercall returns. TLFS, "Hypercall Status Codes" (HV_STATUS).

#pragma warning disable CS0660, CS0661 // Equals(object) would box.

namespace Lamina.Abi;

/// <summary>HV_STATUS: 16 bits. Values that this list lacks survive.</summary>
public readonly struct HvStatus(ushort value)
{
    public readonly ushort Value = value;

    public bool IsSuccess => Value == 0;

    public static bool operator ==(HvStatus left, HvStatus right) => left.Value == right.Value;
    public static bool operator !=(HvStatus left, HvStatus right) => left.Value != right.Value;

    public static HvStatus HV_STATUS_SUCCESS => new(0x0000);
    public static HvStatus HV_STATUS_INVALID_HYPERCALL_CODE => new(0x0002);
    public static HvStatus HV_STATUS_INVALID_HYPERCALL_INPUT => new(0x0003);
    public static HvStatus HV_STATUS_INVALID_ALIGNMENT => new(0x0004);
    public static HvStatus HV_STATUS_INVALID_PARAMETER => new(0x0005);
    public static HvStatus HV_STATUS_ACCESS_DENIED => new(0x0006);
    public static HvStatus HV_STATUS_INVALID_PARTITION_STATE => new(0x0007);
    public static HvStatus HV_STATUS_OPERATION_DENIED => new(0x0008);
    public static HvStatus HV_STATUS_UNKNOWN_PROPERTY => new(0x0009);
    public static HvStatus HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE => new(0x000A);
    public static HvStatus HV_STATUS_INSUFFICIENT_MEMORY => new(0x000B);
    public static HvStatus HV_STATUS_PARTITION_TOO_DEEP => new(0x000C);
    public static HvStatus HV_STATUS_INVALID_PARTITION_ID => new(0x000D);
    public static HvStatus HV_STATUS_INVALID_VP_INDEX => new(0x000E);
    public static HvStatus HV_STATUS_NOT_FOUND => new(0x0010);
    public static HvStatus HV_STATUS_INVALID_PORT_ID => new(0x0011);
    public static HvStatus HV_STATUS_INVALID_CONNECTION_ID => new(0x0012);
    public static HvStatus HV_STATUS_INSUFFICIENT_BUFFERS => new(0x0013);
    public static HvStatus HV_STATUS_NOT_ACKNOWLEDGED => new(0x0014);
    public static HvStatus HV_STATUS_INVALID_VP_STATE => new(0x0015);
    public static HvStatus HV_STATUS_ACKNOWLEDGED => new(0x0016);
    public static HvStatus HV_STATUS_INVALID_SAVE_RESTORE_STATE => new(0x0017);
    public static HvStatus HV_STATUS_INVALID_SYNIC_STATE => new(0x0018);
    public static HvStatus HV_STATUS_OBJECT_IN_USE => new(0x0019);
    public static HvStatus HV_STATUS_INVALID_PROXIMITY_DOMAIN_INFO => new(0x001A);
    public static HvStatus HV_STATUS_NO_DATA => new(0x001B);
    public static HvStatus HV_STATUS_INACTIVE => new(0x001C);
    public static HvStatus HV_STATUS_NO_RESOURCES => new(0x001D);
    public static HvStatus HV_STATUS_FEATURE_UNAVAILABLE => new(0x001E);
    public static HvStatus HV_STATUS_PARTIAL_PACKET => new(0x001F);
    public static HvStatus HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED => new(0x0020);
    public static HvStatus HV_STATUS_INSUFFICIENT_BUFFER => new(0x0033);
    public static HvStatus HV_STATUS_INVALID_LP_INDEX => new(0x0041);
    public static HvStatus HV_STATUS_INVALID_REGISTER_VALUE => new(0x0050);
    public static HvStatus HV_STATUS_INVALID_VTL_STATE => new(0x0051);
    public static HvStatus HV_STATUS_INVALID_DEVICE_ID => new(0x0057);
    public static HvStatus HV_STATUS_INVALID_DEVICE_STATE => new(0x0058);
    public static HvStatus HV_STATUS_OPERATION_FAILED => new(0x0071);
    public static HvStatus HV_STATUS_TIME_OUT => new(0x0078);
    public static HvStatus HV_STATUS_CALL_PENDING => new(0x0079);
    public static HvStatus HV_STATUS_VTL_ALREADY_ENABLED => new(0x0086);
    public static HvStatus HV_STATUS_UNKNOWN_REGISTER_NAME => new(0x0087);
}
