// Exceptions reach the guest as the processor would deliver them.
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class ExceptionChecks
{
    /// <summary>Beyond the first 4 GiB nothing is mapped by the guest's page tables.</summary>
    private const ulong Unmapped = 0x1_4000_0123;

    public static void Run()
    {
        Check.Run("exception.divide"u8, &Divide);
        Check.Run("exception.undefined-opcode"u8, &Undefined);
        Check.Run("exception.breakpoint"u8, &Breakpoint);
        Check.Run("exception.page-fault-read"u8, &PageFaultRead);
        Check.Run("exception.page-fault-write"u8, &PageFaultWrite);
        Check.Run("exception.non-canonical"u8, &NonCanonical);
        Check.Run("exception.single-step-cpuid"u8, &SingleStepCpuid);
        Check.Run("exception.single-step-port"u8, &SingleStepPort);
        Check.Run("exception.single-step-device"u8, &SingleStepDevice);
        Check.Run("exception.single-step-apic-page"u8, &SingleStepApicPage);
        Check.Run("exception.user-mode"u8, &UserMode);
        Check.Run("exception.rare-instructions"u8, &RareInstructions);
        Check.Run("exception.double-fault"u8, &DoubleFault);
        Check.Run("exception.halt-in-user-mode"u8, &HaltInUserMode);
        Check.Run("exception.data-breakpoint"u8, &DataBreakpoint);
    }

    private static void Divide()
    {
        RunState state = new() { Rax = 1 };
        state.Run(Code.Divide);
        Check.Faulted("DIV by zero"u8, state, ExceptionVector.DE);
    }

    private static void Undefined()
    {
        RunState state = new();
        state.Run(Code.Undefined);
        Check.Faulted("UD2"u8, state, ExceptionVector.UD);
        Check.Equal("RIP"u8, state.FaultRip, RunState.AddressOf(Code.Undefined));
    }

    private static void Breakpoint()
    {
        RunState state = new();
        state.Run(Code.Breakpoint);
        Check.Faulted("INT3"u8, state, ExceptionVector.BP);
        Check.Equal("RIP"u8, state.FaultRip, RunState.AddressOf(Code.Breakpoint) + 1);
    }

    private static void PageFaultRead()
    {
        RunState state = new() { Rsi = Unmapped };
        state.Run(Code.Load32);
        Check.Faulted("a read"u8, state, ExceptionVector.PF);
        Check.Equal("CR2"u8, state.FaultCr2, Unmapped);
        Check.Equal("error code"u8, state.ErrorCode, 0);
    }

    private static void PageFaultWrite()
    {
        RunState state = new() { Rsi = Unmapped };
        state.Run(Code.Store32);
        Check.Faulted("a write"u8, state, ExceptionVector.PF);
        Check.Equal("CR2"u8, state.FaultCr2, Unmapped);
        Check.Equal("error code"u8, state.ErrorCode, 2);
    }

    private static void NonCanonical()
    {
        RunState state = new() { Rsi = 0x8000_0000_0000_0000 };
        state.Run(Code.Load32);
        Check.Faulted("a read"u8, state, ExceptionVector.GP);
        Check.Equal("error code"u8, state.ErrorCode, 0);
    }

    // The trap must come although the instruction is carried out by the hypervisor.
    private static void SingleStepCpuid() => SingleStep(Code.StepOverCpuid, Code.AfterStepCpuid);

    private static void SingleStepPort() => SingleStep(Code.StepOverPort, Code.AfterStepPort);

    private static void SingleStepDevice() => SingleStep(Code.StepOverLoad, Code.AfterStepLoad, 0xFEC00000);

    private static void SingleStepApicPage() => SingleStep(Code.StepOverLoad, Code.AfterStepLoad, ApicBase.DefaultAddress + ApicRegisters.LocalApicVersion);

    private static void SingleStep(Code code, Code after, ulong address = 0)
    {
        const ulong singleStep = 1 << 14;
        Instructions.WriteDr6(0xFFFF0FF0);
        RunState state = new() { Rdx = Serial.Scratch, Rsi = address };
        state.Run(code);
        ulong dr6 = Instructions.ReadDr6();
        Instructions.WriteDr6(0xFFFF0FF0);
        Check.Faulted("TF"u8, state, ExceptionVector.DB);
        Check.Equal("RIP"u8, state.FaultRip, RunState.AddressOf(after));
        Check.That((dr6 & singleStep) != 0, "DR6.BS is clear"u8);
    }

    private static void DoubleFault()
    {
        RunState state = new();
        state.Run(Code.DoubleFault);
        Check.Faulted("a push without a stack"u8, state, ExceptionVector.DF);
        Check.Equal("error code"u8, state.ErrorCode, 0);
    }

    private static void HaltInUserMode()
    {
        RunState state = new() { Rdi = Layout.Instance->UserStackTop };
        state.Run(Code.UserHlt);
        Check.Faulted("HLT at CPL 3"u8, state, ExceptionVector.GP);
    }

    private static void UserMode()
    {
        ulong stack = Layout.Instance->UserStackTop;
        RunState state = new() { Rdi = stack, Rcx = Msr.IA32_APIC_BASE };
        state.Run(Code.UserRdMsr);
        Check.Faulted("RDMSR at CPL 3"u8, state, ExceptionVector.GP);
        state = new() { Rdi = stack, Rax = 0 };
        state.Run(Code.UserCpuid);
        Check.Faulted("HLT at CPL 3 after CPUID"u8, state, ExceptionVector.GP);
        Check.Equal("EBX of CPUID at CPL 3"u8, state.R13, CpuidLeafValue.Read(0).Ebx);
    }

    private static void RareInstructions()
    {
        RunState state = new();
        state.Run(Code.WbInvd);
        Check.Returned("WBINVD"u8, state);
        if ((CpuidLeafValue.Read(0x80000001).Edx & 1 << 27) == 0) return;
        ulong before = Instructions.RdTsc();
        state = new();
        state.Run(Code.RdTscP);
        Check.Returned("RDTSCP"u8, state);
        ulong tsc = (uint)state.Rax | state.Rdx << 32;
        Check.That(tsc >= before && tsc - before < Clock.Ticks(2000), "RDTSCP does not agree with RDTSC"u8);
    }

    private static void DataBreakpoint()
    {
        const ulong enableLocal0 = 1, write4Bytes = 0xD << 16, hit0 = 1;
        ulong target = GuestPages.Buffer;
        Instructions.WriteDr6(0xFFFF0FF0);
        Instructions.WriteDr0(target);
        Instructions.WriteDr7(0x400 | enableLocal0 | write4Bytes);
        CpuidLeafValue.Read(1);
        RunState state = new() { Rsi = target };
        state.Run(Code.Store32);
        ulong dr6 = Instructions.ReadDr6();
        Instructions.WriteDr7(0x400);
        Instructions.WriteDr6(0xFFFF0FF0);
        Check.Faulted("a write to the watched address"u8, state, ExceptionVector.DB);
        Check.Equal("DR6"u8, dr6 & 0xF, hit0);
        Check.Equal("DR0"u8, Instructions.ReadDr0(), target);
    }
}
