// The hypercall input value: what is called, and how. TLFS, "Hypercall Inputs".

using System.Runtime.CompilerServices;

namespace Lamina.Abi;

/// <summary>The hypercall input value (RCX of a 64-bit caller).</summary>
public readonly struct HypercallInput(ulong value)
{
    /// <summary>Bits that must be zero: 30:27, 47:44, 63:60. Bit 31 is "is nested".</summary>
    private const ulong ReservedBits = 0xF000_F000_7800_0000;

    /// <summary>The most reps one call can name: 12 bits.</summary>
    public const uint MaximumRepCount = 0xFFF;

    public readonly ulong Value = value;

    /// <summary>Bits 15:0, a constant of <see cref="HypercallCode"/>.</summary>
    public ushort CallCode => (ushort)Value;

    /// <summary>Bit 16: parameters are in registers.</summary>
    public bool IsFast => BitField.IsSet(Value, 16);

    /// <summary>Bits 26:17: size of the variable header, in units of 8 bytes.</summary>
    public uint VariableHeaderSize => (uint)BitField.Extract(Value, 26, 17);

    /// <summary>Bit 31: to be handled by the hypervisor below the one that the caller runs on.</summary>
    public bool IsNested => BitField.IsSet(Value, 31);

    /// <summary>Bits 43:32: total number of reps; zero for a simple call.</summary>
    public uint RepCount => (uint)BitField.Extract(Value, 43, 32);

    /// <summary>Bits 59:48: the rep to begin with.</summary>
    public uint RepStartIndex => (uint)BitField.Extract(Value, 59, 48);

    /// <summary>Whether a bit is set that must be zero: HV_STATUS_INVALID_HYPERCALL_INPUT.</summary>
    public bool HasReservedBits => (Value & ReservedBits) != 0;

    /// <summary>The same call, to be continued at <paramref name="index"/>.</summary>
    public HypercallInput WithRepStartIndex(uint index) => new(BitField.Insert(Value, 59, 48, index));

    /// <summary>The same call, made in registers or in memory.</summary>
    public HypercallInput WithFast(bool fast) => new(BitField.WithBit(Value, 16, fast));

    /// <summary>The same call with a variable header of <paramref name="qwords"/> times 8 bytes.</summary>
    public HypercallInput WithVariableHeaderSize(uint qwords) => new(BitField.Insert(Value, 26, 17, qwords));

    /// <summary>A simple call.</summary>
    public static HypercallInput Simple(ushort callCode) => new(callCode);

    /// <summary>A rep call over <paramref name="repCount"/> elements (at most <see cref="MaximumRepCount"/>).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static HypercallInput Rep(ushort callCode, uint repCount) => new(BitField.Insert(callCode, 43, 32, repCount));
}
