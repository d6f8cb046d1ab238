// The hypercall result value: how a call ended. TLFS, "Hypercall Outputs".

namespace Lamina.Abi;

/// <summary>The hypercall result value (RAX of a 64-bit caller).</summary>
public readonly struct HypercallResult(ulong value)
{
    public readonly ulong Value = value;

    public HypercallResult(HvStatus status) : this(status.Value) { }

    public HypercallResult(HvStatus status, uint repsCompleted) : this(BitField.Insert(status.Value, 43, 32, repsCompleted)) { }

    /// <summary>Bits 15:0.</summary>
    public HvStatus Status => new((ushort)Value);

    /// <summary>Bits 43:32: reps done, those before the start index included; 0 for a simple call.</summary>
    public uint RepsCompleted => (uint)BitField.Extract(Value, 43, 32);
}
