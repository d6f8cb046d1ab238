// Size and every offset of the ABI's structures against the definitions of TLFS (and, for the root's calls, those that Linux shares with the hypervisor).

using System.Linq;
using Xunit;

namespace Lamina.Tests.Host.Abi;

public sealed class AbiLayoutTests
{
    private const string Space = "Lamina.Abi";

    private const string Table = """
        # Messages. TLFS, "Inter-Partition Communication"
        HvMessageHeader 16: MessageType 0, PayloadSize 4, MessageFlags 5, Reserved 6, SenderOrPort 8
        HvMessage 256: Header 0, Payload 16
        HvSynicEventRing 256: SignalMasked 0, RingFull 1, ReservedZ 2, Data 4
        HvTimerMessagePayload 24: TimerIndex 0, Reserved 4, ExpirationTime 8, DeliveryTime 16

        # Intercept messages. TLFS, "Intercept Message Formats"
        HvX64InterceptMessageHeader 40: VpIndex 0, InstructionLengthAndCr8 4, InterceptAccessType 5, ExecutionState 6, CsSegment 8, Rip 24, Rflags 32
        HvX64IoPortInterceptMessage 128: Header 0, PortNumber 40, AccessInfo 42, InstructionByteCount 43, Reserved 44, Rax 48, InstructionBytes 56,
          DsSegment 72, EsSegment 88, Rcx 104, Rsi 112, Rdi 120
        HvX64MemoryInterceptMessage 80: Header 0, CacheType 40, InstructionByteCount 44, MemoryAccessInfo 45, TprPriority 46, Reserved1 47,
          GuestVirtualAddress 48, GuestPhysicalAddress 56, InstructionBytes 64
        HvX64MsrInterceptMessage 64: Header 0, MsrNumber 40, Reserved 44, Rdx 48, Rax 56
        HvX64CpuidInterceptMessage 104: Header 0, Rax 40, Rcx 48, Rdx 56, Rbx 64, DefaultResultRax 72, DefaultResultRcx 80, DefaultResultRdx 88, DefaultResultRbx 96
        HvX64ExceptionInterceptMessage 240: Header 0, ExceptionVector 40, ExceptionInfo 42, InstructionByteCount 43, ErrorCode 44, ExceptionParameter 48,
          Reserved 56, InstructionBytes 64, DsSegment 80, SsSegment 96, Rax 112, Rcx 120, Rdx 128, Rbx 136, Rsp 144, Rbp 152, Rsi 160, Rdi 168,
          R8 176, R9 184, R10 192, R11 200, R12 208, R13 216, R14 224, R15 232
        HvX64InvalidVpRegisterMessage 8: VpIndex 0, Reserved 4
        HvX64ApicEoiMessage 8: VpIndex 0, InterruptVector 4
        HvX64SipiInterceptMessage 48: Header 0, TargetVpIndex 40, InterruptVector 44
        HvX64InterruptionDeliverableMessage 48: Header 0, DeliverableType 40, Reserved0 41, Reserved1 42, Reserved2 44
        HvX64HypercallInterceptMessage 208: Header 0, Rax 40, Rbx 48, Rcx 56, Rdx 64, R8 72, Rsi 80, Rdi 88, XmmRegisters 96, Flags 192,
          Reserved0 196, Reserved1 200, Reserved2 204

        # Registers. TLFS, "Virtual Processor Register Formats"
        HvRegisterValue 16: Reg64 0, High64 8, Reg32 0, Reg16 0, Reg8 0, FpControlStatus 0, XmmControlStatus 0, Segment 0, Table 0, ExplicitSuspend 0,
          InterceptSuspend 0, InternalActivity 0, InterruptState 0, PendingInterruption 0, PendingEvent 0
        HvRegisterAssoc 32: Name 0, Reserved1 4, Reserved2 8, Value 16
        HvX64SegmentRegister 16: Base 0, Limit 8, Selector 12, Attributes 14
        HvX64TableRegister 16: Pad 0, Limit 6, Base 8
        HvX64FpControlStatusRegister 16: FpControl 0, FpStatus 2, FpTag 4, Reserved 5, LastFpOp 6, LastFpRip 8
        HvX64XmmControlStatusRegister 16: LastFpRdp 0, XmmStatusControl 8, XmmStatusControlMask 12
        HvX64PendingExceptionEvent 16: Event 0, ErrorCode 4, ExceptionParameter 8
        HvInitialVpContext 224: Rip 0, Rsp 8, Rflags 16, Cs 24, Ds 40, Es 56, Fs 72, Gs 88, Ss 104, Tr 120, Ldtr 136, Idtr 152, Gdtr 168,
          Efer 184, Cr0 192, Cr3 200, Cr4 208, MsrCrPat 216

        # Partitions
        HvProximityDomainInfo 8: DomainId 0, Flags 4
        HvInputCreatePartition 56: Flags 0, ProximityDomainInfo 8, CompatibilityVersion 16, Padding 20, DisabledProcessorFeatures 24,
          DisabledProcessorXsaveFeatures 40, IsolationProperties 48
        HvInputGetNextChildPartition 16: ParentId 0, PreviousChildId 8
        HvInputGetPartitionProperty 16: PartitionId 0, PropertyCode 8, Padding 12
        HvInputSetPartitionProperty 24: PartitionId 0, PropertyCode 8, Padding 12, PropertyValue 16
        HvInputGetSystemProperty 16: PropertyId 0, Reserved 4, Parameter 8

        # Memory
        HvInputWithdrawMemory 16: PartitionId 0, ProximityDomainInfo 8
        HvInputGetMemoryBalance 16: PartitionId 0, ProximityDomainInfo 8
        HvOutputGetMemoryBalance 16: PagesAvailable 0, PagesInUse 8
        HvInputMapGpaPages 24: TargetPartitionId 0, TargetGpaBase 8, MapFlags 16, Padding 20
        HvInputUnmapGpaPages 24: TargetPartitionId 0, TargetGpaBase 8, UnmapFlags 16, Padding 20
        HvInputTranslateVirtualAddress 32: PartitionId 0, VpIndex 8, Padding 12, ControlFlags 16, GvaPage 24
        HvOutputTranslateVirtualAddress 16: ResultCode 0, Attributes 4, GpaPage 8
        HvInputMemoryMappedIoRead 16: Gpa 0, AccessWidth 8, ReservedZ0 12
        HvInputMemoryMappedIoWrite 80: Gpa 0, AccessWidth 8, ReservedZ0 12, Data 16

        # Intercepts
        HvInputInstallIntercept 24: PartitionId 0, AccessType 8, InterceptType 12, InterceptParameters 16
        HvInputRegisterInterceptResultCpuid 64: PartitionId 0, VpIndex 8, InterceptType 12, InputEax 16, InputEcx 20, SubleafSpecific 24, AlwaysOverride 25,
          Padding 26, Eax 28, EaxMask 32, Ebx 36, EbxMask 40, Ecx 44, EcxMask 48, Edx 52, EdxMask 56
        HvInputRegisterInterceptResultMsr 32: PartitionId 0, VpIndex 8, InterceptType 12, MsrIndex 16, AccessType 20, Action 24

        # Virtual processors
        HvInputCreateVp 40: PartitionId 0, VpIndex 8, Padding 12, SubnodeType 15, SubnodeId 16, ProximityDomainInfo 24, Flags 32
        HvInputDeleteVp 16: PartitionId 0, VpIndex 8, Reserved 12
        HvInputGetVpRegisters 16: PartitionId 0, VpIndex 8, InputVtl 12, RsvdZ8 13, RsvdZ16 14
        HvInputSetVpRegisters 16: PartitionId 0, VpIndex 8, InputVtl 12, Extension 13, RsvdZ16 14
        HvInputStartVirtualProcessor 240: PartitionId 0, VpIndex 8, TargetVtl 12, ReservedZ0 13, ReservedZ1 14, VpContext 16
        HvInputGetVpIndexFromApicId 16: PartitionId 0, TargetVtl 8, Padding 9
        HvInputGetVpCpuidValues 24: PartitionId 0, VpIndex 8, Flags 12, Reserved 16, Padding 20
        HvCpuidLeafInfo 24: Eax 0, Ecx 4, Xfem 8, Xss 16
        HvCpuidResult 16: Eax 0, Ebx 4, Ecx 8, Edx 12
        HvInputMapVpStatePage 16: PartitionId 0, VpIndex 8, Type 12
        HvInputVpState 40: PartitionId 0, VpIndex 8, InputVtl 12, Rsvd0 13, Rsvd1 14, StateType 16, Rsvd2 20, XsaveFlags 24, XsaveStates 32
        HvStimerState 40: UndeliveredMessagePending 0, Reserved 4, Config 8, Count 16, Adjustment 24, UndeliveredExpirationTime 32
        HvSyntheticTimersState 200: Timer0 0, Timer1 40, Timer2 80, Timer3 120, Reserved 160

        # Interrupts
        HvInputAssertVirtualInterrupt 32: TargetPartition 0, InterruptControl 8, DestinationAddress 16, RequestedVector 24, TargetVtl 28, ReservedZ0 29, ReservedZ1 30
        HvInterruptEntry 16: InterruptSource 0, Reserved 4, MsiAddress 8, MsiData 12, IoApicRte 8
        HvDeviceInterruptTarget 16: Vector 0, Flags 4, VpMaskOrFormat 8
        HvDeviceInterruptDescriptor 32: InterruptType 0, TriggerMode 4, VectorCount 8, Reserved 12, Target 16
        HvInputMapDeviceInterrupt 72: PartitionId 0, DeviceId 8, Flags 16, BaseIrtIdx 20, LogicalInterruptEntry 24, InterruptDescriptor 40
        HvOutputMapDeviceInterrupt 56: InterruptEntry 0, ExtStatusDeprecated 16
        HvInputUnmapDeviceInterrupt 32: PartitionId 0, DeviceId 8, InterruptEntry 16
        HvInputRetargetDeviceInterrupt 56: PartitionId 0, DeviceId 8, InterruptEntry 16, Reserved 32, InterruptTarget 40

        # Ports
        HvPortInfo 24: PortType 0, Padding 4, TargetSint 8, TargetVp 12, BaseFlagNumber 16, FlagCount 18, EventReservedZ 20, MonitorAddress 8, ReservedZ 16
        HvConnectionInfo 32: PortType 0, Padding 4, ReservedZ 8, MonitorAddress 8, DoorbellGpa 8, DoorbellTriggerValue 16, DoorbellFlags 24
        HvInputCreatePort 56: PortPartition 0, PortId 8, PortVtl 12, MinConnectionVtl 13, Padding 14, ConnectionPartition 16, PortInfo 24, ProximityDomainInfo 48
        HvInputDeletePort 16: PortPartition 0, PortId 8, Reserved 12
        HvInputConnectPort 72: ConnectionPartition 0, ConnectionId 8, ConnectionVtl 12, ReservedZ0 13, ReservedZ1 14, PortPartition 16, PortId 24,
          Reserved2 28, ConnectionInfo 32, ProximityDomainInfo 64
        HvInputDisconnectPort 16: ConnectionPartition 0, ConnectionId 8, Flags 12
        HvInputPostMessage 256: ConnectionId 0, Reserved 4, MessageType 8, PayloadSize 12, Payload 16
        HvInputSignalEvent 8: ConnectionId 0, FlagNumber 4, RsvdZ 6
        HvInputPostMessageDirect 280: PartitionId 0, VpIndex 8, Vtl 12, Padding0 13, SintIndex 16, Message 20, Padding1 276
        HvInputSignalEventDirect 16: TargetPartition 0, TargetVp 8, TargetVtl 12, TargetSint 13, FlagNumber 14
        HvOutputSignalEventDirect 8: NewlySignaled 0, Reserved 1
        HvInputNotifyPortRingEmpty 8: SintIndex 0, Reserved 4

        # Statistics. Linux, hv_input_map_stats_page and hv_stats_object_identity
        HvStatsObjectIdentity 16: PartitionId 0, LpIndex 0, VpIndex 8, Flags 12, Reserved 14, StatsAreaType 15
        HvInputMapStatsPage 24: Type 0, Padding 4, Identity 8
        HvInputUnmapStatsPage 24: Type 0, Padding 4, Identity 8

        # Flushes and cluster IPIs
        HvVpSet 16: Format 0, ValidBankMask 8
        HvInputFlushVirtualAddressSpace 24: AddressSpace 0, Flags 8, ProcessorMask 16
        HvInputFlushVirtualAddressSpaceEx 32: AddressSpace 0, Flags 8, ProcessorSet 16
        HvInputSendSyntheticClusterIpi 16: Vector 0, TargetVtl 4, Padding 5, ProcessorMask 8
        HvInputSendSyntheticClusterIpiEx 24: Vector 0, TargetVtl 4, Padding 5, ProcessorSet 8

        # Pages
        ReferenceTscPage 4096: TscSequence 0, Reserved1 4, TscScale 8, TscOffset 16
        VpAssistPage 4096: ApicAssist 0, ReservedZ0 4, VtlEntryReason 8, VtlReserved 12, VtlReturnX64Rax 16, VtlReturnX64Rcx 24,
          NestedEnlightenmentsControl 32, EnlightenVmEntry 40, ReservedZ1 41, CurrentNestedVmcs 48, SyntheticTimeUnhaltedTimerExpired 56, ReservedZ2 57,
          VirtualizationFaultInformation 64, ReservedZ3 104, InterceptMessage 112, VtlReturnActions 368

        # The handover
        BootHandover 168: Magic 0, Version 8, Size 12, CoreImagePhysical 16, CoreImageSize 24, CoreMemoryPhysical 32, CoreMemorySize 40,
          RootImagePhysical 48, RootImageSize 56, RootMemoryPhysical 64, RootMemorySize 72, TrampolinePhysical 80, Rsdp 88, MemoryMapPhysical 96,
          MemoryMapCount 104, ModuleCount 108, ModulesPhysical 112, Framebuffer 120, BootTsc 152, BootSource 160, Flags 164
        FramebufferInfo 32: Base 0, Size 8, Width 16, Height 20, PixelsPerScanLine 24, Format 28
        MemoryRange 24: Base 0, Length 8, Type 16, Reserved 20
        BootModule 128: Base 0, Size 8, Name 16
        """;

    private static readonly LayoutRow[] Rows = LayoutTable.Parse(Table);

    public static TheoryData<string> Structures => new(Rows.Select(row => row.Structure));

    [Theory]
    [MemberData(nameof(Structures))]
    public void Structure_is_laid_out_as_the_manual_prints_it(string structure) =>
        Assert.Empty(LayoutTable.Differences(Rows.Single(row => row.Structure == structure), Space));

    [Fact]
    public void Every_structure_has_a_row() => Assert.Empty(LayoutTable.Undescribed(Space, Rows));

    [Fact]
    public unsafe void Single_field_structures_are_as_wide_as_their_field()
    {
        Assert.Equal(8, sizeof(Lamina.Abi.PartitionId));
        Assert.Equal(4, sizeof(Lamina.Abi.VpIndex));
        Assert.Equal(8, sizeof(Lamina.Abi.GuestPhysicalAddress));
        Assert.Equal(2, sizeof(Lamina.Abi.HvStatus));
        Assert.Equal(2, sizeof(Lamina.Abi.HvX64SegmentAttributes));
        Assert.Equal(1, sizeof(Lamina.Abi.HvX64IoPortAccessInfo));
        Assert.Equal(4096, sizeof(Lamina.Abi.HvMessagePage));
        Assert.Equal(4096, sizeof(Lamina.Abi.HvStatsPage));
        Assert.Equal(8, sizeof(Lamina.Abi.HvOutputMapStatsPage));
        Assert.Equal(4096, sizeof(Lamina.Abi.HvSynicEventFlagsPage));
    }
}
