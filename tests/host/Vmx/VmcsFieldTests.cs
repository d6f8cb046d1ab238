// Encodings of VMCS fields: the rule that the manual gives for them, its table, and the copies that the backend keeps.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text.RegularExpressions;
using Lamina.Hypervisor.Vmx;
using Xunit;

namespace Lamina.Tests.Host.Vmx;

public sealed unsafe class VmcsFieldTests
{
    // SDM 3D, appendix "Field Encoding in VMCS": the first and the last of each of its tables that is used here, and what is used most.
    private const string Manual = """
        VirtualProcessorIdentifier 0000  GuestEsSelector 0800  GuestTrSelector 080E  GuestInterruptStatus 0810  HostEsSelector 0C00  HostTrSelector 0C0C
        AddressOfIoBitmapA 2000  AddressOfMsrBitmaps 2004  TscOffset 2010  VirtualApicAddress 2012  ApicAccessAddress 2014  PostedInterruptDescriptorAddress 2016
        EptPointer 201A  EoiExitBitmap0 201C  EoiExitBitmap3 2022  XssExitingBitmap 202C  TscMultiplier 2032  GuestPhysicalAddress 2400  VmcsLinkPointer 2800
        GuestIa32Debugctl 2802  GuestIa32Pat 2804  GuestIa32Efer 2806  GuestPdpte0 280A  GuestPdpte3 2810  HostIa32Pat 2C00  HostIa32Efer 2C02
        PinBasedVmExecutionControls 4000  PrimaryProcessorBasedVmExecutionControls 4002  ExceptionBitmap 4004  VmExitControls 400C  VmEntryControls 4012
        VmEntryInterruptionInformation 4016  VmEntryExceptionErrorCode 4018  VmEntryInstructionLength 401A  TprThreshold 401C
        SecondaryProcessorBasedVmExecutionControls 401E  PleWindow 4022  VmInstructionError 4400  ExitReason 4402  VmExitInterruptionInformation 4404
        IdtVectoringInformation 4408  IdtVectoringErrorCode 440A  VmExitInstructionLength 440C  GuestEsLimit 4800  GuestIdtrLimit 4812  GuestEsAccessRights 4814
        GuestTrAccessRights 4822  GuestInterruptibilityState 4824  GuestActivityState 4826  GuestIa32SysenterCs 482A  VmxPreemptionTimerValue 482E
        HostIa32SysenterCs 4C00  Cr0GuestHostMask 6000  Cr4GuestHostMask 6002  Cr0ReadShadow 6004  Cr4ReadShadow 6006  ExitQualification 6400
        GuestLinearAddress 640A  GuestCr0 6800  GuestCr3 6802  GuestCr4 6804  GuestEsBase 6806  GuestIdtrBase 6818  GuestDr7 681A  GuestRsp 681C  GuestRip 681E
        GuestRflags 6820  GuestPendingDebugExceptions 6822  GuestIa32SysenterEsp 6824  GuestIa32SysenterEip 6826  HostCr0 6C00  HostRsp 6C14  HostRip 6C16
        """;

    private static Dictionary<string, ushort> Fields => typeof(VmcsField).GetFields(BindingFlags.Public | BindingFlags.Static)
        .ToDictionary(f => f.Name, f => (ushort)f.GetRawConstantValue());

    public static TheoryData<string, ushort> Table
    {
        get
        {
            TheoryData<string, ushort> rows = [];
            foreach (Match row in Regex.Matches(Manual, @"(\w+) ([0-9A-F]{4})\b"))
                rows.Add(row.Groups[1].Value, Convert.ToUInt16(row.Groups[2].Value, 16));
            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void Encoding_is_the_manuals(string name, ushort encoding) => Assert.Equal(encoding, Fields[name]);

    [Fact]
    public void No_encoding_has_two_names() => Assert.Equal(Fields.Count, Fields.Values.Distinct().Count());

    [Fact]
    public void Bit_0_is_access_to_an_upper_half_which_nobody_needs() => Assert.All(Fields.Values, e => Assert.Equal(0, e & 1));

    // Bits 11:10: guest state is 2, host state is 3, what exits report is 1.
    [Fact]
    public void Type_agrees_with_the_name() => Assert.All(Fields, f =>
    {
        int type = f.Value >> 10 & 3;
        bool isReport = f.Key is nameof(VmcsField.GuestPhysicalAddress) or nameof(VmcsField.GuestLinearAddress) or nameof(VmcsField.ExitReason);
        if (f.Key.StartsWith("Host")) Assert.Equal(3, type);
        else if (f.Key.StartsWith("Guest") && !isReport) Assert.Equal(2, type);
        else if (isReport || f.Key.StartsWith("IdtVectoring")) Assert.Equal(1, type);
    });

    [Theory]
    [InlineData("Selector", 0)]
    [InlineData("AccessRights", 2)]
    [InlineData("Limit", 2)]
    [InlineData("Base", 3)]
    public void Width_agrees_with_the_name(string ending, int width) =>
        Assert.All(Fields.Where(f => f.Key.EndsWith(ending)), f => Assert.Equal(width, f.Value >> 13 & 3));

    [Fact]
    public void Every_copy_is_of_another_field()
    {
        ushort[] encodings = CachedField.Encodings.ToArray();
        Assert.Equal(CachedField.Count, encodings.Length);
        Assert.Equal(encodings.Length, encodings.Distinct().Count());
    }

    [Fact]
    public void Every_copy_is_where_its_index_says()
    {
        ReadOnlySpan<ushort> encodings = CachedField.Encodings;
        foreach (FieldInfo field in typeof(CachedField).GetFields(BindingFlags.Public | BindingFlags.Static).Where(f => f.FieldType == typeof(int) && f.Name != nameof(CachedField.Count)))
        {
            string name = field.Name switch
            {
                nameof(CachedField.Selector) => nameof(VmcsField.GuestEsSelector),
                nameof(CachedField.Base) => nameof(VmcsField.GuestEsBase),
                nameof(CachedField.Limit) => nameof(VmcsField.GuestEsLimit),
                nameof(CachedField.OtherAccessRights) => nameof(VmcsField.GuestEsAccessRights),
                nameof(CachedField.Interruptibility) => nameof(VmcsField.GuestInterruptibilityState),
                nameof(CachedField.InstructionLength) => nameof(VmcsField.VmExitInstructionLength),
                nameof(CachedField.PrimaryControls) => nameof(VmcsField.PrimaryProcessorBasedVmExecutionControls),
                nameof(CachedField.SecondaryControls) => nameof(VmcsField.SecondaryProcessorBasedVmExecutionControls),
                nameof(CachedField.EntryControls) => nameof(VmcsField.VmEntryControls),
                nameof(CachedField.Efer) or nameof(CachedField.Pat) => "GuestIa32" + field.Name,
                nameof(CachedField.SysenterCs) or nameof(CachedField.SysenterEsp) or nameof(CachedField.SysenterEip) => "GuestIa32" + field.Name,
                _ => Fields.ContainsKey(field.Name) ? field.Name : "Guest" + field.Name,
            };
            Assert.Equal((name, Fields[name]), (name, encodings[(int)field.GetRawConstantValue()]));
        }
    }

    [Fact]
    public void Segments_have_their_copies_in_order()
    {
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(VmcsField.GuestEsSelector + 2 * i, CachedField.Encodings[CachedField.Selector + i]);
            Assert.Equal(VmcsField.GuestEsBase + 2 * i, CachedField.Encodings[CachedField.Base + i]);
            Assert.Equal(VmcsField.GuestEsLimit + 2 * i, CachedField.Encodings[CachedField.Limit + i]);
            Assert.Equal(VmcsField.GuestEsAccessRights + 2 * i, CachedField.Encodings[CachedField.AccessRightsOf(i)]);
        }
    }

    [Theory]
    [InlineData("STATE_RIP", CachedField.Rip * 8)]
    [InlineData("STATE_RFLAGS", CachedField.Rflags * 8)]
    [InlineData("STATE_INTERRUPTIBILITY", CachedField.Interruptibility * 8)]
    [InlineData("STATE_LENGTH", CachedField.InstructionLength * 8)]
    [InlineData("STATE_SS_RIGHTS", CachedField.SsAccessRights * 8)]
    [InlineData("STATE_CS_RIGHTS", CachedField.CsAccessRights * 8)]
    [InlineData("STATE_CR0", CachedField.Cr0 * 8)]
    [InlineData("EXTERNAL_INTERRUPT", VmxExitReason.ExternalInterrupt)]
    [InlineData("EXIT_REASON", VmcsField.ExitReason)]
    [InlineData("IDT_VECTORING_INFORMATION", VmcsField.IdtVectoringInformation)]
    [InlineData("EXIT_INSTRUCTION_LENGTH", VmcsField.VmExitInstructionLength)]
    [InlineData("GUEST_CS_RIGHTS", VmcsField.GuestCsAccessRights)]
    [InlineData("GUEST_SS_RIGHTS", VmcsField.GuestSsAccessRights)]
    [InlineData("GUEST_INTERRUPTIBILITY", VmcsField.GuestInterruptibilityState)]
    [InlineData("GUEST_CR0", VmcsField.GuestCr0)]
    [InlineData("GUEST_RIP", VmcsField.GuestRip)]
    [InlineData("GUEST_RFLAGS", VmcsField.GuestRflags)]
    [InlineData("HOST_RSP", VmcsField.HostRsp)]
    [InlineData("HOST_RIP", VmcsField.HostRip)]
    public void The_world_switch_knows_the_numbers(string name, int value) => Assert.Equal(value, Defined(name));

    [Fact]
    public void The_world_switch_knows_the_states_offsets()
    {
        VmxState state;
        byte* start = (byte*)&state;
        Assert.Equal((byte*)&state.ExitReason - start, Defined("STATE_REASON"));
        Assert.Equal((byte*)&state.IdtVectoringInformation - start, Defined("STATE_VECTORING"));
        Assert.Equal((byte*)&state.IsLaunched - start, Defined("STATE_LAUNCHED"));
        Assert.InRange(sizeof(VmxState), 1, 4096);
    }

    internal static int Defined(string name)
    {
        string source = File.ReadAllText(Path.Combine(Tools.Repository.Root, "hypervisor", "vmx", "vmx.asm"));
        string text = Regex.Match(source, $@"%define {name} (0x[0-9A-Fa-f]+|\d+)\s").Groups[1].Value;
        return text.StartsWith("0x") ? Convert.ToInt32(text, 16) : int.Parse(text);
    }
}
