// How the services are offered to a guest.

using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>Channels in message mode: Linux ignores the flags, other guests open them as pipes. One instance each, with the GUID that it has on Hyper-V.</summary>
public static unsafe class IntegrationOffers
{
    /// <summary>The offer's first user-defined word: a pipe of messages (Linux, "VMBUS_PIPE_TYPE_MESSAGE").</summary>
    public const byte PipeTypeMessage = 4;

    public static VMBusGuid InterfaceOf(IntegrationService service) => service switch
    {
        IntegrationService.Heartbeat => DeviceClasses.Heartbeat,
        IntegrationService.Shutdown => DeviceClasses.Shutdown,
        IntegrationService.TimeSynchronization => DeviceClasses.TimeSynchronization,
        _ => DeviceClasses.KeyValuePairs,
    };

    public static VMBusGuid InstanceOf(IntegrationService service) => service switch
    {
        IntegrationService.Heartbeat => new(0xfd149e91, 0x82e0, 0x4a7d, 0xafa62a4166cbd7c0),
        IntegrationService.Shutdown => new(0xb6650ff7, 0x33bc, 0x4840, 0x8048e0676786f393),
        IntegrationService.TimeSynchronization => new(0x2dd1ce17, 0x079e, 0x403c, 0xb352a1921ee207ee),
        _ => new(0x242ff919, 0x07db, 0x4180, 0x9c2eb86cb68c8c55),
    };

    /// <summary>For <c>ChannelServer.TryOffer</c>.</summary>
    public static void Describe(IntegrationService service, out OfferChannelMessage offer)
    {
        offer = default;
        offer.InterfaceId = InterfaceOf(service);
        offer.InstanceId = InstanceOf(service);
        offer.Flags = OfferFlags.EnumerateDeviceInterface | OfferFlags.NamedPipeMode;
        offer.UserDefined[0] = PipeTypeMessage;
    }
}
