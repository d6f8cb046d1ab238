// Size and every offset of the channel messages and ring structures against Linux's "include/linux/hyperv.h".

using System.Linq;
using Lamina.Tests.Host.Abi;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.VMBus;

public sealed class VMBusLayoutTests
{
    private const string Table = """
        VMBusGuid 16: Low 0, High 8
        ChannelMessageHeader 8: MessageType 0, Padding 4
        OfferChannelMessage 196: Header 0, InterfaceId 8, InstanceId 24, Reserved1 40, Reserved2 48, Flags 56, MmioMegabytes 58, UserDefined 60,
          SubChannelIndex 180, MmioMegabytesOptional 182, RelId 184, MonitorId 188, MonitorAllocated 189, IsDedicatedInterrupt 190, ConnectionId 192
        RescindChannelOfferMessage 12: Header 0, RelId 8
        OpenChannelMessage 148: Header 0, RelId 8, OpenId 12, RingGpadl 16, TargetVp 20, DownstreamPageOffset 24, UserData 28
        OpenChannelResultMessage 20: Header 0, RelId 8, OpenId 12, Status 16
        CloseChannelMessage 12: Header 0, RelId 8
        GpadlHeaderMessage 28: Header 0, RelId 8, Gpadl 12, RangeBufferLength 16, RangeCount 18, ByteCount 20, ByteOffset 24
        GpadlBodyMessage 16: Header 0, MessageNumber 8, Gpadl 12
        GpadlCreatedMessage 20: Header 0, RelId 8, Gpadl 12, Status 16
        GpadlTeardownMessage 16: Header 0, RelId 8, Gpadl 12
        GpadlTorndownMessage 12: Header 0, Gpadl 8
        RelIdReleasedMessage 12: Header 0, RelId 8
        InitiateContactMessage 40: Header 0, VersionRequested 8, TargetMessageVp 12, TargetSint 16, TargetVtl 17, Padding 18, FeatureFlags 20,
          ParentToChildMonitorPage 24, ChildToParentMonitorPage 32
        VersionResponseMessage 16: Header 0, VersionSupported 8, State 9, Padding 10, MessageConnectionId 12
        TlConnectRequestMessage 40: Header 0, EndpointId 8, ServiceId 24
        ModifyChannelMessage 16: Header 0, RelId 8, TargetVp 12
        TlConnectResultMessage 44: Header 0, EndpointId 8, ServiceId 24, Status 40
        ModifyChannelResponseMessage 16: Header 0, RelId 8, Status 12
        RingControlPage 4096: WriteIndex 0, ReadIndex 4, InterruptMask 8, PendingSendSize 12, FeatureBits 64
        PacketDescriptor 16: Type 0, DataOffset8 2, Length8 4, Flags 6, TransactionId 8
        GpaDirectHeader 8: Reserved 0, RangeCount 4
        GpaRange 8: ByteCount 0, ByteOffset 4
        TransferPageHeader 8: PageSetId 0, Reserved 2, RangeCount 4
        TransferPageRange 8: ByteCount 0, ByteOffset 4
        """;

    private static readonly LayoutRow[] Rows = LayoutTable.Parse(Table);

    public static TheoryData<string> Structures => new(Rows.Select(row => row.Structure));

    [Theory]
    [MemberData(nameof(Structures))]
    public void Structure_is_laid_out_as_the_header_says(string structure) =>
        Assert.Empty(LayoutTable.Differences(Rows.Single(row => row.Structure == structure), "Lamina.VMBus"));

    [Fact]
    public void Every_wire_structure_has_a_row() =>
        Assert.Empty(typeof(VMBusGuid).Assembly.GetTypes()
            .Where(type => type.Namespace == "Lamina.VMBus" && type.IsValueType && (type.Name.EndsWith("Message") && type.Name != "QueuedMessage" || type.IsExplicitLayout) && !type.IsNested)
            .Select(type => type.Name).Except(Rows.Select(row => row.Structure)));

    [Fact]
    public void Pages_fill_a_message_to_its_end()
    {
        Assert.Equal(26, ChannelLimits.GpadlHeaderPages);
        Assert.Equal(28, ChannelLimits.GpadlBodyPages);
    }

    [Fact]
    public unsafe void Device_classes_lie_in_memory_as_guids_do()
    {
        VMBusGuid scsi = DeviceClasses.Scsi;
        Assert.Equal(new System.Guid("ba6163d9-04a1-4d29-b605-72e2ffb1dc7f"), *(System.Guid*)&scsi);
        VMBusGuid pci = DeviceClasses.PciExpress;
        Assert.Equal(new System.Guid("44c4f61d-4444-4400-9d52-802e27ede19f"), *(System.Guid*)&pci);
    }
}
