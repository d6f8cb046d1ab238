// A core for the worker's tests: keeps partitions' books as the ABI says, runs nothing, fails where it is told to.
using System;
using System.Collections.Generic;
using System.Linq;
using Lamina.Abi;

namespace Lamina.Tests.Host.Worker;

public sealed class FakePartition
{
    /// <summary>0 created, 2 initialized, 3 finalized.</summary>
    public int State;
    public readonly List<ulong> Free = [], Used = [];
    public readonly Dictionary<ulong, ulong> Map = [];
    public readonly Dictionary<(uint Vp, uint Name), HvRegisterValue> Registers = [];
    public readonly HashSet<ushort> Ports = [];
    public readonly Dictionary<uint, ulong> StatsPages = [];
    public readonly Dictionary<uint, ulong> Properties = [];
    public readonly HashSet<uint> Vps = [], PortIds = [], ConnectionIds = [];
    public readonly List<(uint Vector, ulong Destination, ulong Control)> Interrupts = [];
    public readonly List<(uint Vp, byte Sint, ushort Flag)> Events = [];

    /// <summary>Virtual page to guest page, for HvCallTranslateVirtualAddress; absent pages are not present.</summary>
    public readonly Dictionary<ulong, ulong> Virtual = [];

    /// <summary>A table on the way cannot be read.</summary>
    public bool Unreadable;

    public ulong Register(uint name, uint vp = 0) => Registers.TryGetValue((vp, name), out HvRegisterValue value) ? value.Reg64 : 0;
    public bool Maps(ulong physical, ulong pages) => Map.Values.Any(p => p >= physical >> 12 && p < (physical >> 12) + pages);
}

public static unsafe class FakeCore
{
    private const ulong RootId = 1;
    private const uint RepsPerCall = 100;

    public static readonly Dictionary<ulong, FakePartition> Partitions = [];
    private static ulong _nextId;

    /// <summary>Calls made since <see cref="Reset"/>, deposits and withdrawals not counted.</summary>
    public static int CallCount;

    /// <summary>The number of the call that fails with <see cref="FailStatus"/>; -1: none.</summary>
    public static int FailAt = -1;
    public static HvStatus FailStatus = HvStatus.HV_STATUS_OPERATION_FAILED;
    public static readonly List<ushort> Codes = [];

    /// <summary>Messages that the root posted, by connection; while <see cref="PostsFail"/> the buffers are full.</summary>
    public static readonly List<(uint Connection, byte[] Payload)> Posted = [];
    public static bool PostsFail;

    public static IEnumerable<ulong> PagesOfCore => Partitions.Values.SelectMany(p => p.Free.Concat(p.Used));
    public static FakePartition Root => Partitions[RootId];
    public static FakePartition Child => Partitions.Last(p => p.Key != RootId).Value;
    public static ulong ChildId => Partitions.Last(p => p.Key != RootId).Key;
    public static int ChildCount => Partitions.Count - 1;

    /// <summary>A machine after boot.</summary>
    public static void Reset()
    {
        if (Partitions.Count == 0) Partitions.Add(RootId, new FakePartition { State = 2 });
        if (_nextId == 0) _nextId = 2;
        CallCount = 0;
        FailAt = -1;
        Codes.Clear();
        Posted.Clear();
        PostsFail = false;
    }

    public static ulong Call(ulong control, ulong inputAddress, ulong outputAddress)
    {
        var input = new HypercallInput(control);
        byte* parameters = (byte*)inputAddress;
        byte* output = (byte*)outputAddress;
        bool isBookkeeping = input.CallCode is HypercallCode.HvCallDepositMemory or HypercallCode.HvCallWithdrawMemory;
        if (!isBookkeeping)
        {
            Codes.Add(input.CallCode);
            if (CallCount++ == FailAt) return new HypercallResult(FailStatus).Value;
        }
        if (input.RepCount == 0) return new HypercallResult(Simple(input.CallCode, parameters, output)).Value;
        uint done = input.RepStartIndex;
        uint end = Math.Min(input.RepCount, done + RepsPerCall);
        for (; done < end; done++)
        {
            HvStatus status = Rep(input.CallCode, parameters, output, done);
            if (!status.IsSuccess) return new HypercallResult(status, done).Value;
        }
        return new HypercallResult(HvStatus.HV_STATUS_SUCCESS, done).Value;
    }

    private static FakePartition Find(ulong id) => Partitions.GetValueOrDefault(id == ulong.MaxValue ? RootId : id);

    private static bool TryUse(FakePartition payer, int pages)
    {
        if (payer.Free.Count < pages) return false;
        payer.Used.AddRange(payer.Free.TakeLast(pages));
        payer.Free.RemoveRange(payer.Free.Count - pages, pages);
        return true;
    }

    private static HvStatus Simple(ushort code, byte* parameters, byte* output)
    {
        if (code == HypercallCode.HvCallPostMessage) return Post((HvInputPostMessage*)parameters);
        if (code is HypercallCode.HvCallMapStatsPage or HypercallCode.HvCallUnmapStatsPage)
            return Stats(code == HypercallCode.HvCallMapStatsPage, (HvInputMapStatsPage*)parameters, (ulong*)output);
        FakePartition partition = Find(*(ulong*)parameters);
        if (code != HypercallCode.HvCallCreatePartition && partition == null) return HvStatus.HV_STATUS_INVALID_PARTITION_ID;
        switch (code)
        {
            case HypercallCode.HvCallCreatePartition:
                if (!TryUse(Root, 3)) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
                Partitions.Add(_nextId, new FakePartition());
                *(ulong*)output = _nextId++;
                return default;
            case HypercallCode.HvCallInitializePartition:
                if (partition.State != 0) return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
                if (!TryUse(partition, 2)) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
                partition.State = 2;
                return default;
            case HypercallCode.HvCallFinalizePartition:
                if (partition.State != 2) return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
                partition.State = 3;
                partition.Free.AddRange(partition.Used);
                partition.Used.Clear();
                partition.Map.Clear();
                return default;
            case HypercallCode.HvCallDeletePartition:
                if (partition.State == 2 || partition.Free.Count + partition.Used.Count != 0) return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
                Partitions.Remove(*(ulong*)parameters);
                Root.Free.AddRange(Root.Used.TakeLast(3));
                Root.Used.RemoveRange(Root.Used.Count - 3, 3);
                return default;
            case HypercallCode.HvCallCreateVp:
                if (partition.State != 2) return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
                if (!TryUse(partition, 5)) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
                uint vp = ((HvInputCreateVp*)parameters)->VpIndex.Value;
                partition.Registers[(vp, HvRegisterName.HvRegisterExplicitSuspend)] = new HvRegisterValue(1);
                return partition.Vps.Add(vp) ? default : HvStatus.HV_STATUS_INVALID_VP_INDEX;
            case HypercallCode.HvCallSetPartitionProperty:
                partition.Properties[((HvInputSetPartitionProperty*)parameters)->PropertyCode] = ((HvInputSetPartitionProperty*)parameters)->PropertyValue;
                return default;
            case HypercallCode.HvCallInstallIntercept:
                partition.Ports.Add(((HvInputInstallIntercept*)parameters)->InterceptParameters.IoPort);
                return default;
            case HypercallCode.HvCallTranslateVirtualAddress:
                var result = (HvOutputTranslateVirtualAddress*)output;
                *result = default;
                bool present = partition.Virtual.TryGetValue(((HvInputTranslateVirtualAddress*)parameters)->GvaPage, out result->GpaPage);
                result->ResultCode = !present ? HvTranslateGvaResultCode.HvTranslateGvaPageNotPresent
                    : partition.Map.ContainsKey(result->GpaPage) && !partition.Unreadable ? HvTranslateGvaResultCode.HvTranslateGvaSuccess
                    : HvTranslateGvaResultCode.HvTranslateGvaGpaUnmapped;
                return default;
            case HypercallCode.HvCallAssertVirtualInterrupt:
                var request = (HvInputAssertVirtualInterrupt*)parameters;
                partition.Interrupts.Add((request->RequestedVector, request->DestinationAddress, request->InterruptControl.Value));
                return default;
            case HypercallCode.HvCallSignalEventDirect:
                var signal = (HvInputSignalEventDirect*)parameters;
                partition.Events.Add((signal->TargetVp.Value, signal->TargetSint, signal->FlagNumber));
                return default;
            case HypercallCode.HvCallCreatePort:
                return partition.PortIds.Add(((HvInputCreatePort*)parameters)->PortId) ? default : HvStatus.HV_STATUS_INVALID_PORT_ID;
            case HypercallCode.HvCallDeletePort:
                return partition.PortIds.Remove(((HvInputDeletePort*)parameters)->PortId) ? default : HvStatus.HV_STATUS_INVALID_PORT_ID;
            case HypercallCode.HvCallConnectPort:
                return partition.ConnectionIds.Add(((HvInputConnectPort*)parameters)->ConnectionId) ? default : HvStatus.HV_STATUS_INVALID_CONNECTION_ID;
            case HypercallCode.HvCallDisconnectPort:
                return partition.ConnectionIds.Remove(((HvInputDisconnectPort*)parameters)->ConnectionId) ? default : HvStatus.HV_STATUS_INVALID_CONNECTION_ID;
            default: return HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE;
        }
    }

    private static HvStatus Post(HvInputPostMessage* input)
    {
        if (!Root.ConnectionIds.Contains(input->ConnectionId)) return HvStatus.HV_STATUS_INVALID_CONNECTION_ID;
        if (PostsFail) return HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS;
        Posted.Add((input->ConnectionId, new ReadOnlySpan<byte>(input->Payload, (int)input->PayloadSize).ToArray()));
        return default;
    }

    /// <summary>Each mapping takes a table of the root's.</summary>
    private static HvStatus Stats(bool map, HvInputMapStatsPage* input, ulong* output)
    {
        FakePartition partition = Find(input->Identity.PartitionId.Value);
        uint vp = input->Identity.VpIndex.Value;
        if (input->Type != HvStatsObjectType.HvStatsObjectVp || input->Identity.StatsAreaType != HvStatsAreaType.HvStatsAreaSelf) return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (partition == null) return HvStatus.HV_STATUS_INVALID_PARTITION_ID;
        if (!partition.Vps.Contains(vp)) return HvStatus.HV_STATUS_INVALID_VP_INDEX;
        if (!map)
        {
            if (!partition.StatsPages.Remove(vp)) return HvStatus.HV_STATUS_INVALID_VP_STATE;
            Root.Free.Add(Root.Used[^1]);
            Root.Used.RemoveAt(Root.Used.Count - 1);
            return default;
        }
        if (!TryUse(Root, 1)) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        partition.StatsPages[vp] = *output = partition.Used[0];
        return default;
    }

    private static HvStatus Rep(ushort code, byte* parameters, byte* output, uint index)
    {
        FakePartition partition = Find(*(ulong*)parameters);
        if (partition == null) return HvStatus.HV_STATUS_INVALID_PARTITION_ID;
        switch (code)
        {
            case HypercallCode.HvCallDepositMemory:
                partition.Free.Add(((ulong*)parameters)[1 + index]);
                return default;
            case HypercallCode.HvCallWithdrawMemory:
                if (partition.Free.Count == 0) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
                ((ulong*)output)[index] = partition.Free[^1];
                partition.Free.RemoveAt(partition.Free.Count - 1);
                return default;
            case HypercallCode.HvCallMapGpaPages:
                var map = (HvInputMapGpaPages*)parameters;
                bool large = (map->MapFlags & HvMapGpaFlags.HV_MAP_GPA_LARGE_PAGE) != 0;
                ulong step = large ? 512UL : 1, page = ((ulong*)(map + 1))[index];
                if (large && (page % 512 != 0 || map->TargetGpaBase % 512 != 0)) return HvStatus.HV_STATUS_INVALID_ALIGNMENT;
                if (index % 64 == 0 && !TryUse(partition, 1)) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
                for (ulong i = 0; i < step; i++) partition.Map[map->TargetGpaBase + index * step + i] = page + i;
                return default;
            case HypercallCode.HvCallSetVpRegisters:
                var set = (HvInputSetVpRegisters*)parameters;
                if (!partition.Vps.Contains(set->VpIndex.Value)) return HvStatus.HV_STATUS_INVALID_VP_INDEX;
                HvRegisterAssoc assoc = ((HvRegisterAssoc*)(set + 1))[index];
                partition.Registers[(set->VpIndex.Value, assoc.Name)] = assoc.Value;
                return default;
            case HypercallCode.HvCallGetVpRegisters:
                var get = (HvInputGetVpRegisters*)parameters;
                partition.Registers.TryGetValue((get->VpIndex.Value, ((uint*)(get + 1))[index]), out ((HvRegisterValue*)output)[index]);
                return default;
            default: return HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE;
        }
    }
}
