// Exits that are over in a few dozen instructions: what the world switch tries before it puts the guest's xmm registers away.
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    /// <summary>Exit reasons that may be short, by bit.</summary>
    private const ulong ShortReasons = 1UL << (int)VmxExitReason.CPUID | 1UL << (int)VmxExitReason.VMCALL | 1UL << (int)VmxExitReason.IoInstruction | 1UL << (int)VmxExitReason.RDMSR;

    /// <summary>
    /// Called by the world switch (vmx.asm) after an exit of an instruction's doing, with the guest's xmm registers in place; see
    /// <see cref="ShortExits{TBackend}"/>. True: the instruction has been carried out, and the same virtual processor goes on. False: nothing has happened.
    /// </summary>
    // Each kind is a function of its own that is jumped to: none saves registers for another.
    [RuntimeExport("vmx_short_exit")]
    private static bool ShortExit(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        // A failed entry has bit 31.
        ulong reason = (uint)state->ExitReason;
        if (reason > VmxExitReason.RDMSR || (ShortReasons >> (int)reason & 1) == 0)
            return false;
        // An event that was cut off, a shadow or a trap that ends with the instruction: not plain.
        if ((int)state->IdtVectoringInformation < 0
            || (state->Fields[CachedField.Interruptibility] & InterruptibilityState.Shadow | state->Fields[CachedField.Rflags] & RflagsTf) != 0)
            return false;
        state->Valid = CachedField.Persistent | CachedField.OfInstruction;
        if (reason == VmxExitReason.RDMSR)
            return ShortRdmsr(vp, state);
        if (reason == VmxExitReason.CPUID)
            return ShortCpuid(vp, state);
        return reason == VmxExitReason.IoInstruction ? ShortPort(vp, state) : ShortCall(vp, state);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortCpuid(VirtualProcessor* vp, VmxState* state) => CanContinue(state) && ShortExits<VmxBackend>.TryCpuid(vp) && Continue(state);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortRdmsr(VirtualProcessor* vp, VmxState* state) => CanContinue(state) && ShortExits<VmxBackend>.TryReadMsr(vp) && Continue(state);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortCall(VirtualProcessor* vp, VmxState* state)
    {
        if (!CanContinue(state))
            return false;
        ReadMode(state);
        state->Valid |= CachedField.OfMode;
        return HypercallDispatch<VmxBackend>.TryRefuse(vp) && Continue(state);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortPort(VirtualProcessor* vp, VmxState* state)
    {
        IoInstructionQualification io = new(Read(vp, CachedField.ExitQualification));
        if (!io.IsSingleByte || PortExits<VmxBackend>.IsIntercepted(vp->Partition, io.Port) || !CanContinue(state))
            return false;
        ShortExits<VmxBackend>.Port(vp, io.IsIn);
        return Continue(state);
    }

    /// <summary>Whether RIP goes on within its 4 GiB: only 64-bit code has upper halves, and only there does a lower one change into an upper.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool CanContinue(VmxState* state)
    {
        ulong rip = state->Fields[CachedField.Rip];
        return ((rip + state->Fields[CachedField.InstructionLength] ^ rip) >> 32) == 0;
    }

    /// <summary>The VMCS is the current one, and nothing else in it has changed since the exit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Continue(VmxState* state)
    {
        VmWrite(VmcsField.GuestRip, state->Fields[CachedField.Rip] + state->Fields[CachedField.InstructionLength]);
        return true;
    }
}
