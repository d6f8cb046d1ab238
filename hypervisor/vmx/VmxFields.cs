// Fields of a VMCS by way of their copies (pure/VmxState.cs): read when asked for, written back before the entry.
using System.Numerics;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Text;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static VmxState* StateOf(VirtualProcessor* vp) => (VmxState*)vp->BackendState;

    private static void MakeCurrent(VirtualProcessor* vp)
    {
        if (CurrentPointer == vp->BackendStatePhysical)
            return;
        VmPtrLd(vp->BackendStatePhysical);
        CurrentPointer = vp->BackendStatePhysical;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Read(VirtualProcessor* vp, int field)
    {
        VmxState* state = StateOf(vp);
        return (state->Valid >> field & 1) != 0 ? state->Fields[field] : ReadMissing(vp, field);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong ReadMissing(VirtualProcessor* vp, int field)
    {
        VmxState* state = StateOf(vp);
        if (CurrentPointer != vp->BackendStatePhysical)
            MakeCurrent(vp);
        state->Valid |= 1UL << field;
        return state->Fields[field] = VmRead(CachedField.Encodings[field]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(VirtualProcessor* vp, int field, ulong value)
    {
        VmxState* state = StateOf(vp);
        state->Fields[field] = value;
        state->Valid |= 1UL << field;
        state->Dirty |= 1UL << field;
    }

    /// <summary>Last thing before an entry: the VMCS is the current one and holds what the copies say.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteBack(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        if (CurrentPointer != vp->BackendStatePhysical)
            MakeCurrent(vp);
        // After nearly every exit it is the instruction pointer that changed, and nothing else.
        if (state->Dirty == 1UL << CachedField.Rip)
        {
            state->Dirty = 0;
            VmWrite(VmcsField.GuestRip, state->Fields[CachedField.Rip]);
        }
        else if (state->Dirty != 0)
            WriteBackAll(vp, state);
        if (state->PendingEvent != 0)
            WriteEvent(vp, state);
    }

    private static void WriteBackAll(VirtualProcessor* vp, VmxState* state)
    {
        if (state->PdptesStale)
            LoadPdptes(vp);
        ulong dirty = state->Dirty;
        state->Dirty = 0;
        while (dirty != 0)
        {
            int field = BitOperations.TrailingZeroCount(dirty);
            dirty &= dirty - 1;
            VmWrite(CachedField.Encodings[field], state->Fields[field]);
        }
    }

    // The processor clears the field's valid bit at the next exit, so that it need not be written when there is no event.
    private static void WriteEvent(VirtualProcessor* vp, VmxState* state)
    {
        InterruptionInformation pending = new(state->PendingEvent);
        if (pending.Type == InterruptionInformation.HardwareException)
        {
            pending = pending.ForMode((Read(vp, CachedField.Cr0) & Cr0Pe) != 0);
            if (pending.DeliverErrorCode)
                VmWrite(VmcsField.VmEntryExceptionErrorCode, pending.ErrorCode);
        }
        else if (pending.IsOfInstruction)
            VmWrite(VmcsField.VmEntryInstructionLength, state->PendingLength);
        VmWrite(VmcsField.VmEntryInterruptionInformation, pending.Information);
    }

    /// <summary>A VMX instruction other than an entry failed: the core's own mistake.</summary>
    [RuntimeExport("vmx_instruction_failed")]
    private static void OnInstructionFailed(ulong operand)
    {
        byte* buffer = stackalloc byte[160];
        TextWriter line = new(buffer, 160);
        line.Text("vmx: an instruction failed with operand "u8).Hex(operand);
        // Reading the reason may fail in turn.
        bool isReadable = CurrentPointer != 0;
        CurrentPointer = 0;
        if (isReadable)
            line.Text(": "u8).Text(InstructionError.TextOf((uint)VmRead(VmcsField.VmInstructionError)));
        Panic.Stop(line.Written);
    }
}
