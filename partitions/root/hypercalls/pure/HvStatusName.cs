// Names of hypercall status values, as the manual prints them, for the lines that report failures.
using System;
using Lamina.Abi;
using Lamina.Text;

namespace Lamina.Root.Hypercalls;

public static class HvStatusName
{
    /// <summary>The manual's name; empty for a value that <see cref="HvStatus"/> does not list.</summary>
    public static ReadOnlySpan<byte> Of(HvStatus status) => status.Value switch
    {
        0x0000 => "HV_STATUS_SUCCESS"u8,
        0x0002 => "HV_STATUS_INVALID_HYPERCALL_CODE"u8,
        0x0003 => "HV_STATUS_INVALID_HYPERCALL_INPUT"u8,
        0x0004 => "HV_STATUS_INVALID_ALIGNMENT"u8,
        0x0005 => "HV_STATUS_INVALID_PARAMETER"u8,
        0x0006 => "HV_STATUS_ACCESS_DENIED"u8,
        0x0007 => "HV_STATUS_INVALID_PARTITION_STATE"u8,
        0x0008 => "HV_STATUS_OPERATION_DENIED"u8,
        0x0009 => "HV_STATUS_UNKNOWN_PROPERTY"u8,
        0x000A => "HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE"u8,
        0x000B => "HV_STATUS_INSUFFICIENT_MEMORY"u8,
        0x000C => "HV_STATUS_PARTITION_TOO_DEEP"u8,
        0x000D => "HV_STATUS_INVALID_PARTITION_ID"u8,
        0x000E => "HV_STATUS_INVALID_VP_INDEX"u8,
        0x0010 => "HV_STATUS_NOT_FOUND"u8,
        0x0011 => "HV_STATUS_INVALID_PORT_ID"u8,
        0x0012 => "HV_STATUS_INVALID_CONNECTION_ID"u8,
        0x0013 => "HV_STATUS_INSUFFICIENT_BUFFERS"u8,
        0x0014 => "HV_STATUS_NOT_ACKNOWLEDGED"u8,
        0x0015 => "HV_STATUS_INVALID_VP_STATE"u8,
        0x0016 => "HV_STATUS_ACKNOWLEDGED"u8,
        0x0017 => "HV_STATUS_INVALID_SAVE_RESTORE_STATE"u8,
        0x0018 => "HV_STATUS_INVALID_SYNIC_STATE"u8,
        0x0019 => "HV_STATUS_OBJECT_IN_USE"u8,
        0x001A => "HV_STATUS_INVALID_PROXIMITY_DOMAIN_INFO"u8,
        0x001B => "HV_STATUS_NO_DATA"u8,
        0x001C => "HV_STATUS_INACTIVE"u8,
        0x001D => "HV_STATUS_NO_RESOURCES"u8,
        0x001E => "HV_STATUS_FEATURE_UNAVAILABLE"u8,
        0x001F => "HV_STATUS_PARTIAL_PACKET"u8,
        0x0020 => "HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED"u8,
        0x0033 => "HV_STATUS_INSUFFICIENT_BUFFER"u8,
        0x0041 => "HV_STATUS_INVALID_LP_INDEX"u8,
        0x0050 => "HV_STATUS_INVALID_REGISTER_VALUE"u8,
        0x0051 => "HV_STATUS_INVALID_VTL_STATE"u8,
        0x0057 => "HV_STATUS_INVALID_DEVICE_ID"u8,
        0x0058 => "HV_STATUS_INVALID_DEVICE_STATE"u8,
        0x0071 => "HV_STATUS_OPERATION_FAILED"u8,
        0x0078 => "HV_STATUS_TIME_OUT"u8,
        0x0079 => "HV_STATUS_CALL_PENDING"u8,
        0x0086 => "HV_STATUS_VTL_ALREADY_ENABLED"u8,
        0x0087 => "HV_STATUS_UNKNOWN_REGISTER_NAME"u8,
        _ => default,
    };

    /// <summary>The name, or "status 0x..." where there is none.</summary>
    public static ref TextWriter Status(this ref TextWriter writer, HvStatus status)
    {
        ReadOnlySpan<byte> name = Of(status);
        if (name.Length != 0) return ref writer.Text(name);
        return ref writer.Text("status "u8).Hex(status.Value);
    }
}
