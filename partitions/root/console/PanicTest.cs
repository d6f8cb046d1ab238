// The console's `panic`: stops the root in the ways it must be able to stop, so that a test can see each of them.
using System;

namespace Lamina.Root.Kernel;

public static unsafe class PanicTest
{
    private const byte Return = 0xC3;

    /// <summary>False if there is no such way; otherwise it does not return.</summary>
    public static bool TryRun(ReadOnlySpan<byte> kind)
    {
        if (kind.Length == 0) RootPanic.Stop("asked for on the console"u8);
        else if (kind.SequenceEqual("stack"u8)) Descend(0);
        else if (kind.SequenceEqual("null"u8)) *(ulong*)8 = 0;
        else if (kind.SequenceEqual("code"u8)) *(ulong*)RootImage.Layout->EntryStart = 0;
        else if (kind.SequenceEqual("data"u8)) RunData();
        else return false;
        return true;
    }

    /// <summary>Goes down until the guard page.</summary>
    private static int Descend(int depth)
    {
        byte* frame = stackalloc byte[2048];
        frame[depth & 0x7FF] = (byte)depth;
        return Descend(depth + 1) + frame[7];
    }

    private static void RunData()
    {
        byte* page = PhysicalMemory.RequirePages(1);
        *page = Return;
        ((delegate*<void>)page)();
    }
}
