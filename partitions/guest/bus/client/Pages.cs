// Memory for rings and buffers: pages from one heap, all given back at once between two tests.
using System;

namespace Lamina.Guest.Bus;

/// <summary>Guest-physical = virtual. What a test took is the next one's, so that a host that still writes there is found out.</summary>
public static unsafe class Pages
{
    public const uint Size = 4096;
    private const ulong Start = 8 << 20;

    private static ulong next;

    public static void Reset() => next = Start;

    /// <summary>Zeroed pages in a row. A guest without enough of them ends.</summary>
    public static byte* Take(uint count)
    {
        ulong at = next, bytes = (ulong)count * Size;
        if (at + bytes > BootInformation.MemoryEnd)
        {
            Serial.Line("FAIL memory the guest has too little"u8);
            Machine.Leave(3);
        }
        next += bytes;
        new Span<byte>((void*)at, (int)bytes).Clear();
        return (byte*)at;
    }

    /// <summary>Zeroed pages of which no two are neighbours; their numbers go to <paramref name="numbers"/>.</summary>
    public static void TakeScattered(ulong* numbers, uint count)
    {
        ulong first = NumberOf(Take(2 * count));
        for (uint i = 0; i < count; i++) numbers[i] = first + 2 * (count - 1 - i);
    }

    /// <summary>A table of <paramref name="count"/> 64-bit words.</summary>
    public static ulong* TakeWords(uint count) => (ulong*)Take((count * 8 + Size - 1) / Size);

    public static ulong NumberOf(void* address) => (ulong)address / Size;
    public static byte* At(ulong number) => (byte*)(number * Size);
}
