// The local APIC: register page, interrupts to oneself, priorities, timer; then the same in x2APIC mode. SDM 3A, "APIC".
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class ApicChecks
{
    private const byte Low = 0x45, Middle = 0x51, High = 0x91, TimerVector = 0x71;
    private const byte Nmi = 2;

    public static void Run()
    {
        Check.Run("apic.id-and-version"u8, &IdAndVersion);
        Check.Run("apic.page-instruction-forms"u8, &PageInstructionForms);
        RunCommon();
        Check.Run("apic.illegal-transitions"u8, &IllegalTransitions);
        Check.RunHv("apic.illegal-vector-error"u8, &IllegalVectorError);
        Check.RunHv("apic.hypervisor-registers"u8, &HypervisorRegisters);
        Check.RunHv("apic.eoi-assist"u8, &EoiAssist);
    }

    /// <summary>From here on the processor is in x2APIC mode.</summary>
    public static void RunX2Apic()
    {
        Check.Run("x2apic.switch"u8, &SwitchToX2Apic);
        if (!LocalApic.IsX2Apic) return;
        Check.Run("x2apic.id-and-version"u8, &IdAndVersion);
        Check.Run("x2apic.self-ipi-register"u8, &SelfIpiRegister);
        Check.Run("x2apic.self-ipi"u8, &SelfIpi);
        Check.Run("x2apic.timer-one-shot"u8, &TimerOneShot);
        Check.Run("x2apic.task-priority"u8, &TaskPriorityBlocks);
        Check.Run("x2apic.nmi"u8, &NmiOnce);
        DeviceChecks.RunX2Apic();
        Check.Run("x2apic.timer-periodic"u8, &TimerPeriodic);
        Check.Run("x2apic.tsc-deadline"u8, &TscDeadline);
        Check.RunHv("x2apic.hypervisor-registers"u8, &HypervisorRegisters);
        Check.Run("x2apic.read-only-and-reserved"u8, &X2ApicFaults);
        Check.Run("x2apic.no-way-back-to-xapic"u8, &NoWayBack);
    }

    private static void RunCommon()
    {
        Check.Run("apic.self-ipi"u8, &SelfIpi);
        Check.Run("apic.ipi-to-own-id"u8, &IpiToOwnId);
        Check.Run("apic.logical-destination"u8, &LogicalDestination);
        Check.Run("apic.priority-order"u8, &PriorityOrder);
        Check.Run("apic.in-service-blocks-lower"u8, &InServiceBlocksLower);
        Check.Run("apic.task-priority"u8, &TaskPriorityBlocks);
        Check.Run("apic.task-priority-is-cr8"u8, &TaskPriorityIsCr8);
        Check.Run("apic.cr8-releases"u8, &Cr8Releases);
        Check.Run("apic.request-register"u8, &RequestRegister);
        Check.RunHv("apic.software-disabled-masks"u8, &SoftwareDisabledMasks);
        Check.Run("apic.timer-one-shot"u8, &TimerOneShot);
        Check.Run("apic.timer-periodic"u8, &TimerPeriodic);
        Check.Run("apic.timer-count-falls"u8, &TimerCountFalls);
        Check.Run("apic.timer-masked"u8, &TimerMasked);
        Check.Run("apic.timer-stop"u8, &TimerStop);
        Check.Run("apic.timer-frequency"u8, &TimerFrequency);
        Check.Run("apic.tsc-deadline"u8, &TscDeadline);
        Check.Run("apic.nmi-once-and-not-nested"u8, &NmiOnce);
    }

    private static void IdAndVersion()
    {
        uint version = LocalApic.Read(ApicRegisters.LocalApicVersion);
        Check.Between("version"u8, version & 0xFF, 0x10, 0x1F);
        Check.Between("last local vector"u8, version >> 16 & 0xFF, 3, 7);
        Check.Equal("ID"u8, LocalApic.Id, 0);
    }

    private static void PageInstructionForms()
    {
        const ulong page = ApicBase.DefaultAddress;
        uint version = Mmio.Read32(page + ApicRegisters.LocalApicVersion);
        Expect(Code.Load32, ApicRegisters.LocalApicVersion, 0, version);
        Expect(Code.And, ApicRegisters.LocalApicVersion, 0xFF, version & 0xFF);
        RunState compare = new() { Rsi = page + ApicRegisters.LocalApicVersion, Rax = version };
        compare.Run(Code.Compare);
        Check.That((compare.RFlags & 0x40) != 0, "CMP does not set ZF"u8);
        RunState store = new() { Rsi = page + ApicRegisters.DivideConfiguration };
        store.Run(Code.StoreImmediate);
        Check.Returned("MOV m32, imm32"u8, store);
        Check.Equal("what it wrote"u8, LocalApic.Read(ApicRegisters.DivideConfiguration), 1);
        RunState exchange = new() { Rsi = page + ApicRegisters.DivideConfiguration, Rax = 0xB };
        exchange.Run(Code.Exchange);
        Check.Returned("XCHG"u8, exchange);
        Check.Equal("what XCHG read"u8, exchange.Rax, 1);
        Check.Equal("what XCHG wrote"u8, LocalApic.Read(ApicRegisters.DivideConfiguration), 0xB);
        RunState indexed = new() { Rsi = page + ApicRegisters.LocalApicVersion - 0x18, Rbx = 2 };
        indexed.Run(Code.LoadIndexed);
        Check.Equal("R9 with base, index and displacement"u8, indexed.R9, version);
    }

    private static void Expect(Code code, uint register, ulong before, ulong expected)
    {
        RunState state = new() { Rsi = ApicBase.DefaultAddress + register, Rax = before };
        state.Run(code);
        if (Check.Returned("a read"u8, state)) Check.Equal("EAX"u8, state.Rax, expected);
    }

    private static void SelfIpi()
    {
        for (uint i = 1; i <= 10; i++)
        {
            LocalApic.SendSelf(Middle);
            if (!Check.That(Interrupts.Wait(Middle, i), "it did not come"u8)) return;
        }
        Interrupts.Open(200);
        Check.Equal("interrupts"u8, Interrupts.Count(Middle), 10);
    }

    private static void IpiToOwnId()
    {
        InterruptCommand command = InterruptCommand.Of(DeliveryMode.Fixed, Middle);
        LocalApic.Send(LocalApic.IsX2Apic ? command.WithX2ApicDestination(LocalApic.Id) : command.WithXApicDestination((byte)LocalApic.Id));
        Check.That(Interrupts.Wait(Middle), "it did not come"u8);
        LocalApic.Send(command.WithDestinationShorthand(InterruptCommand.AllIncludingSelf));
        Check.That(Interrupts.Wait(Middle, 2), "it did not come by the shorthand for all"u8);
        LocalApic.Send(command.WithDestinationShorthand(InterruptCommand.AllExcludingSelf));
        Interrupts.Open(500);
        Check.Equal("interrupts after the shorthand for all others"u8, Interrupts.Count(Middle), 2);
    }

    private static void LogicalDestination()
    {
        const ulong logicalBit = 1 << 11;
        LocalApic.Write(ApicRegisters.DestinationFormat, 0xFFFFFFFF);
        LocalApic.Write(ApicRegisters.LogicalDestination, 0x04000000);
        InterruptCommand command = new(InterruptCommand.Of(DeliveryMode.Fixed, Middle).Value | logicalBit);
        LocalApic.Send(command.WithXApicDestination(0x04));
        Check.That(Interrupts.Wait(Middle), "it did not come"u8);
        LocalApic.Send(command.WithXApicDestination(0x02));
        Interrupts.Open(500);
        Check.Equal("interrupts after another's destination"u8, Interrupts.Count(Middle), 1);
    }

    private static void PriorityOrder()
    {
        LocalApic.SendSelf(Low);
        LocalApic.SendSelf(High);
        LocalApic.SendSelf(Middle);
        Interrupts.Wait(Low);
        Check.Equal("first"u8, Interrupts.Logged(0), High);
        Check.Equal("second"u8, Interrupts.Logged(1), Middle);
        Check.Equal("third"u8, Interrupts.Logged(2), Low);
    }

    private static void InServiceBlocksLower()
    {
        Interrupts.WithoutEoi(High);
        LocalApic.SendSelf(High);
        if (!Check.That(Interrupts.Wait(High), "the higher one did not come"u8)) return;
        Check.That(LocalApic.IsBitSet(ApicRegisters.InService, High), "its in-service bit is clear"u8);
        Check.Equal("processor priority class"u8, LocalApic.Read(ApicRegisters.ProcessorPriority) >> 4, High >> 4);
        LocalApic.SendSelf(Middle);
        Interrupts.Open(500);
        Check.Equal("lower ones before EOI"u8, Interrupts.Count(Middle), 0);
        LocalApic.EndOfInterrupt();
        Check.That(Interrupts.Wait(Middle), "the lower one did not come after EOI"u8);
        Check.That(!LocalApic.IsBitSet(ApicRegisters.InService, High), "the in-service bit is still set"u8);
    }

    private static void TaskPriorityBlocks()
    {
        LocalApic.Write(ApicRegisters.TaskPriority, 0x50);
        LocalApic.SendSelf(Low);
        LocalApic.SendSelf(Middle);
        LocalApic.SendSelf(High);
        Check.That(Interrupts.Wait(High), "the higher one did not come"u8);
        Interrupts.Open(500);
        Check.Equal("lower and equal ones while blocked"u8, Interrupts.Count(Low) + Interrupts.Count(Middle), 0);
        LocalApic.Write(ApicRegisters.TaskPriority, 0x40);
        Check.That(Interrupts.Wait(Middle), "the middle one was not released"u8);
        Interrupts.Open(500);
        Check.Equal("lower ones at their own class"u8, Interrupts.Count(Low), 0);
        LocalApic.Write(ApicRegisters.TaskPriority, 0);
        Check.That(Interrupts.Wait(Low), "the lower one was not released"u8);
    }

    private static void TaskPriorityIsCr8()
    {
        LocalApic.Write(ApicRegisters.TaskPriority, 0x50);
        Check.Equal("CR8"u8, Instructions.ReadCr8(), 5);
        Instructions.WriteCr8(9);
        Check.Equal("task priority"u8, LocalApic.Read(ApicRegisters.TaskPriority), 0x90);
        LocalApic.Write(ApicRegisters.TaskPriority, 0x37);
        Check.Equal("CR8 of a priority with a subclass"u8, Instructions.ReadCr8(), 3);
    }

    private static void Cr8Releases()
    {
        Instructions.WriteCr8(15);
        LocalApic.SendSelf(High);
        Interrupts.Open(500);
        Check.Equal("interrupts while CR8 is 15"u8, Interrupts.Count(High), 0);
        Instructions.WriteCr8(9);
        Interrupts.Open(500);
        Check.Equal("interrupts while CR8 is their class"u8, Interrupts.Count(High), 0);
        Instructions.WriteCr8(8);
        Check.That(Interrupts.Wait(High), "it was not released"u8);
    }

    private static void RequestRegister()
    {
        LocalApic.SendSelf(High);
        LocalApic.SendSelf(High);
        Check.That(LocalApic.IsBitSet(ApicRegisters.InterruptRequest, High), "the request bit is clear"u8);
        Check.That(Interrupts.Wait(High), "it did not come"u8);
        Interrupts.Open(300);
        Check.Equal("interrupts of two equal requests"u8, Interrupts.Count(High), 1);
        Check.That(!LocalApic.IsBitSet(ApicRegisters.InterruptRequest, High), "the request bit is still set"u8);
    }

    private static void SoftwareDisabledMasks()
    {
        LocalApic.Write(ApicRegisters.LvtTimer, TimerVector);
        LocalApic.Write(ApicRegisters.SpuriousInterruptVector, Interrupts.SpuriousVector);
        Check.That((LocalApic.Read(ApicRegisters.LvtTimer) & LocalApic.MaskedBit) != 0, "the local vectors are not masked"u8);
        LocalApic.Initialize();
    }

    private static void TimerOneShot()
    {
        LocalApic.StartTimer(TimerVector, 0, 100_000);
        if (!Check.That(Interrupts.Wait(TimerVector), "it did not come"u8)) return;
        Interrupts.Open(2000);
        Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), 1);
        Check.Equal("count afterwards"u8, LocalApic.Read(ApicRegisters.CurrentCount), 0);
    }

    private static void TimerPeriodic()
    {
        LocalApic.StartTimer(TimerVector, LocalApic.PeriodicBit, 300_000);
        Check.That(Interrupts.Wait(TimerVector, 5), "fewer than five came"u8);
        LocalApic.StopTimer();
        Interrupts.Open(100);
        uint count = Interrupts.Count(TimerVector);
        Interrupts.Open(3000);
        Check.Equal("interrupts after it was stopped"u8, Interrupts.Count(TimerVector) - count, 0);
    }

    private static void TimerCountFalls()
    {
        LocalApic.StartTimer(TimerVector, LocalApic.MaskedBit, 0xFFFFFFFF);
        uint first = LocalApic.Read(ApicRegisters.CurrentCount);
        Clock.Spin(100);
        uint second = LocalApic.Read(ApicRegisters.CurrentCount);
        Check.That(first != 0 && second < first, "the count does not fall"u8);
        LocalApic.Write(ApicRegisters.InitialCount, 0);
        Check.Equal("count of a stopped timer"u8, LocalApic.Read(ApicRegisters.CurrentCount), 0);
    }

    private static void TimerMasked()
    {
        LocalApic.StartTimer(TimerVector, LocalApic.MaskedBit, 1000);
        Interrupts.Open(2000);
        Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), 0);
    }

    private static void TimerStop()
    {
        LocalApic.StartTimer(TimerVector, 0, 5_000_000);
        LocalApic.Write(ApicRegisters.InitialCount, 0);
        Interrupts.Open(30_000);
        Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), 0);
    }

    // The divider divides, and under Hyper-V the frequency is the one that its register says.
    private static void TimerFrequency()
    {
        const uint divideBy16 = 3;
        ulong undivided = Measure(LocalApic.DivideBy1);
        ulong divided = Measure(divideBy16);
        Check.Between("undivided ticks for 100 divided ones"u8, undivided * 100 / (divided == 0 ? 1 : divided), 1500, 1700);
        if (!HvCpuid.IsPresent) return;
        ulong hz = Instructions.RdMsr(HvMsr.HV_X64_MSR_APIC_FREQUENCY);
        Check.Between("ticks per ms"u8, undivided / 10, hz / 1000 * 97 / 100, hz / 1000 * 103 / 100);
    }

    private static ulong ReadCount() => LocalApic.Read(ApicRegisters.CurrentCount);

    // Ticks in 10 ms.
    private static ulong Measure(uint divide)
    {
        LocalApic.Write(ApicRegisters.LvtTimer, LocalApic.MaskedBit);
        LocalApic.Write(ApicRegisters.DivideConfiguration, divide);
        LocalApic.Write(ApicRegisters.InitialCount, 0xFFFFFFFF);
        ulong from = Clock.ReadTogether(&ReadCount, out ulong start);
        Clock.Spin(10_000);
        ulong to = Clock.ReadTogether(&ReadCount, out ulong end);
        LocalApic.Write(ApicRegisters.InitialCount, 0);
        return (from - to) * Clock.Ticks(10) / (end - start);
    }

    private static void TscDeadline()
    {
        if ((CpuidLeafValue.Read(1).Ecx & 1 << 24) == 0) { Check.Skip("no TSC deadline"u8); return; }
        LocalApic.Write(ApicRegisters.LvtTimer, TimerVector | LocalApic.TscDeadlineBit);
        // Read back far ahead: others may have the processor between the two.
        ulong deadline = Instructions.RdTsc() + Clock.Ticks(10_000);
        Instructions.WrMsr(Msr.IA32_TSC_DEADLINE, deadline);
        Check.Equal("the armed deadline"u8, Instructions.RdMsr(Msr.IA32_TSC_DEADLINE), deadline);
        deadline = Instructions.RdTsc() + Clock.TicksOfMicroseconds(2000);
        Instructions.WrMsr(Msr.IA32_TSC_DEADLINE, deadline);
        if (!Check.That(Interrupts.Wait(TimerVector), "it did not come"u8)) return;
        Check.That(Interrupts.LastTsc >= deadline, "it came early"u8);
        Check.Equal("the deadline afterwards"u8, Instructions.RdMsr(Msr.IA32_TSC_DEADLINE), 0);
        Instructions.WrMsr(Msr.IA32_TSC_DEADLINE, 1);
        Check.That(Interrupts.Wait(TimerVector, 2), "a deadline in the past did not come at once"u8);
        DisarmBefore(deadlineMilliseconds: 20);
        uint before = Interrupts.Count(TimerVector);
        Interrupts.Open(25_000);
        Check.Equal("interrupts after it was disarmed"u8, Interrupts.Count(TimerVector), before);
    }

    // On a loaded machine somebody else may have the processor until the deadline is over: then it was not disarmed in time, and another one is tried.
    private static void DisarmBefore(ulong deadlineMilliseconds)
    {
        for (int i = 0; i < 20; i++)
        {
            ulong deadline = Instructions.RdTsc() + Clock.Ticks(deadlineMilliseconds);
            Instructions.WrMsr(Msr.IA32_TSC_DEADLINE, deadline);
            Instructions.WrMsr(Msr.IA32_TSC_DEADLINE, 0);
            if (Instructions.RdTsc() < deadline) return;
            Interrupts.Open(1_000);
        }
        Check.That(false, "twenty times the processor was somebody else's for 20 ms"u8);
    }

    // The handler sends another: it has to wait for the first one's IRET.
    private static void NmiOnce()
    {
        Interrupts.SetHook(&SendAnotherNmi);
        LocalApic.SendNmiToSelf();
        ulong start = Instructions.RdTsc();
        while (Interrupts.Count(Nmi) < 2 && Instructions.RdTsc() - start < Clock.Ticks(Clock.Patience)) Instructions.Pause();
        Check.Equal("NMIs"u8, Interrupts.Count(Nmi), 2);
        Check.Equal("depth"u8, Interrupts.NmiMostDepth, 1);
        Clock.Spin(200);
        Check.Equal("NMIs a little later"u8, Interrupts.Count(Nmi), 2);
    }

    private static void SendAnotherNmi(byte vector)
    {
        if (vector != Nmi || Interrupts.Count(Nmi) != 1) return;
        LocalApic.SendNmiToSelf();
        CpuidLeafValue.Read(1);
        Clock.Spin(50);
    }

    private static void IllegalTransitions()
    {
        if ((CpuidLeafValue.Read(1).Ecx & 1 << 21) == 0) { Check.Skip("no x2APIC"u8); return; }
        ApicBase current = new(Instructions.RdMsr(Msr.IA32_APIC_BASE));
        Check.That(current.EN && !current.EXTD && current.BSP, "not in xAPIC mode at start"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_APIC_BASE, current.WithEN(false).WithEXTD(true).Value), "EXTD without EN is accepted"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_APIC_BASE, current.Value | 1), "a reserved bit is accepted"u8);
        Check.That(Msrs.ReadFaults(Msr.IA32_X2APIC_APICID), "an x2APIC register is readable in xAPIC mode"u8);
        Check.Equal("IA32_APIC_BASE"u8, Instructions.RdMsr(Msr.IA32_APIC_BASE), current.Value);
    }

    private static void IllegalVectorError()
    {
        const byte errorVector = 0x62;
        const uint sendIllegalVector = 1 << 5;
        LocalApic.Write(ApicRegisters.ErrorStatus, 0);
        LocalApic.Write(ApicRegisters.ErrorStatus, 0);
        LocalApic.Write(ApicRegisters.LvtError, errorVector);
        LocalApic.SendSelf(5);
        bool came = Interrupts.Wait(errorVector);
        LocalApic.Write(ApicRegisters.LvtError, LocalApic.MaskedBit | errorVector);
        LocalApic.Write(ApicRegisters.ErrorStatus, 0);
        Check.That((LocalApic.Read(ApicRegisters.ErrorStatus) & sendIllegalVector) != 0, "the error status does not say so"u8);
        Check.That(came, "no error interrupt"u8);
    }

    // TLFS, "APIC Registers": EOI, ICR and TPR as MSRs, in either mode.
    private static void HypervisorRegisters()
    {
        if (!HvCpuid.Has(PartitionPrivileges.AccessIntrCtrlMsrs)) { Check.Skip("no privilege"u8); return; }
        Interrupts.WithoutEoi(Middle);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_ICR, InterruptCommand.Of(DeliveryMode.Fixed, Middle).WithDestinationShorthand(InterruptCommand.Self).Value);
        Check.That(Interrupts.Wait(Middle), "a self-IPI by HV_X64_MSR_ICR did not come"u8);
        Check.That(LocalApic.IsBitSet(ApicRegisters.InService, Middle), "its in-service bit is clear"u8);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_EOI, 0);
        Check.That(!LocalApic.IsBitSet(ApicRegisters.InService, Middle), "HV_X64_MSR_EOI does not end it"u8);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_TPR, 0x70);
        Check.Equal("CR8 after HV_X64_MSR_TPR"u8, Instructions.ReadCr8(), 7);
        Check.Equal("HV_X64_MSR_TPR"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_TPR), 0x70);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_TPR, 0);
    }

    // Where the hypervisor says that no EOI is needed, none is written, and nothing is lost by it.
    private static void EoiAssist()
    {
        const uint rounds = 20;
        *(ulong*)GuestPages.VpAssist = 0;
        Instructions.WrMsr(HvMsr.HV_X64_MSR_VP_ASSIST_PAGE, GuestPages.VpAssist | 1);
        Interrupts.WithoutEoi(Low);
        Interrupts.WithoutEoi(High);
        Interrupts.SetHook(&EndByAssist);
        for (uint i = 1; i <= rounds; i++)
        {
            LocalApic.SendSelf(Low);
            LocalApic.SendSelf(High);
            if (!Check.That(Interrupts.Wait(High, i) && Interrupts.Wait(Low, i), "an interrupt was lost"u8)) break;
        }
        Instructions.WrMsr(HvMsr.HV_X64_MSR_VP_ASSIST_PAGE, 0);
        Check.Equal("interrupts of the higher vector"u8, Interrupts.Count(High), rounds);
        Check.Equal("interrupts of the lower vector"u8, Interrupts.Count(Low), rounds);
        Check.That(!LocalApic.IsBitSet(ApicRegisters.InService, High) && !LocalApic.IsBitSet(ApicRegisters.InService, Low), "one is still in service"u8);
    }

    private static void EndByAssist(byte vector)
    {
        if (vector != Low && vector != High) return;
        ulong* page = (ulong*)GuestPages.VpAssist;
        if ((Interlocked.And(ref *page, ~(ulong)VpAssistPage.NoEoiRequired) & VpAssistPage.NoEoiRequired) == 0) LocalApic.EndOfInterrupt();
    }

    private static void SwitchToX2Apic()
    {
        if ((CpuidLeafValue.Read(1).Ecx & 1 << 21) == 0) { Check.Skip("no x2APIC"u8); return; }
        uint version = LocalApic.Read(ApicRegisters.LocalApicVersion), id = LocalApic.Id;
        ApicBase current = new(Instructions.RdMsr(Msr.IA32_APIC_BASE));
        if (!Check.That(Msrs.TryWrite(Msr.IA32_APIC_BASE, current.WithEXTD(true).Value), "the switch is #GP"u8)) return;
        Check.That(LocalApic.IsX2Apic, "EXTD is still clear"u8);
        Check.Equal("version"u8, LocalApic.Read(ApicRegisters.LocalApicVersion), version);
        Check.Equal("ID"u8, LocalApic.Id, id);
        Check.Equal("logical destination"u8, LocalApic.Read(ApicRegisters.LogicalDestination), (id >> 4) << 16 | 1u << (int)(id & 15));
    }

    private static void SelfIpiRegister()
    {
        Instructions.WrMsr(Msr.IA32_X2APIC_SELF_IPI, Middle);
        Check.That(Interrupts.Wait(Middle), "it did not come"u8);
        Check.That(Msrs.ReadFaults(Msr.IA32_X2APIC_SELF_IPI), "the register is readable"u8);
    }

    private static void X2ApicFaults()
    {
        Check.That(Msrs.WriteFaults(Msr.IA32_X2APIC_APICID, 1), "the ID is writable"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_X2APIC_VERSION, 1), "the version is writable"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_X2APIC_LDR, 1), "the logical destination is writable"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_X2APIC_EOI, 1), "an EOI other than 0 is accepted"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_X2APIC_TPR, 0x100), "a task priority of 0x100 is accepted"u8);
        Check.That(Msrs.ReadFaults(0x80E), "the destination format exists"u8);
        Check.That(Msrs.ReadFaults(0x831), "the upper half of the command exists"u8);
    }

    private static void NoWayBack()
    {
        ApicBase current = new(Instructions.RdMsr(Msr.IA32_APIC_BASE));
        Check.That(Msrs.WriteFaults(Msr.IA32_APIC_BASE, current.WithEXTD(false).Value), "x2APIC to xAPIC is accepted"u8);
        // By way of "off" there is one.
        Check.That(Msrs.TryWrite(Msr.IA32_APIC_BASE, current.WithEXTD(false).WithEN(false).Value), "switching it off is #GP"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_APIC_BASE, current.Value), "off to x2APIC is accepted"u8);
        Check.That(Msrs.TryWrite(Msr.IA32_APIC_BASE, current.WithEXTD(false).Value), "switching it on is #GP"u8);
        LocalApic.Initialize();
        LocalApic.SendSelf(Middle);
        Check.That(Interrupts.Wait(Middle), "no interrupt in xAPIC mode afterwards"u8);
    }
}
