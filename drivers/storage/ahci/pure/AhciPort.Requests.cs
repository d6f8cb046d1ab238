// Requests of a port: they wait, are issued in batches, and come back. AHCI 1.3.1, "Command Processing", "Native Command Queuing".
using System;
using System.Numerics;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>A command that the port has.</summary>
internal unsafe struct AhciSlot
{
    public BlockRequest* Request;

    /// <summary>Ticks of the watch that it has seen.</summary>
    public byte Age;
}

public unsafe partial struct AhciPort<THost, TRegisters>
{
    // What the driver remembers of a request, in its DeviceData
    private const ulong AttemptsMask = 0xFF, Alone = 1 << 8, FlushNow = 1 << 9;

    /// <summary>A request is given up when the port has had it for so many watches: after 20 to 30 s.</summary>
    private const ulong WatchInterval = 10_000 * Millisecond;
    private const byte Patience = 3;

    private static void Submit(void* context, uint queue, BlockRequest* request) => ((AhciPort<THost, TRegisters>*)context)->Submit(request);

    private static void Kick(void* context, uint queue) => ((AhciPort<THost, TRegisters>*)context)->Run();

    private void Submit(BlockRequest* request)
    {
        request->DeviceData = 0;
        request->Status = stopped != BlockStatus.Success ? stopped : device.Check(request);
        if (request->Status == BlockStatus.Success && request->Operation <= BlockOperation.Write) request->Status = CheckSegments(request);
        bool nothingToDo = request->Operation == BlockOperation.Flush ? !identity.CanFlush : request->Length == 0;
        if (request->Status != BlockStatus.Success || nothingToDo) finished.Add(request);
        else waiting.Add(request);
    }

    /// <summary>Users keep to the limits; what would overrun a table or wrap an address is looked at all the same.</summary>
    private readonly BlockStatus CheckSegments(BlockRequest* request)
    {
        if (request->SegmentCount > CommandTable.MaximumSegments || request->Length > CommandTable.MaximumTransferBytes) return BlockStatus.Unsupported;
        if (adapter->Has(HbaRegister.CAP_S64A)) return BlockStatus.Success;
        for (uint i = 0; i < request->SegmentCount; i++)
            if (!IsReachable(request->Segments[i].Physical + request->Segments[i].Length)) return BlockStatus.Unsupported;
        return BlockStatus.Success;
    }

    /// <summary>Issues what waits, hands back what has finished. From within a completion it only marks.</summary>
    private void Run()
    {
        kicked = true;
        if (running) return;
        running = true;
        while (kicked)
        {
            kicked = false;
            if (state == AhciPortState.Ready) Issue();
            for (BlockRequest* request = finished.Take(); request != null; request = finished.Take()) request->Completed(request);
        }
        running = false;
        if (occupied != 0 && !watch.IsArmed) THost.Arm(&self->watch, THost.Now + WatchInterval);
    }

    /// <summary>Gives the port as many commands as may run together: any number of queued ones, or of others, or one that must be alone.</summary>
    private void Issue()
    {
        uint issued = 0, all = uint.MaxValue >> (int)(32 - slotCount);
        while (occupied != all)
        {
            BlockRequest* request = again.IsEmpty ? waiting.First : again.First;
            if (request == null) break;
            bool queued = useQueueing && IsTransfer(request) && (request->DeviceData & Alone) == 0;
            bool exclusive = !queued && (useQueueing || request->Operation == BlockOperation.Discard || (request->DeviceData & Alone) != 0);
            if (occupied != 0 && (exclusive || isExclusive || queued != isQueued)) break;
            if (again.IsEmpty) waiting.Take();
            else again.Take();
            isQueued = queued;
            isExclusive = exclusive;
            int slot = BitOperations.TrailingZeroCount(~occupied);
            Fill(slot, request);
            issued |= 1u << slot;
            occupied |= 1u << slot;
        }
        if (issued == 0) return;
        if (isQueued) registers.Write(PortRegister.SACT, issued);
        registers.Write(PortRegister.CI, issued);
    }

    private static bool IsTransfer(BlockRequest* request) => request->Operation <= BlockOperation.Write && (request->DeviceData & FlushNow) == 0;

    private void Fill(int slot, BlockRequest* request)
    {
        slots[slot] = new AhciSlot { Request = request };
        byte* table = tables.Address + (uint)slot * CommandTable.Bytes;
        ulong physical = tables.Physical + (uint)slot * CommandTable.Bytes;
        if (IsTransfer(request))
        {
            CommandTable.Build(Headers + slot, table, physical, TransferOf(request, slot), request->Segments, request->SegmentCount);
            return;
        }
        if (request->Operation != BlockOperation.Discard)
        {
            CommandTable.Build(Headers + slot, table, physical, AtaCommand.Flush, 0, 0);
            return;
        }
        TrimRanges.TryWrite(new Span<byte>(page.Address + TrimOffset, TrimRanges.Bytes), request->Offset / identity.BlockBytes, TrimBlocks(request));
        CommandTable.Build(Headers + slot, table, physical, AtaCommand.Trim, page.Physical + TrimOffset, TrimRanges.Bytes);
    }

    /// <summary>A discard says that content is not needed; what is more than the limit simply stays.</summary>
    private readonly ulong TrimBlocks(BlockRequest* request) => Math.Min(request->Length / identity.BlockBytes, TrimRanges.MaximumBlocks);

    private readonly AtaCommand TransferOf(BlockRequest* request, int slot)
    {
        ulong lba = request->Offset / identity.BlockBytes;
        uint blocks = (uint)(request->Length / identity.BlockBytes);
        bool isWrite = request->Operation == BlockOperation.Write, fua = isWrite && request->ForceUnitAccess && identity.CanForceUnitAccess;
        return isQueued ? AtaCommand.QueuedTransfer(lba, blocks, isWrite, fua, slot) : AtaCommand.Transfer(lba, blocks, isWrite, fua);
    }

    /// <summary>Takes what the port is done with.</summary>
    private void Reap()
    {
        TakeDone();
        Run();
    }

    private void TakeDone()
    {
        if (occupied == 0) return;
        uint done = occupied & ~registers.Read(isQueued ? PortRegister.SACT : PortRegister.CI);
        // A bit that is cleared is a command that went well; but some adapters clear that of one that failed, just before they tell.
        if (done != 0 && !isQueued && (registers.Read(PortRegister.TFD) & (PortRegister.STS_ERR | PortRegister.STS_DF)) != 0) return;
        if (done != 0) resets = 0;
        for (; done != 0; done &= done - 1) Succeed(BitOperations.TrailingZeroCount(done));
    }

    private void Succeed(int slot)
    {
        BlockRequest* request = slots[slot].Request;
        occupied &= ~(1u << slot);
        bool mustFlush = IsTransfer(request) && request->Operation == BlockOperation.Write && request->ForceUnitAccess
            && identity.HasWriteCache && identity.CanFlush && !identity.CanForceUnitAccess;
        if (mustFlush)
        {
            request->DeviceData = FlushNow;
            again.Add(request);
            return;
        }
        Finish(request, BlockStatus.Success);
    }

    private void Finish(BlockRequest* request, BlockStatus status)
    {
        request->Status = status;
        finished.Add(request);
    }

    private static void OnWatch(void* context)
    {
        AhciPort<THost, TRegisters>* port = (AhciPort<THost, TRegisters>*)context;
        if (port->state != AhciPortState.Ready || port->occupied == 0) return;
        // A message that was lost must not cost a request: look before judging.
        port->Reap();
        bool overdue = false;
        for (uint left = port->occupied; left != 0; left &= left - 1) overdue |= ++port->slots[BitOperations.TrailingZeroCount(left)].Age >= Patience;
        if (overdue)
        {
            port->Report("no answer in time; the port is reset"u8);
            port->BeginReset(ResetCause.Fault);
        }
        else if (port->occupied != 0) THost.Arm(&port->self->watch, THost.Now + WatchInterval);
    }
}
