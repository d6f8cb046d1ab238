// An entry that the processor refused: the virtual machine ends, with the field or check named; the machine goes on.
using System;
using System.Runtime;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Hypervisor.Vmx;

/// <summary>The current VMCS.</summary>
internal readonly struct CurrentVmcs : IVmcsReader
{
    public ulong Read(ushort field) => VmxBackend.ReadForDiagnosis(field);
}

public readonly unsafe partial struct VmxBackend
{
    internal static ulong ReadForDiagnosis(ushort field) => VmRead(field);

    /// <summary>Called by the world switch when VMLAUNCH or VMRESUME failed before it looked at the guest's state.</summary>
    [RuntimeExport("vmx_handle_failure")]
    private static VirtualProcessor* HandleFailure(VirtualProcessor* vp)
    {
        uint error = (uint)VmRead(VmcsField.VmInstructionError);
        ReportFailure(vp, InstructionError.TextOf(error), 0);
        End(vp);
        return ChooseNext(vp);
    }

    /// <summary>An exit that was none: the entry found the guest's state, or an MSR to be loaded, at fault. SDM 3C, "VM-Entry Failures During or After Loading Guest State".</summary>
    private static void HandleEntryFailure(VirtualProcessor* vp, VmxState* state)
    {
        uint reason = (uint)state->ExitReason & 0xFFFF;
        ReportFailure(vp, reason switch
        {
            VmxExitReason.EntryFailureInvalidGuestState => "invalid guest state"u8,
            VmxExitReason.EntryFailureMsrLoading => "an MSR could not be loaded"u8,
            VmxExitReason.EntryFailureMachineCheckEvent => "a machine check during the entry"u8,
            _ => "an unknown reason"u8,
        }, Read(vp, CachedField.ExitQualification));
        End(vp);
    }

    private static void ReportFailure(VirtualProcessor* vp, ReadOnlySpan<byte> why, ulong qualification)
    {
        byte* buffer = stackalloc byte[240];
        TextWriter line = new(buffer, 240);
        EntryLimits limits = VmxFeatures.Limits();
        limits.TaskPriority = vp->Apic.TaskPriority;
        line.Text("vmx: entry refused for partition "u8).Decimal(vp->Partition->Id).Text(" processor "u8).Decimal(vp->Index).Text(": "u8).Text(why)
            .Text(", qualification "u8).Hex(qualification).Text("; first check that fails: "u8)
            .Text(EntryChecks<CurrentVmcs>.FirstViolation(new CurrentVmcs(), limits));
        Say(line.Written);
    }

    // COM1 is the root's by now, and perhaps in the midst of a line.
    private static void Say(ReadOnlySpan<byte> line)
    {
        DebugConsole.LineAlone(line);
    }

    // The guest has not run: an event that was to be injected is still to be, an interrupt still requested, and the VMCS not launched.
    private static void End(VirtualProcessor* vp)
    {
        Clear(vp);
        MakeCurrent(vp);
        VmWrite(VmcsField.VmEntryInterruptionInformation, 0);
        StateOf(vp)->PendingEvent = 0;
        StateOf(vp)->IsOffer = false;
        vp->OfferedVector = 0;
        vp->Work |= EntryWork.Interrupts;
        Intercepts<VmxBackend>.InvalidState(vp);
    }

    /// <summary>Something that cannot be carried out: one line, and the end of that virtual machine.</summary>
    private static void Refuse(VirtualProcessor* vp, ReadOnlySpan<byte> what, ulong detail)
    {
        byte* buffer = stackalloc byte[200];
        TextWriter line = new(buffer, 200);
        line.Text(what).Hex(detail).Text("; partition "u8).Decimal(vp->Partition->Id).Text(" processor "u8).Decimal(vp->Index).Text(" rip "u8).Hex(GetRip(vp));
        Say(line.Written);
        Intercepts<VmxBackend>.InvalidState(vp);
    }
}
