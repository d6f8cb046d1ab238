// The length of an instruction, for processors that do not tell it on an intercept.
using System;
using System.Runtime.CompilerServices;

namespace Lamina.X64.Decode;

/// <summary>Instruction length from bytes; complete for legacy and REX encodings.</summary>
public static class InstructionLength
{
    /// <summary>
    /// False when the bytes end before the instruction does, when it would be longer than 15 bytes, and for encodings
    /// that <see cref="InstructionParts"/> does not know. Never reads beyond the span or the fifteenth byte.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static bool TryGet(ReadOnlySpan<byte> bytes, ProcessorMode mode, out int length)
    {
        bool parsed = InstructionParts.TryParse(bytes, mode, out InstructionParts parts);
        length = parsed ? parts.Length : 0;
        return parsed;
    }
}
