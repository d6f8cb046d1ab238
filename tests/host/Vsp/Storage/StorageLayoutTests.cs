// Size and every offset of the storage packets against Linux's "drivers/scsi/storvsc_drv.c".
using System.Linq;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Tests.Host.Abi;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

public sealed class StorageLayoutTests
{
    private const string Table = """
        VstorPacket 64: Operation 0, Flags 4, Status 8, VmSrb 12, StorageChannelProperties 12, Version 12, SubChannelCount 12
        VmscsiRequest 52: Length 0, SrbStatus 2, ScsiStatus 3, PortNumber 4, PathId 5, TargetId 6, Lun 7, CdbLength 8, SenseInfoLength 9, DataIn 10,
          Reserved 11, DataTransferLength 12, Cdb 16, SenseData 16, Reserve 36, QueueTag 38, QueueAction 39, SrbFlags 40, TimeOutValue 44, QueueSortKey 48
        VmstorageChannelProperties 24: Reserved 0, MaxChannelCount 4, Reserved1 6, Flags 8, MaxTransferBytes 12, Reserved2Low 16, Reserved2High 20
        VmstorageProtocolVersion 4: MajorMinor 0, Revision 2
        """;

    private static readonly LayoutRow[] Rows = LayoutTable.Parse(Table);

    public static TheoryData<string> Structures => new(Rows.Select(row => row.Structure));

    [Theory]
    [MemberData(nameof(Structures))]
    public void Structure_is_laid_out_as_the_driver_says(string structure) =>
        Assert.Empty(LayoutTable.Differences(Rows.Single(row => row.Structure == structure), "Lamina.Drivers.Vsp.Storage"));

    [Fact]
    public void Every_wire_structure_has_a_row() =>
        Assert.Empty(typeof(VstorPacket).Assembly.GetTypes()
            .Where(type => type.Namespace == "Lamina.Drivers.Vsp.Storage" && type.IsExplicitLayout && !type.IsNested)
            .Select(type => type.Name).Except(Rows.Select(row => row.Structure)));
}
