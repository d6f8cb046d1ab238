// What a service provider needs from whoever runs the guest that it serves. The root's VM worker implements it.
using System;

namespace Lamina.Drivers.Vsp;

/// <summary>
/// A channel is named by the number that its owner gave it when it was opened. None of these calls back into the provider, but for
/// <see cref="TryOfferSubChannel"/>'s later effect, a new channel that the guest opens.
/// </summary>
public unsafe interface IVspHost
{
    /// <summary>A page of the guest's RAM, in the root's memory (where its address is its physical address, too); null: no RAM is there.</summary>
    byte* Page(ulong guestPage);

    /// <summary>Interrupts the guest for a channel, since it wrote to its ring or freed room that is waited for.</summary>
    void Signal(uint channel);

    /// <summary>The guest broke the rules of a channel: one line for the log, and the channel is closed soon after, not from within this call.</summary>
    void Fail(uint channel, ReadOnlySpan<byte> reason);

    /// <summary>A channel whose Close answered false has no request left in flight.</summary>
    void Closed(uint channel);

    /// <summary>Offers a further channel of the same device, <paramref name="index"/> from 1. False: none is to be had.</summary>
    bool TryOfferSubChannel(uint primaryChannel, ushort index);

    /// <summary>The reference clock, 100 ns.</summary>
    ulong Now { get; }
}
