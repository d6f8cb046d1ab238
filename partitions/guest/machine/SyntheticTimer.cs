// The synthetic timers of this processor. TLFS, "Synthetic Timers".
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>One processor's timers.</summary>
public static class SyntheticTimer
{
    public static uint Config(uint timer) => HvMsr.HV_X64_MSR_STIMER0_CONFIG + 2 * timer;
    public static uint Count(uint timer) => HvMsr.HV_X64_MSR_STIMER0_COUNT + 2 * timer;

    public static StimerConfigMsr Direct(byte vector) => new StimerConfigMsr(0).WithDirectMode(true).WithApicVector(vector);
    public static StimerConfigMsr ByMessage(byte sint) => new StimerConfigMsr(0).WithSINTx(sint);

    /// <summary>As Linux does it: auto-enable, then the count.</summary>
    public static void Start(uint timer, StimerConfigMsr config, ulong count)
    {
        Instructions.WrMsr(Config(timer), config.WithAutoEnable(true).Value);
        Instructions.WrMsr(Count(timer), count);
    }

    public static void StartDirect(uint timer, byte vector, ulong time) => Start(timer, Direct(vector), time);

    public static bool IsEnabled(uint timer) => new StimerConfigMsr(Instructions.RdMsr(Config(timer))).Enable;
}
