// GPADLs of all sizes, up to what the host has room for.
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Good;

public static unsafe class GpadlTests
{
    /// <summary>What a host keeps for one guest, as the root of this house does.</summary>
    private const uint HostPages = 16 * 1024, HostGpadls = 256;

    public static void Run()
    {
        Check.Run("gpadl.sizes"u8, &Sizes);
        Check.Run("gpadl.as-much-as-fits"u8, &AsMuchAsFits);
        Check.Run("gpadl.as-many-as-fit"u8, &AsManyAsFit);
    }

    // A header has room for 26 numbers, a body for 28: below, at and above each edge.
    private static void Sizes()
    {
        if (!TryBegin(out uint relid, out ulong* pages)) return;
        foreach (uint count in (System.ReadOnlySpan<uint>)[1, 2, 26, 27, 54, 55, 1000, ChannelLimits.MaximumGpadlPages])
            if (!Channel.TryCreateGpadl(relid, pages, count, out uint gpadl) || !IsCreated(gpadl) || !Channel.TryTearDown(gpadl)) return;
        GuestBus.Leave();
    }

    private static void AsMuchAsFits()
    {
        if (!TryBegin(out uint relid, out ulong* pages)) return;
        const uint big = ChannelLimits.MaximumGpadlPages, rest = HostPages - 2 * big;
        if (!Channel.TryCreateGpadl(relid, pages, big, out uint first) || !IsCreated(first)) return;
        if (!Channel.TryCreateGpadl(relid, pages, big, out uint second) || !IsCreated(second)) return;
        if (!Channel.TryCreateGpadl(relid, pages, rest + 1, out uint third)) return;
        Check.That(GuestBus.Client.StateOfGpadl(third) == ClientGpadlState.Refused, "more pages than the host has room for are not refused"u8);
        Check.Equal("status"u8, GuestBus.GpadlCreated.Status, ChannelStatus.InsufficientResources);
        if (!Channel.TryTearDown(first) || !Channel.TryCreateGpadl(relid, pages, big, out uint again) || !IsCreated(again)) return;
        GuestBus.Leave();
    }

    private static void AsManyAsFit()
    {
        if (!TryBegin(out uint relid, out ulong* pages)) return;
        uint gpadl = 0;
        for (uint i = 0; i < HostGpadls; i++)
            if (!Channel.TryCreateGpadl(relid, pages, 1, out gpadl) || !IsCreated(gpadl)) return;
        if (!Channel.TryCreateGpadl(relid, pages, 1, out uint over)) return;
        Check.That(GuestBus.Client.StateOfGpadl(over) == ClientGpadlState.Refused, "more GPADLs than the host has room for are not refused"u8);
        if (!Channel.TryTearDown(gpadl) || !Channel.TryCreateGpadl(relid, pages, 1, out gpadl) || !IsCreated(gpadl)) return;
        GuestBus.Leave();
    }

    // Many numbers, few pages: the host may be shown a page more than once.
    private static bool TryBegin(out uint relid, out ulong* pages)
    {
        relid = 0;
        pages = null;
        if (!GuestBus.Join()) return false;
        ClientChannel* channel = GuestBus.Find(DeviceClasses.Scsi);
        if (channel == null) return false;
        relid = channel->Offer.RelId;
        pages = Pages.TakeWords(ChannelLimits.MaximumGpadlPages);
        ulong first = Pages.NumberOf(Pages.Take(16));
        for (uint i = 0; i < ChannelLimits.MaximumGpadlPages; i++) pages[i] = first + i * 7 % 16;
        return true;
    }

    private static bool IsCreated(uint gpadl) => Check.That(GuestBus.Client.StateOfGpadl(gpadl) == ClientGpadlState.Created, "a GPADL is refused"u8);
}
