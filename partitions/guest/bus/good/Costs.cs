// What a request to a device costs in ticks of the TSC: retired instructions where the emulator counts those. Lines as the cost
// guest's: "COST name least median".
using Lamina.Drivers.Vsp.Storage;
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.Text;
using Lamina.VMBus;
using Lamina.X64;

namespace Lamina.Guest.Bus.Good;

public static unsafe class Costs
{
    private const uint Rounds = 256, Length = 4096, FirstBlock = 256, Blocks = 4096, Deep = 32;
    private const ulong Settle = 2; // ms after which a host no longer watches a ring that had something in it

    public static void Run()
    {
        Check.Run("cost.signal"u8, &SignalAndBack);
        Check.Run("cost.read"u8, &Reads);
    }

    // A command that touches no disk: the signal, the VSP's answer, the interrupt. The guest sleeps in between, as an operating system would.
    private static void SignalAndBack()
    {
        if (!StorageClient.TryStart(out StorageClient client, 32)) return;
        ulong* samples = Pages.TakeWords(Rounds);
        byte* cdb = stackalloc byte[6];
        for (int i = 0; i < 6; i++) cdb[i] = 0; // TEST UNIT READY
        uint before = client.Channel.Signals;
        for (uint round = 0; round < Rounds; round++)
        {
            Patience.Pass(Settle);
            if (!client.TryBegin(0) || client.Send(0, 0, new(cdb, 6), VmscsiRequest.UnknownType, default) != RingStatus.Ok) return;
            samples[round] = RunToEnd(ref client);
        }
        if (!Check.Equal("signals sent"u8, client.Channel.Signals - before, Rounds)) return;
        Print("signal-and-back"u8, samples);
        GuestBus.Leave();
    }

    private static void Reads()
    {
        if (!StorageClient.TryStart(out StorageClient client, 32)) return;
        DiskBuffer* data = StorageTests.Take(Deep, Length, 0);
        ulong* samples = Pages.TakeWords(Rounds);
        for (uint round = 0; round < Rounds; round++)
        {
            Patience.Pass(Settle);
            if (!client.TryBegin(0) || client.SendTransfer(0, 0, false, FirstBlock + round * 8 % Blocks, data[0]) != RingStatus.Ok) return;
            samples[round] = RunToEnd(ref client);
        }
        Print("read-4k"u8, samples);
        uint sent = client.Channel.Signals, received = GuestBus.SignalsOf(client.Channel.RelId);
        for (uint round = 0; round < Rounds; round++)
        {
            for (uint i = 0; i < Deep; i++)
                if (!client.TryBegin(i) || client.SendTransfer(i, 0, false, FirstBlock + (round * Deep + i) * 8 % Blocks, data[i]) != RingStatus.Ok) return;
            samples[round] = RunToEnd(ref client) / Deep;
        }
        Print("read-4k-of-32"u8, samples);
        PrintMean("signals-of-32"u8, client.Channel.Signals - sent);
        PrintMean("answers-of-32"u8, GuestBus.SignalsOf(client.Channel.RelId) - received);
        GuestBus.Leave();
    }

    /// <summary>Shows the host what is in the ring, and sleeps until all of it is completed. Ticks.</summary>
    private static ulong RunToEnd(ref StorageClient client)
    {
        ulong start = Instructions.RdTsc();
        client.Channel.Commit();
        while (true)
        {
            client.Take();
            if (client.Pending == 0) break;
            Instructions.StiHlt();
            Instructions.Cli();
            GuestBus.Poll();
        }
        return Instructions.RdTsc() - start;
    }

    /// <summary>Of so many in all rounds, a round's share, rounded up.</summary>
    private static void PrintMean(System.ReadOnlySpan<byte> name, uint total)
    {
        ulong mean = (total + Rounds - 1) / Rounds;
        PrintLine(name, mean, mean);
    }

    private static void Print(System.ReadOnlySpan<byte> name, ulong* samples)
    {
        for (uint i = 1; i < Rounds; i++)
        {
            ulong value = samples[i];
            uint place = i;
            for (; place > 0 && samples[place - 1] > value; place--) samples[place] = samples[place - 1];
            samples[place] = value;
        }
        PrintLine(name, samples[0], samples[Rounds / 2]);
    }

    private static void PrintLine(System.ReadOnlySpan<byte> name, ulong least, ulong median)
    {
        byte* buffer = stackalloc byte[96];
        var line = new TextWriter(buffer, 96);
        line.Text("COST "u8).Text(name).Char((byte)' ').Decimal(least).Char((byte)' ').Decimal(median);
        Serial.Line(line.Written);
    }
}
