// One guest's bus in memory: server and client joined by queues, devices that record what they are told.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.VMBus;

namespace Lamina.Tests.Host.VMBus;

/// <summary>Keeps messages until they are taken; busy on demand.</summary>
public sealed class Wire
{
    public readonly Queue<byte[]> Messages = new();
    public bool Busy;
}

public struct WireSink : IMessageSink
{
    public Wire Wire;

    public readonly bool Send(ReadOnlySpan<byte> message)
    {
        if (message.Length > 240) throw new InvalidOperationException("message of " + message.Length);
        if (Wire.Busy) return false;
        Wire.Messages.Enqueue(message.ToArray());
        return true;
    }
}

/// <summary>What the devices saw. GPADLs and channels that they hold must be given back exactly once.</summary>
public sealed class DeviceLog
{
    public readonly List<string> Lines = [];
    public readonly HashSet<uint> Open = [], Closing = [], Gpadls = [], TearingDown = [];
    public readonly Dictionary<uint, ulong[]> Pages = [];
    public readonly Dictionary<uint, uint> Rings = [];
    public bool Slow;
    public uint OpenStatus;
    public int Reports, Disconnects;
    public uint LastTarget;
    public byte[] UserData;
    public string LastReport => Lines.LastOrDefault();
}

public struct TestDevices : IChannelDevices
{
    public DeviceLog Log;

    public readonly uint Opened(in OpenRequest request)
    {
        if (Log.OpenStatus != 0) return Log.OpenStatus;
        if (request.DownstreamPageOffset < 2 || request.RingPages.Length - request.DownstreamPageOffset < 2) throw new InvalidOperationException("ring");
        if (!Log.Gpadls.Contains(request.RingGpadl)) throw new InvalidOperationException("ring GPADL unknown");
        if (Log.Closing.Contains(request.RelId) || !Log.Open.Add(request.RelId)) throw new InvalidOperationException("opened twice");
        Log.Rings[request.RelId] = request.RingGpadl;
        Log.LastTarget = request.TargetVp;
        Log.UserData = request.UserData.ToArray();
        return 0;
    }

    public readonly bool Closed(uint relid)
    {
        if (!Log.Open.Remove(relid)) throw new InvalidOperationException("closed while not open");
        if (!Log.Slow) return true;
        Log.Closing.Add(relid);
        return false;
    }

    public readonly void GpadlReady(uint relid, in GpadlView gpadl)
    {
        if (!Log.Gpadls.Add(gpadl.Gpadl)) throw new InvalidOperationException("GPADL twice");
        Log.Pages[gpadl.Gpadl] = gpadl.Pages.ToArray();
    }

    public readonly bool GpadlTornDown(uint relid, uint gpadl)
    {
        if ((Log.Open.Contains(relid) || Log.Closing.Contains(relid)) && Log.Rings[relid] == gpadl) throw new InvalidOperationException("ring in use");
        if (!Log.Gpadls.Remove(gpadl)) throw new InvalidOperationException("GPADL not held");
        if (!Log.Slow) return true;
        Log.TearingDown.Add(gpadl);
        return false;
    }

    public readonly void TargetChanged(uint relid, uint targetVp) => Log.LastTarget = targetVp;
    public readonly void Disconnected()
    {
        if (Log.Open.Count + Log.Closing.Count + Log.Gpadls.Count + Log.TearingDown.Count != 0) throw new InvalidOperationException("left with something in use");
        Log.Disconnects++;
    }

    public readonly void Report(ReadOnlySpan<byte> line)
    {
        if (line.Length is 0 or > 159 || line.IndexOf((byte)'\n') >= 0) throw new InvalidOperationException("report");
        Log.Lines.Add(Encoding.UTF8.GetString(line));
        Log.Reports++;
    }
}

public sealed unsafe class BusFixture : IDisposable
{
    public const ulong HighestPage = 0xFFFFF;
    public readonly Wire ToGuest = new(), ToHost = new();
    public readonly DeviceLog Log = new();
    public ChannelServer<WireSink, TestDevices> Server;
    public ChannelClient<WireSink> Client;
    private readonly List<nint> blocks = [];

    public BusFixture(uint channels = 8, uint gpadls = 8, uint pages = 4096, uint queue = 16)
    {
        ChannelServerMemory memory = new()
        {
            Channels = (ChannelSlot*)Block(channels * (uint)sizeof(ChannelSlot)), ChannelCount = channels,
            Gpadls = (GpadlSlot*)Block(gpadls * (uint)sizeof(GpadlSlot)), GpadlCount = gpadls,
            Pages = (ulong*)Block(pages * 8), PageCount = pages,
            Queue = (QueuedMessage*)Block(queue * (uint)sizeof(QueuedMessage)), QueueCount = queue,
        };
        ChannelServerLimits limits = new() { VpCount = 4, HighestPage = HighestPage };
        Server = new(new WireSink { Wire = ToGuest }, new TestDevices { Log = Log }, in memory, in limits);
        ChannelClientMemory clientMemory = new()
        {
            Channels = (ClientChannel*)Block(32 * (uint)sizeof(ClientChannel)), ChannelCount = 32,
            Gpadls = (ClientGpadl*)Block(32 * (uint)sizeof(ClientGpadl)), GpadlCount = 32,
        };
        Client = new(new WireSink { Wire = ToHost }, in clientMemory);
    }

    private byte* Block(uint size)
    {
        var block = (byte*)NativeMemory.AllocZeroed(size);
        blocks.Add((nint)block);
        return block;
    }

    public uint Offer(VMBusGuid device, ulong instance = 1)
    {
        OfferChannelMessage offer = default;
        offer.InterfaceId = device;
        offer.InstanceId = new VMBusGuid(instance, 0);
        if (!Server.TryOffer(in offer, out uint relid)) throw new InvalidOperationException("no room for the offer");
        return relid;
    }

    /// <summary>Carries messages both ways until nothing moves.</summary>
    public void Run()
    {
        Server.Pump();
        while (ToGuest.Messages.Count + ToHost.Messages.Count != 0)
        {
            while (ToHost.Messages.TryDequeue(out byte[] message)) Server.Receive(message);
            while (ToGuest.Messages.TryDequeue(out byte[] message)) Client.Receive(message);
        }
    }

    public void Connect(uint version = VMBusVersion.V5_3)
    {
        Client.Connect(version, 1, 2);
        Run();
        Client.RequestOffers();
        Run();
    }

    public uint Gpadl(uint relid, int pages, uint byteCount = 0)
    {
        Client.CreateGpadl(relid, byteCount == 0 ? (uint)pages * 4096 : byteCount, PageNumbers(pages), out uint gpadl);
        Run();
        return gpadl;
    }

    public static ulong[] PageNumbers(int count) => Enumerable.Range(0, count).Select(i => 0x1000ul + (ulong)i * 3 % 0x8000).ToArray();

    public uint Open(uint relid)
    {
        uint ring = Gpadl(relid, 8);
        Client.Open(relid, ring, 4, 0, [1, 2, 3]);
        Run();
        return ring;
    }

    /// <summary>The devices let go of what they held on to.</summary>
    public void Finish()
    {
        FinishClosing();
        foreach (uint gpadl in Log.TearingDown.ToArray()) { Log.TearingDown.Remove(gpadl); Server.GpadlTeardownCompleted(gpadl); }
    }

    public void FinishClosing()
    {
        foreach (uint relid in Log.Closing.ToArray()) { Log.Closing.Remove(relid); Server.CloseCompleted(relid); }
    }

    /// <summary>Sends bytes as a guest would.</summary>
    public void Send<T>(T message, uint type) where T : unmanaged
    {
        *(uint*)&message = type;
        Server.Receive(new ReadOnlySpan<byte>(&message, sizeof(T)));
    }

    public void Dispose()
    {
        foreach (nint block in blocks) NativeMemory.Free((void*)block);
    }
}
