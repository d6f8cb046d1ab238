// What one logical processor of the machine keeps for itself.
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>State that only its own processor touches: no locks on the exit path.</summary>
public unsafe struct LogicalProcessor
{
    public VirtualProcessor* Running;
    /// <summary>Whose vector, segment and debug registers the processor holds: the last one entered.</summary>
    public VirtualProcessor* Loaded;
    public RunQueue Queue;
    public TimerQueue Timers;
    /// <summary>The scheduler's own deadline: when its policy decides anew without an event, or earlier; the end of a grace.</summary>
    public TimerEntry SliceTimer;
    /// <summary>Somebody who was woken by a signal waits for the end of its sender's grace (<see cref="Scheduler{TBackend}.GrantGrace"/>).</summary>
    public bool InGrace;
    public uint ApicId;
    /// <summary>Deadline that the physical timer is set to.</summary>
    public ulong ArmedDeadline;

    private static LogicalProcessor bootstrap;

    /// <summary>The processor that executes this.</summary>
    // Only the bootstrap processor runs yet; with more of them this becomes an address that each maps to its own page.
    public static LogicalProcessor* Current
    {
        get
        {
            fixed (LogicalProcessor* self = &bootstrap)
                return self;
        }
    }
}
