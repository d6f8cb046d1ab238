// Where deposited pages come from and go back to: 2 MiB pieces shared by all partitions, so that few of the root's own large
// mappings are split, given to the core 64 pages at a time.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Hypercalls;

public static unsafe class DepositPool
{
    /// <summary>How much one shortage costs: TLFS callers deposit by tens of pages.</summary>
    private const uint PagesPerDeposit = 64;

    /// <summary>512 MiB of deposits: more than second-stage tables of all the memory of such a machine.</summary>
    private const int ChunkCount = 256;

    private static DepositChunk* _chunks;

    /// <summary>Gives <paramref name="account"/> the usual number of pages. False: no memory, or the core refused (reported).</summary>
    public static bool TryDeposit(PartitionAccount* account)
    {
        if (!TryInitialize()) return false;
        var input = (HvInputDepositMemory*)HypercallClient.DepositInput;
        input->PartitionId = account->Id;
        ulong* pages = (ulong*)(input + 1);
        uint count = Collect(pages, PagesPerDeposit);
        if (count == 0)
        {
            HypercallClient.Report(account, "HvCallDepositMemory: out of memory"u8, HvStatus.HV_STATUS_INSUFFICIENT_MEMORY);
            return false;
        }
        uint done = Give(account, count, out HvStatus status);
        for (uint i = done; i < count; i++) TakeBack(pages[i]);
        account->DepositedPages += done;
        if (!status.IsSuccess) HypercallClient.Report(account, "HvCallDepositMemory"u8, status);
        return done != 0;
    }

    /// <summary>Takes everything back that the core no longer needs for <paramref name="account"/>; returns what is still missing.</summary>
    public static ulong WithdrawAll(PartitionAccount* account)
    {
        const uint PagesPerCall = 256;
        while (account->DepositedPages != 0)
        {
            var input = HypercallClient.Prepare<HvInputWithdrawMemory>();
            input->PartitionId = account->Id;
            HypercallInput control = HypercallInput.Rep(HypercallCode.HvCallWithdrawMemory, PagesPerCall);
            var result = new HypercallResult(Hypercall.Call(control.Value, (ulong)HypercallClient.Input, (ulong)HypercallClient.Output));
            uint count = Math.Min(result.RepsCompleted, PagesPerCall);
            if (count == 0) break;
            for (uint i = 0; i < count; i++) Returned(account, ((ulong*)HypercallClient.Output)[i]);
        }
        return account->DepositedPages;
    }

    private static void Returned(PartitionAccount* account, ulong page)
    {
        if (!TakeBack(page))
        {
            byte* buffer = stackalloc byte[160];
            var line = new TextWriter(buffer, 160);
            line.Text("VM "u8).Text(account->Name).Text(": the core returned page "u8).Hex(page).Text(", which was never deposited"u8);
            ConsoleOutput.Line(line.Written);
            return;
        }
        if (account->DepositedPages != 0) account->DepositedPages--;
    }

    private static uint Give(PartitionAccount* account, uint count, out HvStatus status)
    {
        HypercallInput control = HypercallInput.Rep(HypercallCode.HvCallDepositMemory, count);
        uint done = 0;
        while (true)
        {
            var result = new HypercallResult(Hypercall.Call(control.WithRepStartIndex(done).Value, (ulong)HypercallClient.DepositInput, 0));
            bool advanced = result.RepsCompleted > done;
            if (advanced) done = Math.Min(result.RepsCompleted, count);
            status = result.Status;
            if (done == count || !status.IsSuccess || !advanced) return done;
        }
    }

    /// <summary>Collects free pages, from chunks that are in use first; a new chunk is allocated only when those are exhausted.</summary>
    private static uint Collect(ulong* pages, uint limit)
    {
        uint count = 0;
        for (int i = 0; i < ChunkCount && count < limit; i++)
            if (_chunks[i].IsInUse) count += _chunks[i].Take(pages + count, limit - count);
        for (int i = 0; i < ChunkCount && count < limit; i++)
        {
            if (_chunks[i].IsInUse) continue;
            if (!PhysicalMemory.TryAllocate(DepositChunk.PageCount, DepositChunk.PageCount, out ulong physical)) break;
            _chunks[i].Begin(physical >> PageCount.PageShift);
            count += _chunks[i].Take(pages + count, limit - count);
        }
        return count;
    }

    private static bool TakeBack(ulong page)
    {
        for (int i = 0; i < ChunkCount; i++)
        {
            if (!_chunks[i].TryReturn(page)) continue;
            if (_chunks[i].DepositedCount == 0)
            {
                PhysicalMemory.Free(_chunks[i].FirstPage << PageCount.PageShift, DepositChunk.PageCount);
                _chunks[i].End();
            }
            return true;
        }
        return false;
    }

    private static bool TryInitialize()
    {
        if (_chunks != null) return true;
        ulong pages = PageCount.ForBytes((ulong)(ChunkCount * sizeof(DepositChunk))).Value;
        if (!PhysicalMemory.TryAllocate(pages, 1, out ulong physical)) return false;
        _chunks = (DepositChunk*)physical;
        for (int i = 0; i < ChunkCount; i++) _chunks[i].End();
        return true;
    }
}
