// Pages behind the image that nobody uses; what was taken stays taken.
using System;

namespace Lamina.Guest;

public static unsafe class SpareMemory
{
    private const ulong Start = 8 << 20;
    private static ulong next;

    /// <summary>Zeroed pages in a row; guest-physical = virtual. A guest without enough of them ends.</summary>
    public static byte* Take(uint pages)
    {
        if (next == 0) next = Start;
        ulong at = next;
        if (at + pages * 4096ul > BootInformation.MemoryEnd)
        {
            Serial.Line("FAIL memory the guest has too little"u8);
            Machine.Leave(3);
        }
        next += pages * 4096ul;
        new Span<byte>((void*)at, (int)pages * 4096).Clear();
        return (byte*)at;
    }
}
