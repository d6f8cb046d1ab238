// Time since the core started, without leaving the root. TLFS, "Partition Reference Time Enlightenment".
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class ReferenceClock
{
    public const ulong TicksPerSecond = 10_000_000;
    public const ulong TicksPerMillisecond = 10_000;
    private static ReferenceTscPage* page;

    public static void Initialize()
    {
        page = (ReferenceTscPage*)PhysicalMemory.RequirePages(1);
        ReferenceTscMsr register = new ReferenceTscMsr(0).WithGpfn((ulong)page >> PageCount.PageShift).WithEnable(true);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, register.Value);
    }

    /// <summary>In units of 100 ns.</summary>
    public static ulong Now
    {
        get
        {
            while (true)
            {
                uint sequence = Volatile.Read(ref page->TscSequence);
                if (sequence == ReferenceTscPage.InvalidSequence) return Instructions.RdMsr(HvMsr.HV_X64_MSR_TIME_REF_COUNT);
                ulong scale = Volatile.Read(ref page->TscScale);
                ulong offset = (ulong)Volatile.Read(ref page->TscOffset);
                ulong time = Instructions.MultiplyHigh(Instructions.RdTscOrdered(), scale) + offset;
                if (Volatile.Read(ref page->TscSequence) == sequence) return time;
            }
        }
    }
}
