// The answer to an intercept, on its way back to the core: with it the executor may go to sleep in the same call.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Hypercalls;

namespace Lamina.Root.Worker;

/// <summary>One at a time: its registers lie in the client's register page from <see cref="Completion"/> on, until it is sent.</summary>
internal static unsafe class Reply
{
    private static VmMachine* machine;
    private static VpIndex processor;
    private static RegisterBatch registers;

    /// <summary>Whether one waits to be sent.</summary>
    public static bool IsPending => machine != null;

    internal static void Prepare(VmMachine* vm, VpIndex vp, RegisterBatch batch)
    {
        machine = vm;
        processor = vp;
        registers = batch;
    }

    /// <summary>The virtual machine ends instead.</summary>
    internal static void Drop() => machine = null;

    /// <summary>Sends it. False (reported): the core refused, and the processor does not go on.</summary>
    /// <param name="thenIdle">Sleeps then, until there is something to do: interrupts are to be closed.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TrySend(bool thenIdle)
    {
        VmMachine* vm = machine;
        machine = null;
        HvStatus status = thenIdle ? VirtualProcessorCalls.SetThenIdle(&vm->Account, processor, ref registers)
            : VirtualProcessorCalls.Set(&vm->Account, processor, ref registers);
        return status.IsSuccess;
    }
}
