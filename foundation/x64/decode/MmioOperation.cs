// What an instruction does with its memory operand.
namespace Lamina.X64.Decode;

/// <summary>Operations on device memory. The first eight are in the order of the opcode map's arithmetic group.</summary>
public enum MmioOperation : byte
{
    Add = 0,
    Or = 1,
    AddWithCarry = 2,
    SubtractWithBorrow = 3,
    And = 4,
    Subtract = 5,
    Xor = 6,
    Compare = 7,
    Test,
    Not,
    Negate,
    Increment,
    Decrement,
    Move,
    MoveZeroExtend,
    MoveSignExtend,
    Exchange,
    ExchangeAdd,
    CompareExchange,
    BitTest,
    BitTestSet,
    BitTestReset,
    BitTestComplement,
    StoreString,
    LoadString,
    MoveString,
}

/// <summary>The operand besides memory.</summary>
public enum MmioOperand : byte
{
    None,
    Register,
    Immediate,
}

/// <summary>What an operation makes of its operands; values are truncated to the operand size.</summary>
public struct MmioEffect
{
    public bool WritesMemory;
    public bool WritesRegister;
    public bool WritesAccumulator;
    public ulong Memory;

    /// <summary>For MOVZX and MOVSX extended to the register's size already.</summary>
    public ulong Register;
    public ulong Accumulator;
    public ulong Rflags;

    /// <summary>The destination, memory or the register, gets a value.</summary>
    internal void Set(bool inMemory, ulong value)
    {
        if (inMemory)
        {
            WritesMemory = true;
            Memory = value;
        }
        else
        {
            WritesRegister = true;
            Register = value;
        }
    }
}
