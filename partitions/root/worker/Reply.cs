// The answer to an intercept, on its way back to the core: with it the executor may go to sleep in the same call.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Hypercalls;

namespace Lamina.Root.Worker;

/// <summary>One at a time: its registers lie in the client's register page from <see cref="Completion"/> on, until it is sent.</summary>
internal static unsafe class Reply
{
    private static PartitionAccount* account; // null: none waits
    private static HypercallInput call;

    /// <summary>Whether one waits to be sent.</summary>
    public static bool IsPending => account != null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Prepare(VmMachine* machine, VpIndex vp, in RegisterBatch batch)
    {
        account = &machine->Account;
        call = VirtualProcessorCalls.PrepareSet(&machine->Account, vp, batch);
    }

    /// <summary>The virtual machine ends instead.</summary>
    internal static void Drop() => account = null;

    /// <summary>Sends it. False (reported): the core refused, and the processor does not go on.</summary>
    /// <param name="thenIdle">Sleeps then, until there is something to do: interrupts are to be closed.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TrySend(bool thenIdle)
    {
        HypercallInput prepared = call;
        HypercallResult result = VirtualProcessorCalls.SetPrepared(prepared, thenIdle);
        if (!HypercallClient.IsComplete(prepared, result)) return TryContinue(prepared, result);
        account = null;
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryContinue(HypercallInput prepared, HypercallResult result)
    {
        PartitionAccount* payer = account;
        account = null;
        return VirtualProcessorCalls.ContinueSet(payer, prepared, result).IsSuccess;
    }
}
