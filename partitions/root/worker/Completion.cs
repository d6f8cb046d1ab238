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
    private readonly HvX64InterceptMessageHeader* _header;
    private RegisterBatch _batch;

    /// <param name="header">That of the message, which stays where it is until all is committed.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Completion(VmMachine* machine, HvX64InterceptMessageHeader* header)
    {
        _machine = machine;
        _header = header;
        _batch = RegisterBatch.Begin();
    }

    /// <summary>All registers of a processor that an intercept changes fit into a batch several times.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Set(uint name, ulong value) => _batch.AddUnchecked(name, value);

    /// <summary>
    /// The instruction is done: RIP moves on (it wraps outside of 64-bit mode), and whoever steps through the guest gets his #DB. Then as <see cref="Commit"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public VmEnd Finish(int length)
    {
        ulong next = _header->Rip + (uint)length;
        if (!InterceptMode.Is64(*_header)) next = (uint)next;
        Set(HvRegisterName.HvX64RegisterRip, next);
        return (_header->Rflags & TrapFlag) != 0 ? FinishStep(_machine, _header, _batch.Count) : Commit();
    }

    // Apart, with all by value: one whose address nobody takes is kept in registers.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static VmEnd FinishStep(VmMachine* machine, HvX64InterceptMessageHeader* header, int count)
    {
        var completion = new Completion(machine, header) { _batch = RegisterBatch.Resume(count) };
        completion.InjectSingleStep();
        return completion.Commit();
    }

    // SDM 3B, "Single-Step Exception Condition": a trap, after the instruction, with DR6.BS.
    private void InjectSingleStep()
    {
        HvRegisterValue status = default;
        ReadOnlySpan<uint> name = [HvRegisterName.HvX64RegisterDr6];
        if (!VirtualProcessorCalls.Get(&_machine->Account, _header->VpIndex, name, &status).IsSuccess) return;
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
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public VmEnd Commit()
    {
        Set(HvRegisterName.HvRegisterInterceptSuspend, 0);
        Reply.Prepare(_machine, _header->VpIndex, _batch);
        return VmEnd.None;
    }

    private void Inject(byte vector, uint errorCode) => Set(HvRegisterName.HvRegisterPendingInterruption,
        default(HvX64PendingInterruptionRegister).WithInterruptionPending(true)
            .WithInterruptionType(HvX64PendingInterruptionType.HvX64PendingException)
            .WithDeliverErrorCode(true).WithErrorCode(errorCode).WithInterruptionVector(vector).Value);
}
