// Interrupts on their way in and out: destination matching, commands, local interrupts and errors.
using Lamina.X64;

namespace Lamina.Hypervisor.Apic;

public unsafe partial struct LocalApic
{
    /// <summary>
    /// Whether this APIC is addressed by a destination. For lowest priority the core delivers to any one that matches.
    /// </summary>
    /// <param name="destination">As in <see cref="IcrCommand.Destination"/>: a broadcast is all ones.</param>
    // SDM 3A, "Determining IPI Destination", "Logical Destination Mode in x2APIC Mode".
    public readonly bool Matches(uint destination, bool logical)
    {
        if (destination == IcrCommand.Broadcast) return IsEnabled;
        if (!logical) return destination == _apicId && IsEnabled;
        uint own = Register(ApicRegisters.LogicalDestination);
        if (IsX2Apic) return own >> 16 == destination >> 16 && (own & destination & 0xFFFF) != 0;
        if (destination > 0xFF) return false;
        own >>= 24;
        if (Register(ApicRegisters.DestinationFormat) >> 28 == 0xF) return (own & destination) != 0;
        // Cluster model: the upper four bits name the cluster (0xF is all of them), the lower four its members.
        return (destination >> 4 == 0xF || destination >> 4 == own >> 4) && (own & destination & 0xF) != 0;
    }

    /// <summary>Whether a command that <paramref name="senderId"/> issued reaches this APIC, shorthand included.</summary>
    public readonly bool Matches(IcrCommand command, uint senderId) => command.Shorthand switch
    {
        ApicShorthand.Self => senderId == _apicId,
        ApicShorthand.AllIncludingSelf => IsEnabled,
        ApicShorthand.AllExcludingSelf => senderId != _apicId && IsEnabled,
        _ => Matches(command.Destination, command.IsLogical),
    };

    /// <summary>Takes an interrupt that matched: a vector goes into IRR, the rest is for the core to act upon.</summary>
    public ApicDelivery Deliver(IcrCommand command)
    {
        switch (command.DeliveryMode)
        {
            case ApicDeliveryMode.Fixed:
            case ApicDeliveryMode.LowestPriority:
                return Assert(command.Vector, command.IsLevelTriggered) ? ApicDelivery.Interrupt : ApicDelivery.None;
            case ApicDeliveryMode.SystemManagement: return ApicDelivery.SystemManagement;
            case ApicDeliveryMode.NonMaskable: return ApicDelivery.NonMaskable;
            case ApicDeliveryMode.Init: return command.IsInitDeassert ? ApicDelivery.None : ApicDelivery.Init;
            case ApicDeliveryMode.StartUp: return ApicDelivery.StartUp;
            case ApicDeliveryMode.External: return ApicDelivery.External;
            default: return ApicDelivery.None;
        }
    }

    /// <summary>
    /// A local source fires: a LINT pin, the performance counters, the thermal sensor, CMCI.
    /// </summary>
    /// <param name="lvt">Offset of its LVT entry, such as <see cref="ApicRegisters.LvtLint1"/>.</param>
    // Remote IRR of level-triggered LINT pins is not kept: no virtual device holds such a line.
    public ApicDelivery DeliverLocal(uint lvt)
    {
        LocalVectorTableEntry entry = new LocalVectorTableEntry(Register(lvt));
        if (entry.Masked) return ApicDelivery.None;
        // SDM 3A, "Local Vector Table": a performance-counter interrupt masks its own entry.
        if (lvt == ApicRegisters.LvtPerformanceMonitoring) SetRegister(lvt, Register(lvt) | LvtMaskBit);
        bool level = entry.LevelTriggered && (lvt == ApicRegisters.LvtLint0 || lvt == ApicRegisters.LvtLint1);
        switch ((ApicDeliveryMode)entry.DeliveryMode)
        {
            case ApicDeliveryMode.Fixed: return Assert(entry.Vector, level) ? ApicDelivery.Interrupt : ApicDelivery.None;
            case ApicDeliveryMode.SystemManagement: return ApicDelivery.SystemManagement;
            case ApicDeliveryMode.NonMaskable: return ApicDelivery.NonMaskable;
            case ApicDeliveryMode.Init: return ApicDelivery.Init;
            case ApicDeliveryMode.External: return ApicDelivery.External;
            default: return ApicDelivery.None;
        }
    }

    // The guest wrote an interrupt command. What concerns only this APIC is done here and now.
    private ApicEffect SendCommand(IcrCommand command)
    {
        switch (command.DeliveryMode)
        {
            case ApicDeliveryMode.Fixed:
            case ApicDeliveryMode.LowestPriority:
                if (command.Vector < FirstLegalVector) return ApicEffect.InterruptsChangedIf(RaiseError(ApicError.SendIllegalVector));
                if (command.Shorthand == ApicShorthand.Self) return ApicEffect.InterruptsChangedIf(Assert(command.Vector, false));
                // Since the Pentium 4 such IPIs are edge-triggered whatever the trigger mode bit says.
                return ApicEffect.SendIpi(new IcrCommand(command.Value & ~0x8000UL));
            case ApicDeliveryMode.Reserved:
            case ApicDeliveryMode.External:
                return ApicEffect.None;
            default:
                return command.IsInitDeassert ? ApicEffect.None : ApicEffect.SendIpi(command);
        }
    }

    // Collects an error and, when it is the first since ESR was written, fires the error entry. True: a vector is newly requested.
    private bool RaiseError(uint error)
    {
        uint old = _pendingErrors;
        _pendingErrors = old | error;
        LocalVectorTableEntry entry = new LocalVectorTableEntry(Register(ApicRegisters.LvtError));
        if (old != 0 || entry.Masked || entry.Vector < FirstLegalVector) return false;
        return Assert(entry.Vector, false);
    }
}
