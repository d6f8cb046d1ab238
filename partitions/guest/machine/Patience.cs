// One wait for another processor: it ends, and it lets others run.
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>Made when the wait begins; asked in a loop whether it has been long enough.</summary>
public unsafe struct Patience(ulong milliseconds)
{
    private const uint SpinsPerNotice = 2000;
    private readonly ulong start = Instructions.RdTsc(), limit = Clock.Ticks(milliseconds);
    private uint spins;

    public bool IsOver
    {
        get
        {
            Instructions.Pause();
            // Others may wait for the processor that this one spins on.
            if (++spins % SpinsPerNotice == 0 && Processors.CanCall)
                Processors.Call(new HypercallInput(HypercallCode.HvCallNotifyLongSpinWait).WithFast(true).Value, spins);
            return Instructions.RdTsc() - start >= limit;
        }
    }
}
