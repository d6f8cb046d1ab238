// A VM that ends in the midst of requests, in each way there is, and is well the next time.
using System;
using Lamina.X64;

namespace Lamina.Guest.Bus.Bad;

/// <summary>A block on unit 0, which outlives the VM, tells its second round from the first.</summary>
public static unsafe class Endings
{
    private const uint MarkerBlock = 100;
    private const ulong Marker = 0x4C616D696E61;
    private const ushort ResetPort = 0xCF9, ControlBlock = 0x404;
    private const byte ResetValue = 6;
    private const ushort SoftOff = 1 << 13 | 5 << 10;

    private struct Storage
    {
        public bool IsSecondRound;
    }

    private static Storage storage;

    /// <summary>In the first round the guest ends as the word says: "reset", "off", "triple" or "exit". In the second this returns.</summary>
    public static void Run(ReadOnlySpan<byte> word)
    {
        Check.Run("end.marker"u8, &TurnMarker);
        if (storage.IsSecondRound)
        {
            Check.Run("end.second-round"u8, &Misuse.StillWorks);
            return;
        }
        Check.Run("end.first-round"u8, &Load);
        if (Check.Failures != 0) return;
        if (word.SequenceEqual("reset"u8)) Instructions.Out8(ResetPort, ResetValue);
        else if (word.SequenceEqual("off"u8)) Instructions.Out16(ControlBlock, SoftOff);
        else if (word.SequenceEqual("triple"u8)) TripleFault();
        Machine.Leave(7);
    }

    /// <summary>Has requests in flight until somebody ends the VM.</summary>
    public static void RunForever()
    {
        Check.Run("load.first"u8, &Load);
        while (Check.Failures == 0) LoadAgain();
    }

    // The first round writes it, the second takes it away.
    private static void TurnMarker()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(512, 0);
        if (!client.TryTransfer(0, false, MarkerBlock, data)) return;
        storage.IsSecondRound = data.Holds(Marker);
        if (storage.IsSecondRound) data.Wipe(0);
        else data.Fill(Marker);
        if (client.TryTransfer(0, true, MarkerBlock, data)) GuestBus.Leave();
    }

    // The requests go on when the check is over.
    private static void Load() => InFlight.TryLoad(out _, out _);

    private static void LoadAgain()
    {
        if (InFlight.TryLoad(out StorageClient client, out _)) client.TryAwaitAll();
    }

    private static void TripleFault()
    {
        DescriptorTableRegister empty = default;
        Instructions.Lidt(&empty);
        Instructions.Int3();
    }
}
