// The services of one VM, a clock, and the packets between them and a guest. Every message that is sent is checked for form.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Lamina.Drivers.Vsp.Integration;

namespace Lamina.Tests.Host.Integration;

/// <summary>The end that sends.</summary>
public struct BenchHost : IIntegrationHost
{
    public IntegrationBench Bench;

    public readonly bool TrySend(IntegrationService service, ReadOnlySpan<byte> message, ulong transactionId) => Bench.Send(service, message, transactionId);
    public readonly HostTime ReadTime() => Bench.Time();
}

public sealed unsafe class IntegrationBench : IDisposable
{
    public const ulong Second = 10_000_000;
    public static readonly IntegrationService[] All = Enum.GetValues<IntegrationService>();

    private readonly KeyValueItem* items;
    private BenchHost host;

    public readonly IntegrationServices* Services;
    /// <summary>Packets' payloads that the guest has not taken.</summary>
    public readonly Queue<byte[]>[] ToGuest = [new(), new(), new(), new()];
    /// <summary>Everything that was ever sent.</summary>
    public readonly List<(ulong At, IntegrationService Service, byte[] Message)> Sent = [];
    /// <summary>Room in each ring, in bytes of payload.</summary>
    public int Room = int.MaxValue;
    public LinuxGuest Guest = new();
    public ulong Now = 1000 * Second, Deadline;
    public ulong UnixTime = 1_700_000_000 * Second, ReferenceTime = 5 * Second;

    public IntegrationBench(uint itemCount = KeyValueService.UsualItemCount)
    {
        Services = (IntegrationServices*)NativeMemory.AllocZeroed((nuint)sizeof(IntegrationServices));
        items = (KeyValueItem*)NativeMemory.AllocZeroed((nuint)sizeof(KeyValueItem) * (itemCount + 1));
        new Span<byte>(items + itemCount, sizeof(KeyValueItem)).Fill(0xA5);   // nobody's
        ItemCount = itemCount;
        Services->Initialize(items, itemCount);
        host.Bench = this;
    }

    public uint ItemCount { get; }

    /// <summary>A bench on which the guest has opened all channels and both have said what there is to say.</summary>
    public static IntegrationBench Open(LinuxGuest guest = null)
    {
        var bench = new IntegrationBench();
        if (guest != null) bench.Guest = guest;
        bench.OpenAll();
        bench.Run();
        return bench;
    }

    public void OpenAll()
    {
        foreach (IntegrationService service in All)
        {
            ToGuest[(int)service].Clear();
            Services->Opened(service, Now);
        }
    }

    public void CloseAll()
    {
        foreach (IntegrationService service in All) Services->Closed(service);
    }

    public HostTime Time() => new() { UnixTime = UnixTime + Now, ReferenceTime = ReferenceTime + Now };

    public bool Send(IntegrationService service, ReadOnlySpan<byte> message, ulong transactionId)
    {
        int size = (message.Length + 7) & ~7;
        if (message.Length < 28 || message.Length > IntegrationServices.MaximumMessageSize) throw new InvalidOperationException("message of " + message.Length);
        if (BitConverter.ToUInt32(message) != 1 || BitConverter.ToUInt32(message[4..]) != message.Length - 8) throw new InvalidOperationException("pipe header");
        if (BitConverter.ToUInt16(message[18..]) != message.Length - 28 || message[25] != 3 || message[24] != transactionId || transactionId == 0) throw new InvalidOperationException("message header");
        if (ToGuest[(int)service].Sum(packet => packet.Length) + size > Room) return false;
        byte[] packet = new byte[size];
        message.CopyTo(packet);
        ToGuest[(int)service].Enqueue(packet);
        Sent.Add((Now, service, message.ToArray()));
        return true;
    }

    public void Deliver(IntegrationService service, ReadOnlySpan<byte> payload) => Services->Received(service, payload, Now);

    public void Tick()
    {
        int before = Sent.Count;
        Deadline = Services->Tick(Now, ref host);
        if (Deadline <= Now) throw new InvalidOperationException("due again at once");
        if (Sent.Count - before > 2 * IntegrationServices.Count) throw new InvalidOperationException("too many messages at once");
        if (((byte*)(items + ItemCount))[0] != 0xA5) throw new InvalidOperationException("wrote beyond the items");
    }

    /// <summary>Host and guest talk until neither has more to say at this moment.</summary>
    public void Run()
    {
        for (int rounds = 0; ; rounds++)
        {
            if (rounds == 1000) throw new InvalidOperationException("endless talk");
            Tick();
            if (!Guest.Run(this)) return;
        }
    }

    /// <summary>Time passes; what is due happens when it is due.</summary>
    public void Advance(double seconds)
    {
        ulong end = Now + (ulong)(seconds * Second);
        Run();
        while (Math.Min(Deadline, Guest.Deadline) <= end)
        {
            Now = Math.Max(Now, Math.Min(Deadline, Guest.Deadline));
            Run();
        }
        Now = end;
    }

    /// <summary>What was sent to a service since the count, as (seconds from the bench's first moment, body).</summary>
    public (double At, byte[] Body)[] SentTo(IntegrationService service, int type) =>
        Sent.Where(one => one.Service == service && BitConverter.ToUInt16(one.Message, 12) == type)
            .Select(one => ((one.At - 1000 * Second) / (double)Second, one.Message[28..])).ToArray();

    /// <summary>An answer as a guest would send it, to the last message of the service; each part may be wrong on purpose.</summary>
    public byte[] AnswerTo(IntegrationService service, uint status = 0, Action<byte[]> change = null)
    {
        byte[] packet = Sent.Last(one => one.Service == service).Message.ToArray();
        Array.Resize(ref packet, (packet.Length + 7) & ~7);
        packet[25] = 5;
        BitConverter.TryWriteBytes(packet.AsSpan(20), status);
        change?.Invoke(packet);
        return packet;
    }

    public void Dispose()
    {
        NativeMemory.Free(Services);
        NativeMemory.Free(items);
    }
}
