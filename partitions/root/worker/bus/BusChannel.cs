// One channel of a VM's bus, as the worker sees it: which device is behind it, and its ring while it is open.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Drivers.Vsp;
using Lamina.Root.Kernel;
using Lamina.VMBus;

namespace Lamina.Root.Worker;

/// <summary>What is behind a channel.</summary>
public enum BusDevice : byte
{
    None,
    Storage,
    /// <summary>One of the integration services; which one says <see cref="BusChannel.Index"/>.</summary>
    Integration,
}

/// <summary>Signals of a channel, both ways.</summary>
public struct ChannelCounters
{
    /// <summary>The guest's, each of which was an entry into the core and an interrupt of the root.</summary>
    public ulong FromGuest;

    /// <summary>Ours, each of which was a hypercall and an interrupt of the guest.</summary>
    public ulong ToGuest;
}

public unsafe struct BusChannel
{
    private const int ReasonCapacity = 96;

    public BusDevice Device;

    /// <summary>Which of the devices of that kind.</summary>
    public byte Index;

    /// <summary>0, or of a sub-channel its number within the device.</summary>
    public ushort SubChannel;
    public bool IsOpen;

    /// <summary>
    /// To be done outside the server's and the providers' functions: the provider found the guest at fault; its last request has ended; it
    /// wants another turn.
    /// </summary>
    public bool FailPending, ClosedPending, SignalPending;

    /// <summary>When the provider wants to be signalled without the guest, 100 ns; 0: never.</summary>
    public ulong SignalAt;

    /// <summary>Likewise, sub-channels that are to be offered: a bit for each index.</summary>
    public ulong OffersPending;
    public uint TargetVp;

    /// <summary>The guest's connection for its signals.</summary>
    public uint Connection;
    public ChannelCounters Counters;

    private ulong _table, _tablePages;
    private byte _reasonLength;
    private ReasonBuffer _reason;

    [InlineArray(ReasonCapacity)] private struct ReasonBuffer { private byte _first; }

    /// <summary>For the console.</summary>
    public readonly ReadOnlySpan<byte> Name => Device switch
    {
        BusDevice.Storage => "storage"u8,
        BusDevice.Integration => Index switch { 0 => "heartbeat"u8, 1 => "shutdown"u8, 2 => "time synchronization"u8, _ => "key-value pairs"u8 },
        _ => "none"u8,
    };

    public ReadOnlySpan<byte> Reason => new(Unsafe.AsPointer(ref _reason), _reasonLength);

    public void SetReason(ReadOnlySpan<byte> reason)
    {
        _reasonLength = (byte)Math.Min(reason.Length, ReasonCapacity);
        reason.Slice(0, _reasonLength).CopyTo(new Span<byte>(Unsafe.AsPointer(ref _reason), ReasonCapacity));
    }

    /// <summary>Finds the ring's pages in the root's memory. The status is the guest's answer.</summary>
    public uint MapRing(Vm* vm, ReadOnlySpan<ulong> guestPages, out RingPages pages)
    {
        pages = default;
        _tablePages = PageCount.ForBytes((ulong)(guestPages.Length * sizeof(ulong))).Value;
        if (!PhysicalMemory.TryAllocate(_tablePages, 1, out _table)) return ChannelStatus.InsufficientResources;
        byte** table = (byte**)_table;
        for (int i = 0; i < guestPages.Length; i++)
        {
            table[i] = VmBus.Page(vm, guestPages[i]);
            if (table[i] != null) continue;
            UnmapRing();
            return ChannelStatus.InvalidParameter;
        }
        pages = new RingPages(table, (uint)guestPages.Length);
        return ChannelStatus.Success;
    }

    public void UnmapRing()
    {
        if (_table != 0) PhysicalMemory.Free(_table, _tablePages);
        _table = _tablePages = 0;
    }
}
