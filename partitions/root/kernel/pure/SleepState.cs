// Finds what has to be written to power the machine off: the \_S5 package in AML, without an interpreter.
// ACPI Specification, "\_Sx (System States)"; "AML Grammar": NameOp, NamePath, PackageOp, PkgLength, NumElements, integers.

namespace Lamina.Root.Kernel;

/// <summary>The values of SLP_TYPa and SLP_TYPb for one sleep state.</summary>
public readonly struct SleepState(byte typeA, byte typeB)
{
    public readonly byte TypeA = typeA;
    public readonly byte TypeB = typeB;

    private const byte NameOp = 0x08, PackageOp = 0x12, RootCharacter = (byte)'\\';
    private const byte ZeroOp = 0x00, OneOp = 0x01, BytePrefix = 0x0A;

    /// <summary>Looks through the body of a DSDT or SSDT for <c>Name (_S5, Package {a, b, …})</c>.</summary>
    public static unsafe bool TryFindS5(byte* aml, ulong length, out SleepState state)
    {
        for (ulong at = 1; at + 8 < length; at++)
        {
            if (aml[at] != '_' || aml[at + 1] != 'S' || aml[at + 2] != '5' || aml[at + 3] != '_') continue;
            bool named = aml[at - 1] == NameOp || (at > 1 && aml[at - 1] == RootCharacter && aml[at - 2] == NameOp);
            if (named && TryReadPackage(aml + at + 4, length - at - 4, out state)) return true;
        }
        state = default;
        return false;
    }

    private static unsafe bool TryReadPackage(byte* aml, ulong length, out SleepState state)
    {
        state = default;
        if (aml[0] != PackageOp) return false;
        ulong at = 2 + (ulong)(aml[1] >> 6); // the upper bits of the first length byte count the ones after it
        if (at >= length || aml[at] < 2) return false;
        at++;
        if (!TryReadInteger(aml, length, ref at, out byte a) || !TryReadInteger(aml, length, ref at, out byte b)) return false;
        state = new SleepState(a, b);
        return true;
    }

    private static unsafe bool TryReadInteger(byte* aml, ulong length, ref ulong at, out byte value)
    {
        value = 0;
        if (at >= length) return false;
        byte opcode = aml[at++];
        if (opcode is ZeroOp or OneOp)
        {
            value = opcode;
            return true;
        }
        if (opcode != BytePrefix || at >= length) return false;
        value = aml[at++];
        return true;
    }
}
