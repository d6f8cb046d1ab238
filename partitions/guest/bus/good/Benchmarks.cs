// Requests a second at depth 1 and 32, and the signals that they take. Prints "BENCH name value unit", one line each.
using System;
using Lamina.Text;

namespace Lamina.Guest.Bus.Good;

public static unsafe class Benchmarks
{
    private const uint Requests = 4096, Length = 4096, FirstBlock = 256, Blocks = 4096;

    public static void Run()
    {
        Check.Run("bench.read-depth-1"u8, &ReadDepth1);
        Check.Run("bench.read-depth-32"u8, &ReadDepth32);
        Check.Run("bench.write-depth-32"u8, &WriteDepth32);
    }

    private static void ReadDepth1() => Measure("read-depth-1"u8, false, 1);
    private static void ReadDepth32() => Measure("read-depth-32"u8, false, 32);
    private static void WriteDepth32() => Measure("write-depth-32"u8, true, 32);

    // So many requests are always under way: whatever has been completed is sent anew, in batches as they come.
    private static void Measure(ReadOnlySpan<byte> name, bool isWrite, uint depth)
    {
        if (!StorageClient.TryStart(out StorageClient client, 32)) return;
        DiskBuffer* data = StorageTests.Take(depth, Length, 0);
        for (uint i = 0; i < depth; i++) data[i].Fill(i);
        uint sent = 0, block = FirstBlock, ours = client.Channel.Signals, theirs = GuestBus.SignalsOf(client.Channel.RelId);
        Patience patience = Patience.Usual;
        ulong start = Clock.Reference;
        while (true)
        {
            for (uint i = 0; i < depth && sent < Requests; i++)
            {
                if (client.Places[i].IsPending) continue;
                if (!client.TryBegin(i) || client.SendTransfer(i, 0, isWrite, block, data[i]) != 0) return;
                block = FirstBlock + (block - FirstBlock + 8) % Blocks;
                sent++;
            }
            client.Channel.Commit();
            GuestBus.Poll();
            if (client.Take()) continue;
            if (client.Pending == 0) break;
            if (!patience.Wait() || !Check.That(client.StrayAnswers == 0, "a completion that nobody waits for"u8)) break;
        }
        ulong microseconds = (Clock.Reference - start) / 10;
        if (!Check.Equal("requests under way at the end"u8, client.Pending, 0)) return;
        Print(name, "time"u8, microseconds, "us"u8);
        Print(name, "requests"u8, Requests * 1_000_000ul / Math.Max(microseconds, 1), "1/s"u8);
        Print(name, "guest-signals"u8, client.Channel.Signals - ours, ""u8);
        // As often as this guest saw the flag: what was signalled twice before it looked counts once.
        Print(name, "host-signals"u8, GuestBus.SignalsOf(client.Channel.RelId) - theirs, ""u8);
        GuestBus.Leave();
    }

    private static void Print(ReadOnlySpan<byte> name, ReadOnlySpan<byte> what, ulong value, ReadOnlySpan<byte> unit)
    {
        byte* buffer = stackalloc byte[96];
        var line = new TextWriter(buffer, 96);
        line.Text("BENCH "u8).Text(name).Char((byte)'.').Text(what).Char((byte)' ').Decimal(value);
        if (unit.Length != 0) line.Char((byte)' ').Text(unit);
        Serial.Line(line.Written);
    }
}
