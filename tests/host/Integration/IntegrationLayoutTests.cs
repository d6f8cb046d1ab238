// Size and every offset of the integration messages against Linux's "include/linux/hyperv.h" and "include/uapi/linux/hyperv.h". Two bodies
// have padding at their end that Linux's packed structures lack (25 and 22 bytes there): nothing moves by it.

using System.Linq;
using Lamina.Drivers.Vsp.Integration;
using Lamina.Tests.Host.Abi;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class IntegrationLayoutTests
{
    private const string Space = "Lamina.Drivers.Vsp.Integration";

    private const string Table = """
        PipeHeader 8: PacketType 0, MessageSize 4
        IcVersion 4: Major 0, Minor 2
        IcMessageHeader 20: FrameworkVersion 0, MessageType 4, MessageVersion 6, MessageSize 10, Status 12, TransactionId 16, Flags 17, Reserved 18
        IcNegotiateMessage 8: FrameworkVersionCount 0, MessageVersionCount 2, Reserved 4
        HeartbeatMessage 40: SequenceNumber 0, ApplicationState 8, Reserved 12
        ShutdownMessage 2060: ReasonCode 0, TimeoutSeconds 4, Flags 8, DisplayMessage 12
        TimeSyncMessage 32: ParentTime 0, ChildTime 8, RoundTripTime 16, Flags 24
        TimeSyncReferenceMessage 24: ParentTime 0, VmReferenceTime 8, Flags 16, LeapFlags 17, Stratum 18
        KvpHeader 4: Operation 0, Pool 1, Padding 2
        KvpValue 2572: ValueType 0, KeySize 4, ValueSize 8, Key 12, Value 524
        KvpEnumerateMessage 2580: Header 0, Index 4, Pair 8
        KvpSetMessage 2576: Header 0, Pair 4
        KvpDeleteMessage 520: Header 0, KeySize 4, Key 8
        """;

    private static readonly LayoutRow[] Rows = LayoutTable.Parse(Table);

    public static TheoryData<string> Structures => new(Rows.Select(row => row.Structure));

    [Theory]
    [MemberData(nameof(Structures))]
    public void Structure_is_laid_out_as_the_header_says(string structure) =>
        Assert.Empty(LayoutTable.Differences(Rows.Single(row => row.Structure == structure), Space));

    [Fact]
    public void Every_wire_structure_has_a_row() =>
        Assert.Empty(typeof(IcVersion).Assembly.GetTypes()
            .Where(type => type.Namespace == Space && type.IsValueType && type.IsExplicitLayout && !type.IsNested)
            .Select(type => type.Name).Except(Rows.Select(row => row.Structure)));

    [Fact]
    public void Longest_message_is_a_pair() => Assert.Equal(8 + 20 + sizeof(KvpEnumerateMessage), IntegrationServices.MaximumMessageSize);

    [Theory]
    [InlineData(IntegrationService.Heartbeat, "57164f39-9115-4e78-ab55-382f3bd5422d", "fd149e91-82e0-4a7d-afa6-2a4166cbd7c0")]
    [InlineData(IntegrationService.Shutdown, "0e0b6031-5213-4934-818b-38d90ced39db", "b6650ff7-33bc-4840-8048-e0676786f393")]
    [InlineData(IntegrationService.TimeSynchronization, "9527e630-d0ae-497b-adce-e80ab0175caf", "2dd1ce17-079e-403c-b352-a1921ee207ee")]
    [InlineData(IntegrationService.KeyValuePairs, "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6", "242ff919-07db-4180-9c2e-b86cb68c8c55")]
    public void Offers_are_those_of_Hyper_V(IntegrationService service, string type, string instance)
    {
        IntegrationOffers.Describe(service, out OfferChannelMessage offer);
        VMBusGuid interfaceId = offer.InterfaceId, instanceId = offer.InstanceId;
        Assert.Equal(new System.Guid(type), *(System.Guid*)&interfaceId);
        Assert.Equal(new System.Guid(instance), *(System.Guid*)&instanceId);
        Assert.Equal(0x11, offer.Flags);
        Assert.Equal(4u, *(uint*)offer.UserDefined);
    }
}
