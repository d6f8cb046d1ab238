// How an intercept is completed: registers change, the suspension ends, all in one call.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Hypercalls;

namespace Lamina.Root.Worker;

/// <summary>Collects what an intercepted instruction did to its processor.</summary>
internal unsafe ref struct Completion
{
    private const byte DebugVector = 1, GeneralProtectionVector = 13, PageFaultVector = 14;
    private const ulong TrapFlag = 1 << 8, SingleStep = 1 << 14;

    private readonly VmMachine* _machine;
    private readonly VpIndex _vp;
    private readonly ulong _rip;
    private RegisterBatch _batch;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Completion(VmMachine* machine, in HvX64InterceptMessageHeader header)
    {
        _machine = machine;
        _vp = header.VpIndex;
        _rip = header.Rip;
        _batch = RegisterBatch.Begin();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Set(uint name, ulong value) => _batch.Add(name, value);

    /// <summary>The instruction is done: RIP moves on (it wraps outside of 64-bit mode), and whoever steps through the guest gets his #DB.</summary>
    public void Advance(in HvX64InterceptMessageHeader header, int length)
    {
        ulong next = _rip + (uint)length;
        Set(HvRegisterName.HvX64RegisterRip, InterceptMode.Is64(header) ? next : (uint)next);
        if ((header.Rflags & TrapFlag) != 0) InjectSingleStep();
    }

    // SDM 3B, "Single-Step Exception Condition": a trap, after the instruction, with DR6.BS.
    private void InjectSingleStep()
    {
        HvRegisterValue status = default;
        ReadOnlySpan<uint> name = [HvRegisterName.HvX64RegisterDr6];
        if (!VirtualProcessorCalls.Get(&_machine->Account, _vp, name, &status).IsSuccess) return;
        Set(HvRegisterName.HvX64RegisterDr6, status.Reg64 | SingleStep);
        Set(HvRegisterName.HvRegisterPendingInterruption, default(HvX64PendingInterruptionRegister).WithInterruptionPending(true)
            .WithInterruptionType(HvX64PendingInterruptionType.HvX64PendingException).WithInterruptionVector(DebugVector).Value);
    }

    /// <summary>The instruction is not carried out: #GP(0).</summary>
    public void InjectGeneralProtection() => Inject(GeneralProtectionVector, 0);

    /// <summary>The instruction is not carried out, or not to its end: #PF.</summary>
    public void InjectPageFault(in GuestFault fault)
    {
        Set(HvRegisterName.HvX64RegisterCr2, fault.Address);
        Inject(PageFaultVector, fault.ErrorCode);
    }

    /// <summary>
    /// Has the changes made, and the processor go on, by the <see cref="Reply"/> that the executor sends next: nothing else is to be called in between.
    /// </summary>
    public VmEnd Commit()
    {
        Set(HvRegisterName.HvRegisterInterceptSuspend, 0);
        Reply.Prepare(_machine, _vp, _batch);
        return VmEnd.None;
    }

    private void Inject(byte vector, uint errorCode) => Set(HvRegisterName.HvRegisterPendingInterruption,
        default(HvX64PendingInterruptionRegister).WithInterruptionPending(true)
            .WithInterruptionType(HvX64PendingInterruptionType.HvX64PendingException)
            .WithDeliverErrorCode(true).WithErrorCode(errorCode).WithInterruptionVector(vector).Value);
}
