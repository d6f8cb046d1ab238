// The services over rings of the size that Linux gives them: what a worker does with them, in small.

using System;
using System.Runtime.InteropServices;
using Lamina.Drivers.Vsp.Integration;
using Lamina.Tests.Host.VMBus;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class IntegrationRingTests
{
    private const int RingPages = 4;   // a control page and 12 KiB

    private sealed class Channel : IDisposable
    {
        public readonly RingFixture ToGuestMemory = new(RingPages), ToHostMemory = new(RingPages);
        public OutgoingRing<TestPages> HostOut, GuestOut;
        public IncomingRing<TestPages> HostIn, GuestIn;

        public Channel()
        {
            GuestIn = ToGuestMemory.Reader();
            GuestOut = ToHostMemory.Writer();
            HostOut = ToGuestMemory.Writer();
            HostIn = ToHostMemory.Reader();
        }

        public void Dispose()
        {
            ToGuestMemory.CheckGuards();
            ToHostMemory.CheckGuards();
            ToGuestMemory.Dispose();
            ToHostMemory.Dispose();
        }
    }

    private struct RingHost : IIntegrationHost
    {
        public Channel[] Channels;
        public ulong Now;

        public readonly bool TrySend(IntegrationService service, ReadOnlySpan<byte> message, ulong transactionId)
        {
            RingStatus status = Channels[(int)service].HostOut.TryWriteInBand(transactionId, false, message);
            if (status is not (RingStatus.Ok or RingStatus.Full)) throw new InvalidOperationException(status.ToString());
            Channels[(int)service].HostOut.Commit();
            return status == RingStatus.Ok;
        }

        public readonly HostTime ReadTime() => new() { UnixTime = Now, ReferenceTime = Now };
    }

    // Answers every packet in place with the kernel's flags; pairs and versions by the fake Linux's rules are not needed here.
    private static bool GuestAnswers(Channel channel, byte* buffer, int version)
    {
        bool any = false;
        while (channel.GuestIn.TryRead(buffer, 8192, out RingPacket packet) == RingStatus.Ok)
        {
            byte[] message = packet.Payload.ToArray();
            if (message[12] == 0)
            {
                message[18] = 16;
                message[28] = message[30] = 1;
                new byte[] { 3, 0, 0, 0, (byte)version, 0, 0, 0 }.CopyTo(message, 36);
            }
            if (message[12] == 2 && BitConverter.ToInt32(message, 32) < 10) LinuxGuest.PutPair(message, "key" + message[32], "value");
            else if (message[12] == 2) BitConverter.TryWriteBytes(message.AsSpan(20), IcStatus.NoMoreItems);
            message[25] = 5;
            Assert.Equal(RingStatus.Ok, channel.GuestOut.TryWriteInBand(packet.TransactionId, false, message));
            channel.GuestOut.Commit();
            any = true;
        }
        channel.GuestIn.Commit();
        return any;
    }

    [Fact]
    public void Ten_minutes_over_rings()
    {
        var channels = new Channel[IntegrationServices.Count];
        for (int i = 0; i < channels.Length; i++) channels[i] = new();
        var services = (IntegrationServices*)NativeMemory.AllocZeroed((nuint)sizeof(IntegrationServices));
        var items = (KeyValueItem*)NativeMemory.AllocZeroed((nuint)sizeof(KeyValueItem) * 24);
        var buffer = (byte*)NativeMemory.Alloc(8192);
        try
        {
            services->Initialize(items, 24);
            var host = new RingHost { Channels = channels };
            foreach (IntegrationService service in IntegrationBench.All) services->Opened(service, host.Now);
            while (host.Now < 600 * IntegrationClock.Second)
            {
                ulong next = services->Tick(host.Now, ref host);
                bool any = false;
                for (int i = 0; i < channels.Length; i++)
                {
                    any |= GuestAnswers(channels[i], buffer, i < 2 ? 3 : 4);
                    while (channels[i].HostIn.TryRead(buffer, IntegrationServices.ReceiveBufferSize, out RingPacket packet) == RingStatus.Ok)
                        services->Received((IntegrationService)i, packet.Payload, host.Now);
                    channels[i].HostIn.Commit();
                }
                if (!any) host.Now = next;
            }
            Assert.Equal(HeartbeatState.Ok, services->Heartbeat.State);
            Assert.Equal((1ul, 119ul, 120ul), (services->TimeSynchronization.Syncs, services->TimeSynchronization.Samples, services->TimeSynchronization.Answers));
            Assert.Equal((KeyValueState.Current, 10u), (services->KeyValuePairs.State, services->KeyValuePairs.Count));
            Assert.Equal(0u, services->Heartbeat.Ignored + services->Shutdown.Ignored + services->TimeSynchronization.Ignored + services->KeyValuePairs.Ignored);
        }
        finally
        {
            NativeMemory.Free(services);
            NativeMemory.Free(items);
            NativeMemory.Free(buffer);
            foreach (Channel channel in channels) channel.Dispose();
        }
    }
}
