// The bus guest's order of events: which of its tests run, the last word of its command line says.
using System;
using System.Runtime;
using Lamina.Guest.Bus.Bad;
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
        if (word.SequenceEqual("good"u8)) RunGood();
        else if (word.SequenceEqual("bad"u8)) RunBad();
        else if (word.SequenceEqual("inflight"u8)) InFlight.Run();
        else if (word.SequenceEqual("noise"u8)) Noise.Run();
        else if (word.SequenceEqual("bench"u8)) Benchmarks.Run();
        else if (word.SequenceEqual("cost"u8)) Costs.Run();
        else if (word.SequenceEqual("load"u8)) Endings.RunForever();
        else if (word.Length != 0) Endings.Run(word);
        else
        {
            RunGood();
            RunBad();
        }
        Check.Summary("bus"u8);
        Machine.Leave(Check.Failures == 0 ? 0u : 1u);
    }

    private static void RunGood()
    {
        ConnectionTests.Run();
        GpadlTests.Run();
        RingTests.Run();
        StorageTests.Run();
        IntegrationTests.Run();
    }

    private static void RunBad()
    {
        ChannelMistakes.Run();
        GpadlMistakes.Run();
        RingMistakes.Run();
        PacketMistakes.Run();
        RequestMistakes.Run();
        ServiceMistakes.Run();
        MessageMistakes.Run();
    }
}
