// MSR accesses of a guest that its parent has a say in: crash reports and the reset register. TLFS, "HV_X64_MSR_INTERCEPT_MESSAGE".
using System;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class MsrIntercept
{
    /// <summary>What a guest that reported a crash still gets, to print the rest and to restart by itself: one second.</summary>
    private const ulong CrashGrace = 10_000_000;
    private const int InstructionLength = 2; // RDMSR, WRMSR

    private static ReadOnlySpan<uint> CrashParameters => [
        HvRegisterName.HvRegisterGuestCrashP0, HvRegisterName.HvRegisterGuestCrashP1, HvRegisterName.HvRegisterGuestCrashP2,
        HvRegisterName.HvRegisterGuestCrashP3, HvRegisterName.HvRegisterGuestCrashP4,
    ];

    public static VmEnd Handle(Vm* vm, HvX64MsrInterceptMessage* message)
    {
        vm->Machine->Counters.Msr++;
        bool isWrite = message->Header.InterceptAccessType == HvInterceptAccessType.HvInterceptAccessWrite;
        ulong value = message->Rdx << 32 | (uint)message->Rax;
        var completion = new Completion(vm->Machine, &message->Header);
        if (isWrite && message->MsrNumber == HvMsr.HV_X64_MSR_RESET)
        {
            if ((value & 1) != 0) return VmEnd.Reset;
        }
        else if (isWrite && message->MsrNumber == HvMsr.HV_X64_MSR_CRASH_CTL)
        {
            var control = new CrashCtlMsr(value);
            if (control.CrashNotify) RecordCrash(vm, message->Header.VpIndex, control);
        }
        else
        {
            completion.InjectGeneralProtection();
            return completion.Commit();
        }
        int length = message->Header.InstructionLength;
        return completion.Finish(length == 0 ? InstructionLength : length);
    }

    /// <summary>Keeps and prints what the guest said about its crash; the VM ends after a moment's grace.</summary>
    private static void RecordCrash(Vm* vm, VpIndex vp, CrashCtlMsr control)
    {
        HvRegisterValue* values = stackalloc HvRegisterValue[CrashParameters.Length];
        if (!VirtualProcessorCalls.Get(&vm->Machine->Account, vp, CrashParameters, values).IsSuccess) return;
        vm->LastWordsLength = 0;
        if (control.CrashMessage) CopyText(vm, values[3].Reg64, values[4].Reg64);
        if (vm->LastWordsLength == 0) ComposeParameters(vm, values);
        PrintLastWords(vm);
        vm->Machine->CrashDeadline = ReferenceClock.Now + CrashGrace;
        VmWorker.Schedule(vm->Machine->CrashDeadline);
    }

    /// <summary>
    /// The last part of the text that the guest names: that is where a kernel says why. SAFETY: address and length are the
    /// guest's; the copy is checked against its RAM, and printed only through <see cref="LineAssembler"/>'s filter.
    /// </summary>
    private static void CopyText(Vm* vm, ulong address, ulong length)
    {
        if (length > PageCount.PageSize) length = PageCount.PageSize;
        if (length > Vm.LastWordsCapacity)
        {
            address += length - Vm.LastWordsCapacity;
            length = Vm.LastWordsCapacity;
        }
        if (!vm->Machine->Memory.TryCopyOut(address, new Span<byte>(vm->LastWords, (int)length))) return;
        vm->LastWordsLength = (int)length;
        while (vm->LastWordsLength != 0 && vm->LastWords[vm->LastWordsLength - 1] is 0 or (byte)'\n') vm->LastWordsLength--;
    }

    private static void ComposeParameters(Vm* vm, HvRegisterValue* values)
    {
        var text = new TextWriter(vm->LastWords, Vm.LastWordsCapacity);
        text.Text("crash parameters"u8);
        for (int i = 0; i < CrashParameters.Length; i++) text.Char((byte)' ').Hex(values[i].Reg64);
        vm->LastWordsLength = text.Length;
    }

    /// <summary>"NAME: last words: …", a line for each of theirs.</summary>
    public static void PrintLastWords(Vm* vm)
    {
        LineAssembler lines = default;
        for (int i = 0; i < vm->LastWordsLength; i++)
        {
            if (lines.Append(vm->LastWords[i]) != LineEvent.Complete) continue;
            PrintWords(vm, lines.Line);
            lines.Next();
        }
        if (lines.HasUnprinted) PrintWords(vm, lines.Line);
    }

    private static void PrintWords(Vm* vm, ReadOnlySpan<byte> words)
    {
        if (words.Length == 0) return;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text(vm->Name).Text(": last words: "u8).Text(words);
        ConsoleOutput.Line(line.Written);
    }
}
