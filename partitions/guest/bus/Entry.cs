// The bus guest's order of events: which of its tests run, the last word of its command line says.
using System;
using System.Runtime;
using Lamina.Guest.Bus.Good;

namespace Lamina.Guest.Bus;

public static class Entry
{
    /// <summary>Called by start.asm with what the boot loader left in EAX and EBX.</summary>
    [RuntimeExport("guest_main")]
    private static void Main(uint magic, uint information)
    {
        Machine.Initialize(magic, information);
        ReadOnlySpan<byte> word = BootInformation.LastWord;
        ConnectionTests.Run();
        GpadlTests.Run();
        RingTests.Run();
        StorageTests.Run();
        IntegrationTests.Run();
        Check.Summary("bus"u8);
        Machine.Leave(Check.Failures == 0 ? 0u : 1u);
    }
}
