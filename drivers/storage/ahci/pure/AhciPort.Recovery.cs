// When a command fails: which one it was, what becomes of it and of the others. AHCI 1.3.1, "Software Error Recovery".
using System;
using System.Numerics;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Ahci;

public unsafe partial struct AhciPort<THost, TRegisters>
{
    /// <summary>After so many attempts a request goes alone; after so many faults of the link it is given up.</summary>
    private const ulong AttemptsTogether = 3, AttemptsInAll = 5;

    /// <summary>The port reports a fault. It is halted; what it had stays where it is until then.</summary>
    private void OnFault(uint events)
    {
        TakeDone();
        faultEvents = events;
        faultTaskFile = registers.Read(PortRegister.TFD);
        registers.Write(PortRegister.IE, 0);
        SetCommand(0, PortRegister.CMD_ST);
        Enter(AhciPortState.Halting, StopPatience, Millisecond);
        Run();
    }

    /// <summary>The port has halted.</summary>
    private void Judge()
    {
        bool isBusy = (registers.Read(PortRegister.TFD) & (PortRegister.STS_BSY | PortRegister.STS_DRQ)) != 0;
        bool linkFailed = (faultEvents & (InterfaceEvents | LinkEvents)) != 0 || Detection != PortRegister.DET_ESTABLISHED;
        if (linkFailed || isBusy || occupied == 0)
        {
            BeginReset(linkFailed ? ResetCause.Fault : ResetCause.UnknownCommand);
            return;
        }
        if (isQueued)
        {
            StartEngine();
            Internal(AtaCommand.ReadNcqErrorLog, NcqErrorLog.Bytes, AhciPortState.ReadingLog);
            return;
        }
        StartEngine();
        if (BitOperations.IsPow2(occupied))
        {
            Resume(BitOperations.TrailingZeroCount(occupied), (byte)faultTaskFile, (byte)(faultTaskFile >> PortRegister.TFD_ERR_SHIFT));
            return;
        }
        state = AhciPortState.Ready;
        TakeBack(ResetCause.UnknownCommand);
    }

    /// <summary>The disk was asked which queued command failed; until then it takes no others.</summary>
    private void OnLog(bool well)
    {
        byte* data = stackalloc byte[NcqErrorLog.Bytes];
        new ReadOnlySpan<byte>(page.Address + DataOffset, NcqErrorLog.Bytes).CopyTo(new Span<byte>(data, NcqErrorLog.Bytes));
        if (well && NcqErrorLog.TryParse(new ReadOnlySpan<byte>(data, NcqErrorLog.Bytes), out NcqErrorLog log) && (occupied & 1u << log.Tag) != 0)
            Resume(log.Tag, log.Status, log.Error);
        else BeginReset(ResetCause.UnknownCommand);
    }

    /// <summary>One request has failed, and how is known; the others, which the disk dropped, are given to it again.</summary>
    private void Resume(int failed, byte status, byte error)
    {
        BlockRequest* request = slots[failed].Request;
        occupied &= ~(1u << failed);
        Finish(request, StatusOf(request, status, error));
        for (; occupied != 0; occupied &= occupied - 1) TryAgain(slots[BitOperations.TrailingZeroCount(occupied)].Request, ResetCause.Start);
        state = AhciPortState.Ready;
        Run();
    }

    /// <summary>The port has stopped: what it had comes back, to be given to it again or to its owner.</summary>
    private void TakeBack(ResetCause cause)
    {
        for (; occupied != 0; occupied &= occupied - 1)
        {
            AhciSlot* slot = slots + BitOperations.TrailingZeroCount(occupied);
            if (slot->Age >= Patience) Finish(slot->Request, BlockStatus.Aborted);
            else TryAgain(slot->Request, cause);
        }
        Run();
    }

    private void TryAgain(BlockRequest* request, ResetCause cause)
    {
        ulong attempts = (request->DeviceData & AttemptsMask) + 1;
        if (cause != ResetCause.Start && attempts > AttemptsInAll)
        {
            Finish(request, BlockStatus.DeviceError);
            return;
        }
        if (attempts <= AttemptsInAll) request->DeviceData++;
        if (attempts >= AttemptsTogether || cause == ResetCause.UnknownCommand) request->DeviceData |= Alone;
        again.Add(request);
    }

    private void GiveUpAll(BlockStatus status)
    {
        stopped = status;
        for (; occupied != 0; occupied &= occupied - 1) Finish(slots[BitOperations.TrailingZeroCount(occupied)].Request, status);
        for (BlockRequest* request = again.Take(); request != null; request = again.Take()) Finish(request, status);
        for (BlockRequest* request = waiting.Take(); request != null; request = waiting.Take()) Finish(request, status);
        Run();
    }

    /// <summary>Power goes: the disk writes its cache and parks its heads, until <paramref name="end"/> at the latest. Nothing waits for it any more.</summary>
    public void ShutDown(ulong end)
    {
        bool isReady = state == AhciPortState.Ready;
        registers.Write(PortRegister.IE, 0);
        THost.Cancel(&self->pace);
        THost.Cancel(&self->watch);
        state = AhciPortState.Dead;
        stopped = BlockStatus.DeviceError;
        if (!isReady) return;
        SetCommand(0, PortRegister.CMD_ST);
        while (IsCommandBitSet(PortRegister.CMD_CR))
            if (THost.Now >= end) return;
        ClearEvents(0);
        if ((registers.Read(PortRegister.TFD) & (PortRegister.STS_BSY | PortRegister.STS_DRQ)) != 0) return;
        SetCommand(PortRegister.CMD_ST, 0);
        if (!identity.CanFlush || TryAwait(AtaCommand.Flush, end)) TryAwait(AtaCommand.Standby, end);
    }

    private bool TryAwait(in AtaCommand command, ulong end)
    {
        Issue(command, 0);
        while (!IsInternalDone)
            if (THost.Now >= end) return false;
        return true;
    }

    private static BlockStatus StatusOf(BlockRequest* request, byte status, byte error)
    {
        if ((status & PortRegister.STS_DF) != 0 || (error & AtaError.ICRC) != 0) return BlockStatus.DeviceError;
        bool onlyAborted = (error & (AtaError.UNC | AtaError.IDNF)) == 0;
        return request->Operation == BlockOperation.Discard && onlyAborted ? BlockStatus.Unsupported : BlockStatus.MediumError;
    }
}
