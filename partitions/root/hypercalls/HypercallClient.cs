// Makes hypercalls: parameter pages, repetition to the end, deposit and retry when the core runs short, one line a failure.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Hypercalls;

/// <summary>What the typed calls of this folder share. One caller at a time: the executor is cooperative.</summary>
public static unsafe class HypercallClient
{
    /// <summary>Deposits in a row that brought a call no further before it is given up.</summary>
    private const int MaximumFruitlessDeposits = 32;

    private static byte* _pages;

    /// <summary>The input page of the call being prepared.</summary>
    internal static byte* Input => _pages;

    /// <summary>The output page of the last call.</summary>
    internal static byte* Output => _pages + PageCount.PageSize;

    /// <summary>A deposit happens amid another call, so it has an input page of its own.</summary>
    internal static byte* DepositInput => _pages + 2 * PageCount.PageSize;

    /// <summary>A batch of registers is collected while other calls are made.</summary>
    internal static byte* RegisterInput => _pages + 3 * PageCount.PageSize;

    /// <summary>Allocates the parameter pages. False: no memory. Safe to call again.</summary>
    public static bool Initialize()
    {
        if (_pages != null) return true;
        if (!PhysicalMemory.TryAllocate(4, 1, out ulong physical)) return false;
        _pages = (byte*)physical;
        return true;
    }

    /// <summary>The input page as a zeroed structure.</summary>
    internal static T* Prepare<T>() where T : unmanaged
    {
        *(T*)Input = default;
        return (T*)Input;
    }

    /// <summary>A simple call with the input and output pages; deposits into <paramref name="payer"/> as needed, reports nothing.</summary>
    internal static HvStatus CallQuietly(PartitionAccount* payer, ushort code)
    {
        for (int deposits = 0; ; deposits++)
        {
            HvStatus status = new HypercallResult(Hypercall.Call(code, (ulong)Input, (ulong)Output)).Status;
            if (status != HvStatus.HV_STATUS_INSUFFICIENT_MEMORY || deposits == MaximumFruitlessDeposits) return status;
            if (payer == null || !DepositPool.TryDeposit(payer)) return status;
        }
    }

    /// <summary>As <see cref="CallQuietly"/>; a failure is one line on the console.</summary>
    internal static HvStatus Call(PartitionAccount* payer, ushort code, ReadOnlySpan<byte> callName)
    {
        HvStatus status = CallQuietly(payer, code);
        if (!status.IsSuccess) Report(payer, callName, status);
        return status;
    }

    /// <summary>A rep call from the first rep to the last; a failure is one line on the console.</summary>
    internal static HvStatus CallReps(PartitionAccount* payer, ushort code, uint count, byte* input, ReadOnlySpan<byte> callName)
    {
        HypercallInput control = HypercallInput.Rep(code, count);
        var result = new HypercallResult(Hypercall.Call(control.Value, (ulong)input, (ulong)Output));
        if (result.Status.IsSuccess && result.RepsCompleted == count) return result.Status;
        return ContinueReps(payer, control, count, result, input, callName);
    }

    /// <summary>
    /// Whether a rep call is over and succeeded, told by one comparison. False says nothing, since the bits that TLFS reserves need not be zero:
    /// <see cref="ContinueReps"/> looks at the fields.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsComplete(HypercallInput control, HypercallResult result) => result.Value == control.Value >> 32 << 32;

    /// <summary>Takes a rep call, whose first part ended with <paramref name="result"/>, to its end; a failure is one line on the console.</summary>
    internal static HvStatus ContinueReps(PartitionAccount* payer, HypercallInput control, uint count, HypercallResult result, byte* input, ReadOnlySpan<byte> callName)
    {
        int fruitless = 0;
        for (uint done = 0; ; result = new HypercallResult(Hypercall.Call(control.WithRepStartIndex(done).Value, (ulong)input, (ulong)Output)))
        {
            bool advanced = result.RepsCompleted > done;
            if (advanced) { done = result.RepsCompleted; fruitless = 0; }
            if (result.Status.IsSuccess && (done >= count || !advanced)) return result.Status;
            if (result.Status.IsSuccess) continue;
            if (result.Status == HvStatus.HV_STATUS_INSUFFICIENT_MEMORY && fruitless++ < MaximumFruitlessDeposits && DepositPool.TryDeposit(payer)) continue;
            Report(payer, callName, result.Status);
            return result.Status;
        }
    }

    /// <summary>"VM NAME: HvCallX: HV_STATUS_Y" on the console.</summary>
    internal static void Report(PartitionAccount* account, ReadOnlySpan<byte> callName, HvStatus status)
    {
        byte* buffer = stackalloc byte[200];
        var line = new TextWriter(buffer, 200);
        if (account == null || account->IsRoot) line.Text("root"u8);
        else line.Text("VM "u8).Text(account->Name);
        line.Text(": "u8).Text(callName).Text(": "u8).Status(status);
        ConsoleOutput.Line(line.Written);
    }
}
