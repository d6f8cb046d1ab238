// The hypercall codes. TLFS, "Hypercall Code Reference".

namespace Lamina.Abi;

/// <summary>HV_CALL_CODE: bits 15:0 of the hypercall input value.</summary>
public static class HypercallCode
{
    public const ushort HvCallSwitchVirtualAddressSpace = 0x0001;
    public const ushort HvCallFlushVirtualAddressSpace = 0x0002;
    public const ushort HvCallFlushVirtualAddressList = 0x0003;
    public const ushort HvCallNotifyLongSpinWait = 0x0008;
    public const ushort HvCallSendSyntheticClusterIpi = 0x000B;
    public const ushort HvCallEnableVpVtl = 0x000F;
    public const ushort HvCallVtlCall = 0x0011;
    public const ushort HvCallVtlReturn = 0x0012;
    public const ushort HvCallFlushVirtualAddressSpaceEx = 0x0013;
    public const ushort HvCallFlushVirtualAddressListEx = 0x0014;
    public const ushort HvCallSendSyntheticClusterIpiEx = 0x0015;
    public const ushort HvCallCreatePartition = 0x0040;
    public const ushort HvCallInitializePartition = 0x0041;
    public const ushort HvCallFinalizePartition = 0x0042;
    public const ushort HvCallDeletePartition = 0x0043;
    public const ushort HvCallGetPartitionProperty = 0x0044;
    public const ushort HvCallSetPartitionProperty = 0x0045;
    public const ushort HvCallGetPartitionId = 0x0046;
    public const ushort HvCallGetNextChildPartition = 0x0047;
    public const ushort HvCallDepositMemory = 0x0048;
    public const ushort HvCallWithdrawMemory = 0x0049;
    public const ushort HvCallGetMemoryBalance = 0x004A;
    public const ushort HvCallMapGpaPages = 0x004B;
    public const ushort HvCallUnmapGpaPages = 0x004C;
    public const ushort HvCallInstallIntercept = 0x004D;
    public const ushort HvCallCreateVp = 0x004E;
    public const ushort HvCallDeleteVp = 0x004F;
    public const ushort HvCallGetVpRegisters = 0x0050;
    public const ushort HvCallSetVpRegisters = 0x0051;
    public const ushort HvCallTranslateVirtualAddress = 0x0052;
    public const ushort HvCallReadGpa = 0x0053;
    public const ushort HvCallWriteGpa = 0x0054;
    public const ushort HvCallClearVirtualInterrupt = 0x0056;
    public const ushort HvCallDeletePort = 0x0058;
    public const ushort HvCallGetPortProperty = 0x005A;
    public const ushort HvCallDisconnectPort = 0x005B;
    public const ushort HvCallPostMessage = 0x005C;
    public const ushort HvCallSignalEvent = 0x005D;
    public const ushort HvCallPostDebugData = 0x0069;
    public const ushort HvCallRetrieveDebugData = 0x006A;
    public const ushort HvCallResetDebugSession = 0x006B;
    public const ushort HvCallMapStatsPage = 0x006C;
    public const ushort HvCallUnmapStatsPage = 0x006D;
    public const ushort HvCallSetSystemProperty = 0x006F;
    public const ushort HvCallSetPortProperty = 0x0070;
    public const ushort HvCallOutputDebugCharacter = 0x0071;
    public const ushort HvCallAddLogicalProcessor = 0x0076;
    public const ushort HvCallRemoveLogicalProcessor = 0x0077;
    public const ushort HvCallQueryNumaDistance = 0x0078;
    public const ushort HvCallSetLogicalProcessorProperty = 0x0079;
    public const ushort HvCallGetLogicalProcessorProperty = 0x007A;
    public const ushort HvCallGetSystemProperty = 0x007B;
    public const ushort HvCallMapDeviceInterrupt = 0x007C;
    public const ushort HvCallUnmapDeviceInterrupt = 0x007D;
    public const ushort HvCallRetargetDeviceInterrupt = 0x007E;
    public const ushort HvCallEnterSleepState = 0x0084;
    public const ushort HvCallNotifyPartitionEvent = 0x0087;
    public const ushort HvCallNotifyPortRingEmpty = 0x008B;
    public const ushort HvCallRegisterInterceptResult = 0x0091;
    public const ushort HvCallUnregisterInterceptResult = 0x0092;
    public const ushort HvCallAssertVirtualInterrupt = 0x0094;
    public const ushort HvCallCreatePort = 0x0095;
    public const ushort HvCallConnectPort = 0x0096;
    public const ushort HvCallStartVirtualProcessor = 0x0099;
    public const ushort HvCallGetVpIndexFromApicId = 0x009A;
    public const ushort HvCallFlushGuestPhysicalAddressSpace = 0x00AF;
    public const ushort HvCallFlushGuestPhysicalAddressList = 0x00B0;
    public const ushort HvCallSignalEventDirect = 0x00C0;
    public const ushort HvCallPostMessageDirect = 0x00C1;
    public const ushort HvCallDispatchVp = 0x00C2;
    public const ushort HvCallGetGpaPagesAccessStates = 0x00C9;
    public const ushort HvCallMapVpStatePage = 0x00E1;
    public const ushort HvCallUnmapVpStatePage = 0x00E2;
    public const ushort HvCallGetVpState = 0x00E3;
    public const ushort HvCallSetVpState = 0x00E4;
    public const ushort HvCallGetVpCpuidValues = 0x00F4;
    public const ushort HvCallMemoryMappedIoRead = 0x0106;
    public const ushort HvCallMemoryMappedIoWrite = 0x0107;

    /// <summary>Codes from here on are extended hypercalls, for whoever has EnableExtendedHypercalls.</summary>
    public const ushort FirstExtended = 0x8000;
    public const ushort HvExtCallQueryCapabilities = 0x8001;
    public const ushort HvExtCallGetBootZeroedMemory = 0x8002;
    public const ushort HvExtCallMemoryHeatHint = 0x8003;
}
