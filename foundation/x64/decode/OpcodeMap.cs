// What follows each opcode byte: the one-byte and the 0F map as data.
// SDM 2D, "Opcode Map"; APM 3, "Opcode and Operand Encodings".
using System;

namespace Lamina.X64.Decode;

/// <summary>What follows an opcode.</summary>
internal enum OpcodeForm : byte
{
    Undefined = 0,
    Plain = 1,
    ModRM = 2,
    ModRMImmediate8 = 3,
    ModRMImmediateZ = 4,
    Immediate8 = 5,
    Immediate16 = 6,
    ImmediateZ = 7,
    ImmediateV = 8,
    NearBranch = 9,
    MemoryOffset = 10,
    FarPointer = 11,
    Enter = 12,
    Group3Byte = 13,
    Group3 = 14,
    RegisterOnly = 15, // ModRM whose mod field is ignored: control and debug registers
}

internal static class OpcodeMap
{
    /// <summary>Added to a form that long mode does not have.</summary>
    private const byte NotInLongMode = 0x80;

    public static OpcodeForm OneByte(byte opcode, bool longMode) => FormOf(OneByteForms[opcode], longMode);

    public static OpcodeForm TwoByte(byte opcode) => (OpcodeForm)TwoByteForms[opcode];

    private static OpcodeForm FormOf(byte form, bool longMode) =>
        (form & NotInLongMode) == 0 ? (OpcodeForm)form : longMode ? OpcodeForm.Undefined : (OpcodeForm)(form & 0x7F);

    // Prefixes, REX and escapes never get here.
    private static ReadOnlySpan<byte> OneByteForms =>
    [
        2, 2, 2, 2, 5, 7, 0x81, 0x81, 2, 2, 2, 2, 5, 7, 0x81, 0, // 00
        2, 2, 2, 2, 5, 7, 0x81, 0x81, 2, 2, 2, 2, 5, 7, 0x81, 0x81, // 10
        2, 2, 2, 2, 5, 7, 0, 0x81, 2, 2, 2, 2, 5, 7, 0, 0x81, // 20
        2, 2, 2, 2, 5, 7, 0, 0x81, 2, 2, 2, 2, 5, 7, 0, 0x81, // 30
        0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, // 40
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, // 50
        0x81, 0x81, 0x82, 2, 0, 0, 0, 0, 7, 4, 5, 3, 1, 1, 1, 1, // 60
        5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, // 70
        3, 4, 0x83, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // 80
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x8B, 1, 1, 1, 1, 1, // 90
        10, 10, 10, 10, 1, 1, 1, 1, 5, 7, 1, 1, 1, 1, 1, 1, // A0
        5, 5, 5, 5, 5, 5, 5, 5, 8, 8, 8, 8, 8, 8, 8, 8, // B0
        3, 3, 6, 1, 0x82, 0x82, 3, 4, 12, 1, 6, 1, 1, 5, 0x81, 1, // C0
        2, 2, 2, 2, 0x85, 0x85, 0x81, 1, 2, 2, 2, 2, 2, 2, 2, 2, // D0
        5, 5, 5, 5, 5, 5, 5, 5, 9, 9, 0x8B, 5, 1, 1, 1, 1, // E0
        0, 1, 0, 0, 1, 1, 13, 14, 1, 1, 1, 1, 1, 1, 2, 2, // F0
    ];

    private static ReadOnlySpan<byte> TwoByteForms =>
    [
        2, 2, 2, 2, 0, 1, 1, 1, 1, 1, 0, 1, 0, 2, 1, 3, // 00
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // 10
        15, 15, 15, 15, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, // 20
        1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, // 30
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // 40
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // 50
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // 60
        3, 3, 3, 3, 2, 2, 2, 1, 2, 2, 0, 0, 2, 2, 2, 2, // 70
        9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, // 80
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // 90
        1, 1, 1, 2, 3, 2, 2, 2, 1, 1, 1, 2, 3, 2, 2, 2, // A0
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 2, 2, 2, 2, // B0
        2, 2, 3, 2, 3, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, // C0
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // D0
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // E0
        2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, // F0
    ];
}
