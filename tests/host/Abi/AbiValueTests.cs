// Constants of the ABI, spot-checked against TLFS, and round trips of every register format's fields.

using System;
using System.Linq;
using System.Reflection;
using CsCheck;
using Lamina.Abi;
using Xunit;

namespace Lamina.Tests.Host.Abi;

public sealed class AbiConstantTests
{
    [Theory]
    [InlineData(HypercallCode.HvCallPostMessage, 0x5C)]
    [InlineData(HypercallCode.HvCallSignalEvent, 0x5D)]
    [InlineData(HypercallCode.HvCallCreatePartition, 0x40)]
    [InlineData(HypercallCode.HvCallMapGpaPages, 0x4B)]
    [InlineData(HypercallCode.HvCallMapDeviceInterrupt, 0x7C)]
    [InlineData(HypercallCode.HvCallGetVpCpuidValues, 0xF4)]
    [InlineData(HvMsr.HV_X64_MSR_SIMP, 0x40000083)]
    [InlineData(HvMsr.HV_X64_MSR_SIEFP, 0x40000082)]
    [InlineData(HvMsr.HV_X64_MSR_CRASH_CTL, 0x40000105)]
    [InlineData(HvMessageType.HvMessageTimerExpired, 0x80000010)]
    [InlineData(HvMessageType.HvMessageTypeX64Halt, 0x80010007)]
    [InlineData(HypercallCode.HvCallMapStatsPage, 0x6C)]
    [InlineData(HypercallCode.HvCallUnmapStatsPage, 0x6D)]
    [InlineData(HvStatsObjectType.HvStatsObjectVp, 0x00010002)]
    [InlineData(HvStatsVpCounters.VpTotalRunTime, 1)]
    [InlineData(HvStatsVpCounters.VpHypercallsCount, 7)]
    [InlineData(HvStatsVpCounters.VpMsrAccessesCount, 21)]
    [InlineData(HvStatsVpCounters.VpExternalInterruptsCount, 25)]
    [InlineData(HvStatsVpCounters.VpApicMmioAccesses, 39)]
    [InlineData(HvStatsVpCounters.VpVirtualInterrupts, 59)]
    [InlineData(HvStatsVpCounters.VpNestedPageFaultInterceptsCount, 71)]
    [InlineData(HvStatsVpCounters.VpLocalIoTlbFlushCost, 83)]
    [InlineData(HvRegisterName.HvX64RegisterRip, 0x00020010)]
    [InlineData(HvRegisterName.HvX64RegisterTr, 0x00060007)]
    [InlineData(HvRegisterName.HvX64RegisterApicTpr, 0x00084808)]
    [InlineData(HvRegisterName.HvX64RegisterMtrrFix4kF8000, 0x0008007A)]
    [InlineData(HvRegisterName.HvRegisterStimer3Count, 0x000B0007)]
    [InlineData(HvRegisterName.HvRegisterPendingEvent0, 0x00010004)]
    public void Number_is_the_manuals(uint actual, uint expected) => Assert.Equal(expected, actual);

    [Fact]
    public void Signatures_spell_their_text()
    {
        Assert.Equal("Microsoft Hv", Text(CpuidLeaf.VendorEbx, CpuidLeaf.VendorEcx, CpuidLeaf.VendorEdx));
        Assert.Equal("Hv#1", Text(CpuidLeaf.InterfaceHv1));
        Assert.Equal("VS#1", Text(CpuidLeaf.VirtualizationStackInterfaceVs1));
        Assert.Equal("LAMOVR1\0", Text(unchecked((uint)BootHandover.ExpectedMagic), (uint)(BootHandover.ExpectedMagic >> 32)));
    }

    private static string Text(params uint[] words) => string.Concat(words.SelectMany(BitConverter.GetBytes).Select(unit => (char)unit));

    [Theory]
    [InlineData(typeof(HypercallCode))]
    [InlineData(typeof(HvMsr))]
    [InlineData(typeof(HvMessageType))]
    [InlineData(typeof(HvRegisterName))]
    [InlineData(typeof(HvPartitionPropertyCode))]
    [InlineData(typeof(HvStatsVpCounters))]
    public void No_number_has_two_names(Type constants)
    {
        var values = constants.GetFields(BindingFlags.Public | BindingFlags.Static).Where(field => field.Name is not ("FirstExtended" or "HypervisorBit"))
            .Select(field => Convert.ToUInt64(field.GetRawConstantValue())).ToList();
        Assert.Equal(values.Count, values.Distinct().Count());
    }

    [Fact]
    public void No_status_or_privilege_has_two_names()
    {
        var status = typeof(HvStatus).GetProperties(BindingFlags.Public | BindingFlags.Static).Select(p => ((HvStatus)p.GetValue(null)).Value).ToList();
        Assert.Equal(status.Count, status.Distinct().Count());
        var privileges = typeof(PartitionPrivileges).GetProperties(BindingFlags.Public | BindingFlags.Static)
            .Where(p => p.Name != "None").Select(p => ((PartitionPrivileges)p.GetValue(null)).Value).ToList();
        Assert.Equal(privileges.Count, privileges.Distinct().Count());
        Assert.All(privileges, bit => Assert.True(ulong.IsPow2(bit)));
    }

    [Fact]
    public void Privileges_are_the_bits_that_guests_read()
    {
        Assert.Equal(1u << 5, PartitionPrivileges.AccessHypercallMsrs.Eax);
        Assert.Equal(1u << 11, PartitionPrivileges.AccessFrequencyMsrs.Eax);
        Assert.Equal(1u << 0, PartitionPrivileges.CreatePartitions.Ebx);
        Assert.Equal(1u << 4, PartitionPrivileges.PostMessages.Ebx);
        Assert.Equal(1u << 12, PartitionPrivileges.CpuManagement.Ebx);
        Assert.Equal(1u << 20, PartitionPrivileges.EnableExtendedHypercalls.Ebx);
        var some = PartitionPrivileges.PostMessages | PartitionPrivileges.SignalEvents;
        Assert.True(some.Includes(PartitionPrivileges.SignalEvents));
        Assert.False(some.Includes(PartitionPrivileges.SignalEvents | PartitionPrivileges.CreatePort));
        Assert.True(some.Includes(PartitionPrivileges.None));
    }
}

public sealed class AbiBitTests
{
    [Fact]
    public void Insert_then_extract_returns_the_field_and_leaves_the_rest() =>
        Gen.Select(Gen.ULong, Gen.Int[0, 63], Gen.Int[0, 63], Gen.ULong).Sample((value, a, b, field) =>
        {
            int high = Math.Max(a, b), low = Math.Min(a, b);
            ulong mask = high - low == 63 ? ulong.MaxValue : (1UL << high - low + 1) - 1;
            ulong result = BitField.Insert(value, high, low, field);
            return BitField.Extract(result, high, low) == (field & mask) && (result & ~(mask << low)) == (value & ~(mask << low));
        });

    [Fact]
    public void Bits_set_and_clear() =>
        Gen.Select(Gen.ULong, Gen.Int[0, 63], Gen.Bool).Sample((value, bit, on) =>
        {
            ulong result = BitField.WithBit(value, bit, on);
            return BitField.IsSet(result, bit) == on && (result | 1UL << bit) == (value | 1UL << bit);
        });

    [Fact]
    public void An_execution_state_has_the_bits_of_CR0_and_EFER() =>
        Gen.Select(Gen.Int[0, 3], Gen.ULong, Gen.ULong, Gen.Bool).Sample((cpl, cr0, efer, pending) =>
            HvX64VpExecutionState.Of((byte)cpl, cr0, efer, pending).Value == new HvX64VpExecutionState(0).WithCpl((byte)cpl).WithCr0Pe(BitField.IsSet(cr0, 0))
                .WithCr0Am(BitField.IsSet(cr0, 18)).WithEferLma(BitField.IsSet(efer, 10)).WithInterruptionPending(pending).Value);

    [Fact]
    public void A_SINT_interrupts_unless_it_is_masked_or_polled() =>
        Gen.ULong.Sample(value => new SintMsr(value) is var sint && sint.Interrupts == !(sint.Masked || sint.Polling));

    [Fact]
    public void Hypercall_input_fields_are_where_TLFS_has_them()
    {
        var input = new HypercallInput(0x0123_0ABC_0000_0000UL | 0x5Du | 1u << 16 | 0x155u << 17);
        Assert.Equal(HypercallCode.HvCallSignalEvent, input.CallCode);
        Assert.True(input.IsFast);
        Assert.Equal(0x155u, input.VariableHeaderSize);
        Assert.Equal(0xABCu, input.RepCount);
        Assert.Equal(0x123u, input.RepStartIndex);
        Assert.False(input.HasReservedBits);
        Assert.Equal(0x456u, input.WithRepStartIndex(0x456).RepStartIndex);
        Assert.Equal(input.Value & ~(0xFFFUL << 48), input.WithRepStartIndex(0).Value);
    }

    [Fact]
    public void Reserved_bits_of_the_hypercall_input_are_noticed()
    {
        int[] reserved = [27, 28, 29, 30, 44, 45, 46, 47, 60, 61, 62, 63];
        for (int bit = 0; bit < 64; bit++)
            Assert.Equal(reserved.Contains(bit), new HypercallInput(1UL << bit).HasReservedBits);
    }

    [Fact]
    public void Hypercall_result_round_trips() =>
        Gen.Select(Gen.UShort, Gen.UInt[0, 0xFFF]).Sample((status, reps) =>
        {
            var result = new HypercallResult(new HvStatus(status), reps);
            return result.Status.Value == status && result.RepsCompleted == reps && result.Value == (status | (ulong)reps << 32);
        });

    [Fact]
    public void Stimer_configuration_round_trips() =>
        Gen.Select(Gen.ULong, Gen.Byte, Gen.Byte[0, 15], Gen.Bool, Gen.Bool).Sample((value, vector, sint, direct, on) =>
        {
            var config = new StimerConfigMsr(value).WithApicVector(vector).WithSINTx(sint).WithDirectMode(direct).WithEnable(on);
            return config.ApicVector == vector && config.SINTx == sint && config.DirectMode == direct && config.Enable == on
                && config.Periodic == new StimerConfigMsr(value).Periodic;
        });

    [Fact]
    public void Sint_bits_are_where_TLFS_has_them()
    {
        var sint = new SintMsr(0x0007_0000UL | 0xF3);
        Assert.Equal(0xF3, sint.Vector);
        Assert.True(sint.Masked && sint.AutoEoi && sint.Polling);
        Assert.True(SintMsr.Reset.Masked);
        Assert.Equal(1UL << 17, new SintMsr(0).WithAutoEoi(true).Value);
    }

    [Fact]
    public void Page_registers_keep_their_low_bits() =>
        Gen.Select(Gen.ULong, Gen.ULong[0, (1UL << 52) - 1]).Sample((value, page) =>
            new HypercallMsr(value).WithHypercallGpfn(page) is var call && call.HypercallGpfn == page && (call.Value & 0xFFF) == (value & 0xFFF)
            && new SimpMsr(value).WithBaseSimpGpfn(page).BaseSimpGpfn == page && new SiefpMsr(value).WithBaseSiefpGpfn(page).BaseSiefpGpfn == page
            && new ReferenceTscMsr(value).WithGpfn(page).Gpfn == page && new VpAssistPageMsr(value).WithGpfn(page).Gpfn == page);

    [Fact]
    public void Pending_interruption_round_trips() =>
        Gen.Select(Gen.Byte[0, 7], Gen.UShort, Gen.UInt, Gen.Byte[0, 15], Gen.Bool).Sample((type, vector, code, length, deliver) =>
        {
            var pending = default(HvX64PendingInterruptionRegister).WithInterruptionPending(true).WithInterruptionType(type).WithInterruptionVector(vector)
                .WithErrorCode(code).WithInstructionLength(length).WithDeliverErrorCode(deliver);
            return pending.InterruptionPending && pending.InterruptionType == type && pending.InterruptionVector == vector && pending.ErrorCode == code
                && pending.InstructionLength == length && pending.DeliverErrorCode == deliver && !pending.NestedEvent;
        });

    [Fact]
    public void Guest_os_id_of_a_linux_is_read()
    {
        var id = new GuestOsId(0x8100_0006_01C0_0000); // what Linux 6.1.192 writes: open source, type 1, version 6.1.192
        Assert.True(id.IsOpenSource);
        Assert.Equal(1, id.OsType);
        Assert.Equal(0x000601C0u, id.Version);
    }

    [Fact]
    public void Pages_and_bytes_convert() =>
        Gen.ULong[0, ulong.MaxValue - 4095].Sample(bytes =>
        {
            var pages = PageCount.ForBytes(bytes);
            var address = new PhysicalAddress(bytes);
            return pages.Value == bytes / 4096 + (bytes % 4096 == 0 ? 0UL : 1UL)
                && PhysicalAddress.FromPageNumber(address.PageNumber) + address.PageOffset == address;
        });

    [Fact]
    public void Device_ids_round_trip() =>
        Gen.Select(Gen.UShort, Gen.UShort).Sample((segment, bdf) =>
            HvDeviceId.Pci(segment, bdf) is var id && id.DeviceType == HvDeviceId.HvDeviceTypePci && id.PciSegment == segment && id.PciBdf == bdf);
}
