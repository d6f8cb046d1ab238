// The hypercalls that this core has: code, shape, privilege. docs/hypercalls.md is this table in prose.
using Lamina.Abi;
using static Lamina.Abi.HypercallCode;
using static Lamina.Hypervisor.Hypercalls.HypercallDescriptor;

namespace Lamina.Hypervisor.Hypercalls;

public static unsafe class HypercallTable
{
    private const int Element64 = 8, Element32 = 4;

    private static PartitionPrivileges None => PartitionPrivileges.None;
    /// <summary>What a parent needs to act upon partitions at all. Which ones is checked by <see cref="Targets"/>.</summary>
    private static PartitionPrivileges Parent => PartitionPrivileges.CreatePartitions;
    private static PartitionPrivileges Pool => PartitionPrivileges.AccessMemoryPool;
    private static PartitionPrivileges Registers => PartitionPrivileges.AccessVpRegisters;
    private static PartitionPrivileges Devices => PartitionPrivileges.CpuManagement;

    /// <summary>No call of the table has a higher code.</summary>
    public const ushort HighestCode = HvCallPostMessageDirect;

    /// <summary>False: HV_STATUS_INVALID_HYPERCALL_CODE.</summary>
    public static bool TryGet(ushort code, out HypercallDescriptor call)
    {
        switch (code)
        {
            case HvCallFlushVirtualAddressSpace: call = Simple(None, sizeof(HvInputFlushVirtualAddressSpace)); return true;
            case HvCallFlushVirtualAddressList: call = Rep(None, sizeof(HvInputFlushVirtualAddressSpace), Element64); return true;
            case HvCallFlushVirtualAddressSpaceEx: call = Simple(None, sizeof(HvInputFlushVirtualAddressSpaceEx), variable: true); return true;
            case HvCallFlushVirtualAddressListEx: call = Rep(None, sizeof(HvInputFlushVirtualAddressSpaceEx), Element64, variable: true); return true;
            case HvCallNotifyLongSpinWait: call = Simple(None, sizeof(HvInputNotifyLongSpinWait)); return true;
            case HvCallSendSyntheticClusterIpi: call = Simple(None, sizeof(HvInputSendSyntheticClusterIpi)); return true;
            case HvCallSendSyntheticClusterIpiEx: call = Simple(None, sizeof(HvInputSendSyntheticClusterIpiEx), variable: true); return true;

            case HvCallCreatePartition: call = Simple(Parent, sizeof(HvInputCreatePartition), sizeof(HvOutputCreatePartition)); return true;
            case HvCallInitializePartition: call = Simple(Parent, sizeof(HvInputInitializePartition)); return true;
            case HvCallFinalizePartition: call = Simple(Parent, sizeof(HvInputFinalizePartition)); return true;
            case HvCallDeletePartition: call = Simple(Parent, sizeof(HvInputDeletePartition)); return true;
            case HvCallGetPartitionProperty: call = Simple(Parent, sizeof(HvInputGetPartitionProperty), sizeof(HvOutputGetPartitionProperty)); return true;
            case HvCallSetPartitionProperty: call = Simple(Parent, sizeof(HvInputSetPartitionProperty)); return true;
            case HvCallGetPartitionId: call = Simple(PartitionPrivileges.AccessPartitionId, 0, sizeof(HvOutputGetPartitionId)); return true;
            case HvCallGetNextChildPartition: call = Simple(Parent, sizeof(HvInputGetNextChildPartition), sizeof(HvOutputGetNextChildPartition)); return true;

            case HvCallDepositMemory: call = Rep(Pool, sizeof(HvInputDepositMemory), Element64); return true;
            case HvCallWithdrawMemory: call = Rep(Pool, sizeof(HvInputWithdrawMemory), 0, Element64); return true;
            case HvCallGetMemoryBalance: call = Simple(Pool, sizeof(HvInputGetMemoryBalance), sizeof(HvOutputGetMemoryBalance)); return true;
            case HvCallMapGpaPages: call = Rep(Parent, sizeof(HvInputMapGpaPages), Element64); return true;
            case HvCallUnmapGpaPages: call = Rep(Parent, sizeof(HvInputUnmapGpaPages), 0); return true;
            case HvCallTranslateVirtualAddress: call = Simple(Registers, sizeof(HvInputTranslateVirtualAddress), sizeof(HvOutputTranslateVirtualAddress)); return true;

            case HvCallInstallIntercept: call = Simple(Parent, sizeof(HvInputInstallIntercept)); return true;
            case HvCallCreateVp: call = Simple(Parent, sizeof(HvInputCreateVp)); return true;
            case HvCallDeleteVp: call = Simple(Parent, sizeof(HvInputDeleteVp)); return true;
            case HvCallGetVpRegisters: call = Rep(Registers, sizeof(HvInputGetVpRegisters), Element32, sizeof(HvRegisterValue)); return true;
            case HvCallSetVpRegisters: call = Rep(Registers, sizeof(HvInputSetVpRegisters), sizeof(HvRegisterAssoc)); return true;
            case HvCallGetVpIndexFromApicId: call = Rep(Registers, sizeof(HvInputGetVpIndexFromApicId), Element32, Element32); return true;

            case HvCallAssertVirtualInterrupt: call = Simple(Parent, sizeof(HvInputAssertVirtualInterrupt)); return true;
            case HvCallClearVirtualInterrupt: call = Simple(Parent, sizeof(HvInputClearVirtualInterrupt)); return true;
            case HvCallMapDeviceInterrupt: call = Simple(Devices, sizeof(HvInputMapDeviceInterrupt), sizeof(HvOutputMapDeviceInterrupt), variable: true); return true;
            case HvCallUnmapDeviceInterrupt: call = Simple(Devices, sizeof(HvInputUnmapDeviceInterrupt)); return true;
            case HvCallRetargetDeviceInterrupt: call = Simple(Devices, sizeof(HvInputRetargetDeviceInterrupt), variable: true); return true;

            case HvCallCreatePort: call = Simple(PartitionPrivileges.CreatePort, sizeof(HvInputCreatePort)); return true;
            case HvCallDeletePort: call = Simple(PartitionPrivileges.CreatePort, sizeof(HvInputDeletePort)); return true;
            case HvCallConnectPort: call = Simple(PartitionPrivileges.ConnectPort, sizeof(HvInputConnectPort)); return true;
            case HvCallDisconnectPort: call = Simple(PartitionPrivileges.ConnectPort, sizeof(HvInputDisconnectPort)); return true;
            case HvCallPostMessage: call = Simple(PartitionPrivileges.PostMessages, sizeof(HvInputPostMessage)); return true;
            case HvCallSignalEvent: call = Simple(PartitionPrivileges.SignalEvents, sizeof(HvInputSignalEvent)); return true;
            case HvCallPostMessageDirect: call = Simple(Parent, sizeof(HvInputPostMessageDirect)); return true;
            case HvCallSignalEventDirect: call = Simple(Parent, sizeof(HvInputSignalEventDirect), sizeof(HvOutputSignalEventDirect)); return true;

            case HvCallMapStatsPage: call = Simple(PartitionPrivileges.AccessStats, sizeof(HvInputMapStatsPage), sizeof(HvOutputMapStatsPage)); return true;
            case HvCallUnmapStatsPage: call = Simple(PartitionPrivileges.AccessStats, sizeof(HvInputUnmapStatsPage)); return true;
            case HvCallGetSystemProperty: call = Simple(Parent, sizeof(HvInputGetSystemProperty), Element64); return true;
        }
        call = default;
        return false;
    }
}
