// A guest's end of its VMbus: the client of vmbus/, its messages handed to the worker, its rings in the VM's RAM.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Abi;
using Lamina.Drivers.Vsp;
using Lamina.Root.Kernel;
using Lamina.Root.Worker;
using Lamina.VMBus;

namespace Lamina.Tests.Host.Worker;

public sealed unsafe class BusGuest : IDisposable
{
    public const uint Vp = 0;
    public const byte Sint = 2;
    public ChannelClient<GuestSink> Client;
    private readonly List<nint> _blocks = [];
    private int _taken;
    private ulong _nextPage = 0x200;

    public BusGuest()
    {
        var memory = new ChannelClientMemory
        {
            Channels = (ClientChannel*)Allocate(64 * sizeof(ClientChannel)), ChannelCount = 64,
            Gpadls = (ClientGpadl*)Allocate(64 * sizeof(ClientGpadl)), GpadlCount = 64,
        };
        Client = new ChannelClient<GuestSink>(new GuestSink(), memory);
    }

    public void Dispose()
    {
        foreach (nint block in _blocks) NativeMemory.Free((void*)block);
    }

    private void* Allocate(int bytes)
    {
        void* block = NativeMemory.AllocZeroed((nuint)bytes);
        _blocks.Add((nint)block);
        return block;
    }

    /// <summary>The VM that runs; there is only one.</summary>
    public static Vm* Vm
    {
        get
        {
            for (int i = 0; i < VmWorker.Count; i++) if (VmWorker.Get(i)->Machine != null) return VmWorker.Get(i);
            return null;
        }
    }

    public static void Post(ReadOnlySpan<byte> message, ulong port = 0)
    {
        HvMessage hv = default;
        hv.Header.MessageType = ChannelLimits.SynicMessageType;
        hv.Header.PayloadSize = (byte)message.Length;
        hv.Header.SenderOrPort = port != 0 ? port : Vm->Machine->Bus->Numbers.MessagePort;
        message.CopyTo(new Span<byte>(hv.Payload, 240));
        VmWorker.OnBusMessage(&hv);
    }

    /// <summary>Takes what the root has posted.</summary>
    public void Receive()
    {
        Executor.RunQueued();
        for (; _taken < FakeCore.Posted.Count; _taken++) Client.Receive(FakeCore.Posted[_taken].Payload);
    }

    public void Connect(uint version = VMBusVersion.V5_3)
    {
        Client.Connect(version, Vp, Sint);
        Receive();
    }

    /// <summary>Connects and asks for the offers.</summary>
    public void Join()
    {
        Connect();
        Client.RequestOffers();
        Receive();
    }

    /// <summary>Pages of RAM that nobody else was given.</summary>
    public ulong[] Pages(int count)
    {
        var pages = new ulong[count];
        for (int i = 0; i < count; i++) pages[i] = _nextPage++;
        return pages;
    }

    public static byte* Ram(ulong page) => VmBus.Page(Vm, page);

    /// <summary>Opens a channel with rings of <paramref name="half"/> pages each way; returns the ring's pages.</summary>
    public ulong[] Open(uint relid, int half = 4, ulong[] pages = null)
    {
        pages ??= Pages(2 * half);
        Client.CreateGpadl(relid, (uint)pages.Length * 4096, pages, out uint gpadl);
        Receive();
        Client.Open(relid, gpadl, (uint)half, Vp, default);
        Receive();
        return pages;
    }

    /// <summary>Our halves of a ring.</summary>
    public (OutgoingRing<RingPages> Outgoing, IncomingRing<RingPages> Incoming) Rings(ulong[] pages)
    {
        var table = (byte**)Allocate(pages.Length * sizeof(byte*));
        for (int i = 0; i < pages.Length; i++) table[i] = Ram(pages[i]);
        var ring = new RingPages(table, (uint)pages.Length);
        uint half = (uint)pages.Length / 2;
        OutgoingRing<RingPages>.TryAttach(ring, 0, half, out OutgoingRing<RingPages> outgoing);
        IncomingRing<RingPages>.TryAttach(ring, half, half, out IncomingRing<RingPages> incoming);
        return (outgoing, incoming);
    }

    /// <summary>The guest signals a channel.</summary>
    public void Signal(uint relid)
    {
        uint flag = Vm->Machine->Bus->Numbers.Flag(relid);
        VmWorker.OnBusEvents(flag / 64, 1UL << (int)(flag % 64));
        Receive();
    }
}

public struct GuestSink : IMessageSink
{
    public readonly bool Send(ReadOnlySpan<byte> message)
    {
        BusGuest.Post(message);
        return true;
    }
}
