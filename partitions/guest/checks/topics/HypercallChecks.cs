// The hypercall interface, and what a child may not call. TLFS, "Hypercall Interface".
using System;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class HypercallChecks
{
    private const ushort UnknownCode = 0x1FFF;
    private const ulong Root = 1;

    /// <summary>Before a guest identity is set.</summary>
    public static void RunEarly()
    {
        Check.RunHv("hypercall.before-enabling"u8, &BeforeEnabling);
        Check.RunHv("hypercall.needs-an-identity"u8, &NeedsAnIdentity);
        Check.RunHv("hypercall.page-is-overlay"u8, &PageIsOverlay);
        Check.RunHv("hypercall.page"u8, &Page);
    }

    public static void Run()
    {
        Check.RunHv("hypercall.unknown-code"u8, &UnknownCodes);
        Check.RunHv("hypercall.misaligned-input"u8, &MisalignedInput);
        Check.RunHv("hypercall.input-across-pages"u8, &InputAcrossPages);
        Check.RunHv("hypercall.reserved-bits"u8, &ReservedBits);
        Check.RunHv("hypercall.rep-fields-of-simple-call"u8, &RepFieldsOfSimpleCall);
        Check.RunHv("hypercall.fast-bit-of-slow-call"u8, &FastBitOfSlowCall);
        Check.RunHv("hypercall.root-only-denied"u8, &RootOnlyDenied);
        Check.RunHv("hypercall.post-message-bad-connection"u8, &PostMessageBadConnection);
        Check.RunHv("hypercall.post-message-bad-parameters"u8, &PostMessageBadParameters);
        Check.RunHv("hypercall.signal-event-bad-connection"u8, &SignalEventBadConnection);
        Check.RunHv("hypercall.input-outside-memory"u8, &InputOutsideMemory);
        Check.RunHv("hypercall.registers-survive"u8, &RegistersSurvive);
        Check.RunHv("hypercall.user-mode"u8, &UserMode);
        Check.RunHv("hypercall.extended-denied"u8, &ExtendedDenied);
    }

    /// <summary>The lock bit can only be taken back by a reset.</summary>
    public static void RunLast()
    {
        Check.RunHv("hypercall.identity-zero-disables"u8, &IdentityZeroDisables);
        Check.RunHv("hypercall.locked"u8, &Locked);
    }

    private static bool IsIntel => CpuidLeafValue.Read(0).Ebx == 0x756E6547; // "Genu"

    private static void BeforeEnabling()
    {
        Check.Equal("GUEST_OS_ID at start"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_GUEST_OS_ID), 0);
        Check.Equal("HYPERCALL at start"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_HYPERCALL), 0);
        RunState state = new() { Rcx = UnknownCode };
        state.Run(IsIntel ? Code.VmCall : Code.VmmCall);
        Check.Faulted("a hypercall"u8, state, ExceptionVector.UD);
    }

    private static void NeedsAnIdentity()
    {
        Msrs.TryWrite(HvMsr.HV_X64_MSR_HYPERCALL, GuestPages.Hypercall | 1);
        Check.That(!Hypercalls.IsEnabled, "enabled without a guest identity"u8);
    }

    private static void PageIsOverlay()
    {
        const ulong pattern = 0xA5A5A5A5A5A5A5A5;
        *(ulong*)GuestPages.Hypercall = pattern;
        Hypercalls.Enable();
        ulong shown = Mmio.Read64(GuestPages.Hypercall);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_HYPERCALL, 0);
        Check.That(shown != pattern, "enabling shows what was there"u8);
        Check.Equal("the page after disabling"u8, Mmio.Read64(GuestPages.Hypercall), pattern);
    }

    // Debian 6.12 disables IBT when the page does not begin with ENDBR64.
    private static void Page()
    {
        const uint endbr64 = 0xFA1E0FF3;
        Hypercalls.Enable();
        Check.Equal("HYPERCALL"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_HYPERCALL), GuestPages.Hypercall | 1);
        Check.Equal("the first four bytes"u8, Mmio.Read32(GuestPages.Hypercall), endbr64);
    }

    private static bool Status(ReadOnlySpan<byte> what, ushort actual, HvStatus expected) => Check.Equal(what, actual, expected.Value);

    private static void UnknownCodes()
    {
        Status("in memory"u8, Hypercalls.Call(UnknownCode, GuestPages.Input, GuestPages.Output), HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE);
        Status("in registers"u8, Hypercalls.CallFast(UnknownCode, 1, 2), HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE);
        Status("code 0"u8, Hypercalls.Call(0, 0, 0), HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE);
    }

    private static void MisalignedInput() =>
        Status("input + 4"u8, Hypercalls.Call(HypercallCode.HvCallPostMessage, GuestPages.Input + 4, 0), HvStatus.HV_STATUS_INVALID_ALIGNMENT);

    private static void InputAcrossPages() =>
        Status("input at a page's end"u8, Hypercalls.Call(HypercallCode.HvCallPostMessage, GuestPages.Buffer + 4096 - 16, 0), HvStatus.HV_STATUS_INVALID_ALIGNMENT);

    private static void ReservedBits()
    {
        foreach (int bit in stackalloc int[] { 27, 30, 44, 47, 60, 63 })
            Status("a reserved bit"u8, Hypercalls.Call(HypercallCode.HvCallPostMessage | 1UL << bit, GuestPages.Input, 0), HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT);
    }

    private static void RepFieldsOfSimpleCall()
    {
        Status("a count"u8, Hypercalls.Call(HypercallInput.Rep(HypercallCode.HvCallPostMessage, 1).Value, GuestPages.Input, 0), HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT);
        Status("a start"u8, Hypercalls.Call(new HypercallInput(HypercallCode.HvCallPostMessage).WithRepStartIndex(1).Value, GuestPages.Input, 0), HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT);
    }

    private static void FastBitOfSlowCall() =>
        Status("HvCallPostMessage in registers"u8, Hypercalls.CallFast(HypercallCode.HvCallPostMessage, 0, 0), HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT);

    private static ReadOnlySpan<ushort> RootOnly =>
    [
        HypercallCode.HvCallCreatePartition, HypercallCode.HvCallInitializePartition, HypercallCode.HvCallFinalizePartition, HypercallCode.HvCallDeletePartition,
        HypercallCode.HvCallGetPartitionProperty, HypercallCode.HvCallSetPartitionProperty, HypercallCode.HvCallGetPartitionId,
        HypercallCode.HvCallInstallIntercept, HypercallCode.HvCallCreateVp, HypercallCode.HvCallDeleteVp,
        HypercallCode.HvCallCreatePort, HypercallCode.HvCallConnectPort, HypercallCode.HvCallDeletePort, HypercallCode.HvCallDisconnectPort,
        HypercallCode.HvCallMapDeviceInterrupt, HypercallCode.HvCallUnmapDeviceInterrupt, HypercallCode.HvCallAssertVirtualInterrupt,
        HypercallCode.HvCallSignalEventDirect, HypercallCode.HvCallPostMessageDirect,
    ];

    private static ReadOnlySpan<ushort> RootOnlyRep =>
    [
        HypercallCode.HvCallDepositMemory, HypercallCode.HvCallWithdrawMemory, HypercallCode.HvCallMapGpaPages, HypercallCode.HvCallUnmapGpaPages,
        HypercallCode.HvCallGetVpRegisters, HypercallCode.HvCallSetVpRegisters,
    ];

    // Each names the root as its target, and is otherwise well-formed.
    private static void RootOnlyDenied()
    {
        foreach (ushort code in RootOnly) ExpectDenied(code, Hypercalls.CallWith(code, Root));
        foreach (ushort code in RootOnlyRep)
        {
            ulong* input = (ulong*)GuestPages.Input;
            for (int i = 0; i < 32; i++) input[i] = 0;
            input[0] = Root;
            ExpectDenied(code, Hypercalls.Call(HypercallInput.Rep(code, 1).Value, GuestPages.Input, GuestPages.Output));
        }
    }

    private static void ExpectDenied(ushort code, ushort status)
    {
        if (status == HvStatus.HV_STATUS_ACCESS_DENIED.Value) return;
        Check.Fail("code and status << 16: "u8, code | (ulong)status << 16);
    }

    private static void PostMessageBadConnection()
    {
        Status("an unused connection"u8, Hypercalls.CallWith(HypercallCode.HvCallPostMessage, 0x00ABCDEF, 1 | 8UL << 32, 5), HvStatus.HV_STATUS_INVALID_CONNECTION_ID);
        Status("a connection of more than 24 bits"u8, Hypercalls.CallWith(HypercallCode.HvCallPostMessage, 0x12345678, 1 | 8UL << 32, 5), HvStatus.HV_STATUS_INVALID_CONNECTION_ID);
    }

    private static void PostMessageBadParameters()
    {
        Status("a payload of 241 bytes"u8, Hypercalls.CallWith(HypercallCode.HvCallPostMessage, 1, 1 | 241UL << 32), HvStatus.HV_STATUS_INVALID_PARAMETER);
        Status("the hypervisor's type bit"u8, Hypercalls.CallWith(HypercallCode.HvCallPostMessage, 1, 0x80000001 | 8UL << 32), HvStatus.HV_STATUS_INVALID_PARAMETER);
    }

    private static void SignalEventBadConnection()
    {
        Status("in registers"u8, Hypercalls.CallFast(HypercallCode.HvCallSignalEvent, 0x00ABCDEF, 0), HvStatus.HV_STATUS_INVALID_CONNECTION_ID);
        Status("in memory"u8, Hypercalls.CallWith(HypercallCode.HvCallSignalEvent, 0x00ABCDEF), HvStatus.HV_STATUS_INVALID_CONNECTION_ID);
    }

    // A page without RAM, and one beyond all addresses: an error, or a fault, but no harm.
    private static void InputOutsideMemory()
    {
        Check.That(Hypercalls.Call(HypercallCode.HvCallPostMessage, 0xD0000000, 0) != 0, "a page without RAM is accepted"u8);
        Check.That(Hypercalls.Call(HypercallCode.HvCallPostMessage, 0xFFFFFFFFFFFFF000, 0) != 0, "an address beyond all is accepted"u8);
    }

    // RAX holds the result; RCX, RDX and R8 to R11 may be lost. TLFS, "Hypercall Inputs" and its register mapping.
    private static void RegistersSurvive()
    {
        RunState state = RegisterPattern.Create();
        state.Rcx = UnknownCode;
        state.Rdx = GuestPages.Input;
        state.R8 = GuestPages.Output;
        state.RunAt(GuestPages.Hypercall);
        RegisterPattern.Expect(state, RegisterPattern.Rax | RegisterPattern.Rcx | RegisterPattern.Rdx | RegisterPattern.R8 | RegisterPattern.R9 | RegisterPattern.R10 | RegisterPattern.R11);
    }

    private static void UserMode()
    {
        if (IsIntel) { Check.Skip("VMMCALL is AMD's"u8); return; }
        RunState state = new() { Rcx = UnknownCode, Rdi = Layout.Instance->UserStackTop };
        state.Run(Code.UserVmmCall);
        Check.Faulted("VMMCALL at CPL 3"u8, state, ExceptionVector.UD);
        Check.Equal("RIP"u8, state.FaultRip, RunState.AddressOf(Code.UserVmmCallAt));
    }

    private static void ExtendedDenied()
    {
        ushort status = Hypercalls.Call(HypercallCode.HvExtCallQueryCapabilities, 0, GuestPages.Output);
        Check.That(status == HvStatus.HV_STATUS_ACCESS_DENIED.Value || status == HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE.Value, "it is not refused"u8);
    }

    private static void IdentityZeroDisables()
    {
        Instructions.WrMsr(HvMsr.HV_X64_MSR_GUEST_OS_ID, 0);
        Check.That(!Hypercalls.IsEnabled, "still enabled"u8);
        Hypercalls.Enable();
        Check.That(Hypercalls.IsEnabled, "not enabled again"u8);
    }

    private static void Locked()
    {
        ulong value = GuestPages.Hypercall | 3;
        if (!Check.That(Msrs.TryWrite(HvMsr.HV_X64_MSR_HYPERCALL, value), "setting the lock is #GP"u8)) return;
        Check.Equal("HYPERCALL"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_HYPERCALL), value);
        Msrs.TryWrite(HvMsr.HV_X64_MSR_HYPERCALL, 0);
        Check.Equal("HYPERCALL after another write"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_HYPERCALL), value);
        Status("a call afterwards"u8, Hypercalls.Call(UnknownCode, 0, 0), HvStatus.HV_STATUS_INVALID_HYPERCALL_CODE);
    }
}
