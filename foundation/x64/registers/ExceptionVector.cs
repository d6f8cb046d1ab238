// Exception vectors, and the page fault's error code. SDM 3A, "Interrupt and Exception Handling"; APM 2, "Vectors".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>Vectors of exceptions.</summary>
public static class ExceptionVector
{
    public const byte DE = 0;
    public const byte DB = 1;
    public const byte NMI = 2;
    public const byte BP = 3;
    public const byte OF = 4;
    public const byte BR = 5;
    public const byte UD = 6;
    public const byte NM = 7;
    public const byte DF = 8;
    public const byte TS = 10;
    public const byte NP = 11;
    public const byte SS = 12;
    public const byte GP = 13;
    public const byte PF = 14;
    public const byte MF = 16;
    public const byte AC = 17;
    public const byte MC = 18;
    public const byte XM = 19;

    /// <summary>Virtualization exception; Intel.</summary>
    public const byte VE = 20;
    public const byte CP = 21;

    /// <summary>Hypervisor injection exception; AMD.</summary>
    public const byte HV = 28;

    /// <summary>VMM communication exception; AMD.</summary>
    public const byte VC = 29;

    /// <summary>Security exception; AMD.</summary>
    public const byte SX = 30;

    /// <summary>Vectors that push an error code: DF, TS, NP, SS, GP, PF, AC, CP, VC, SX.</summary>
    private const uint WithErrorCode = 1u << DF | 1u << TS | 1u << NP | 1u << SS | 1u << GP | 1u << PF | 1u << AC | 1u << CP | 1u << VC | 1u << SX;

    /// <summary>Whether the exception pushes an error code in protected mode.</summary>
    public static bool HasErrorCode(byte vector) => vector < 32 && (WithErrorCode >> vector & 1) != 0;
}

/// <summary>Error code of a page fault.</summary>
public readonly struct PageFaultErrorCode(uint value)
{
    public readonly uint Value = value;

    /// <summary>Bit 0: a protection violation, else a page that is not present.</summary>
    public bool P => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: a write.</summary>
    public bool W => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: a user access.</summary>
    public bool U => BitField.IsSet(Value, 2);

    /// <summary>Bit 3: a reserved bit was set.</summary>
    public bool RSVD => BitField.IsSet(Value, 3);

    /// <summary>Bit 4: an instruction fetch.</summary>
    public bool I => BitField.IsSet(Value, 4);

    /// <summary>Bit 5: a protection key.</summary>
    public bool PK => BitField.IsSet(Value, 5);

    /// <summary>Bit 6: a shadow stack access.</summary>
    public bool SS => BitField.IsSet(Value, 6);
}
