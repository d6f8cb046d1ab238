// The last words of a panic, in low memory that a warm reset leaves alone unless firmware or the root has used the page meanwhile.
using System;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Diagnostics;

/// <summary>At a fixed physical address: 8 bytes of magic, 2 of length, text. The next start prints it, once.</summary>
public static unsafe class Epitaph
{
    private const ulong Address = 0x6000;
    private const ulong Magic = 0x4850_4154_4950_4521; // "!EPITAPH"
    private const int MaximumText = 1000;

    private static bool available;

    /// <summary>Reads what an earlier life left; call once the window is in force.</summary>
    public static void Recover()
    {
        available = PhysicalMemoryRanges.Contains(Address, 0x1000);
        if (!available || *Place<ulong>(0) != Magic)
            return;
        int length = Math.Min(*Place<ushort>(8), (ushort)MaximumText);
        *Place<ulong>(0) = 0;
        DebugConsole.Write("hypervisor: before the last reset: "u8);
        DebugConsole.Line(new ReadOnlySpan<byte>(Place<byte>(10), length));
    }

    public static void Leave(ReadOnlySpan<byte> text)
    {
        if (!available)
            return;
        int length = Math.Min(text.Length, MaximumText);
        for (int i = 0; i < length; i++) Place<byte>(10)[i] = text[i];
        *Place<ushort>(8) = (ushort)length;
        *Place<ulong>(0) = Magic;
    }

    private static T* Place<T>(ulong offset) where T : unmanaged => (T*)PhysicalMap.ToPointer(Address + offset);
}
