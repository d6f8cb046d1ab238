// The processor's real local APIC: the core owns it. x2APIC mode where there is one, else the register page.
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>SDM 3A, "Advanced Programmable Interrupt Controller (APIC)".</summary>
public static unsafe class PhysicalApic
{
    public const byte TimerVector = 0xF0, KickVector = 0xF1, SpuriousVector = 0xFF;
    private const ulong BaseEnable = 1 << 11, BaseX2Apic = 1 << 10;
    private const uint SoftwareEnable = 1 << 8, LvtMasked = 1 << 16, LvtTscDeadline = 2 << 17;
    private const uint DivideBy1 = 0xB;
    private const uint IcrAssert = 1 << 14, IcrSelf = 1 << 18 | IcrAssert, IcrDeliveryPending = 1 << 12,
        IcrNmiToOthers = 3 << 18 | IcrAssert | 4 << 8;

    private static bool x2Apic, tscDeadline;
    private static ulong page;

    /// <summary>Base of the register page, which no partition may reach.</summary>
    public static ulong BaseAddress => Instructions.RdMsr(Msr.IA32_APIC_BASE) & 0x000F_FFFF_FFFF_F000;

    public static bool UsesTscDeadline => tscDeadline;

    /// <summary>What all processors' APICs have, and that of the first.</summary>
    public static void Initialize()
    {
        uint* registers = stackalloc uint[4];
        Instructions.Cpuid(1, 0, registers);
        x2Apic = (registers[2] & 1u << 21) != 0;
        tscDeadline = (registers[2] & 1u << 24) != 0;
        if (!x2Apic)
            page = CoreAddressSpace.MapDevice(BaseAddress, 0x1000, MemoryType.Uncacheable);
        InitializeProcessor();
    }

    /// <summary>This processor's: on, with nothing of what firmware left, and every source closed but NMIs.</summary>
    public static void InitializeProcessor()
    {
        ulong apicBase = Instructions.RdMsr(Msr.IA32_APIC_BASE) | BaseEnable;
        Instructions.WrMsr(Msr.IA32_APIC_BASE, apicBase);
        if (x2Apic)
            Instructions.WrMsr(Msr.IA32_APIC_BASE, apicBase | BaseX2Apic);

        Write(ApicRegisters.TaskPriority, 0);
        Write(ApicRegisters.LvtLint0, LvtMasked);
        Write(ApicRegisters.LvtLint1, 4 << 8); // NMI
        Write(ApicRegisters.LvtError, LvtMasked);
        Write(ApicRegisters.LvtTimer, LvtMasked | TimerVector);
        Write(ApicRegisters.SpuriousInterruptVector, SoftwareEnable | SpuriousVector);
        Write(ApicRegisters.DivideConfiguration, DivideBy1);
    }

    public static uint Id => x2Apic ? Read(ApicRegisters.LocalApicId) : Read(ApicRegisters.LocalApicId) >> 24;

    /// <summary>Lets the timer run free from its highest count, masked: for calibration.</summary>
    public static void StartCalibration() => Write(ApicRegisters.InitialCount, uint.MaxValue);
    public static uint CalibrationTicks => uint.MaxValue - Read(ApicRegisters.CurrentCount);

    public static void EnableTimer() => Write(ApicRegisters.LvtTimer, TimerVector | (tscDeadline ? LvtTscDeadline : 0));

    /// <summary>One interrupt at a TSC value; MaxValue for none. <paramref name="ticks"/> is the same distance in APIC ticks from now.</summary>
    public static void SetTimer(ulong deadline, uint ticks)
    {
        if (tscDeadline)
            Instructions.WrMsr(Msr.IA32_TSC_DEADLINE, deadline == ulong.MaxValue ? 0 : deadline);
        else
            Write(ApicRegisters.InitialCount, deadline == ulong.MaxValue ? 0 : ticks);
    }

    /// <summary>Has the APIC look whether it must interrupt. A real one needs no telling; an emulated one may have been forgotten by its processor.</summary>
    public static void Reassess() => Write(ApicRegisters.TaskPriority, 0);

    public static void EndOfInterrupt() => Write(ApicRegisters.EOI, 0);

    /// <summary>An interrupt to this processor, which comes as soon as interrupts are open: a guest exits behind its next instruction.</summary>
    public static void InterruptSelf()
    {
        if (x2Apic)
            Instructions.WrMsr(Msr.X2ApicFirst + (ApicRegisters.SelfIpi >> 4), KickVector);
        else
            Mmio.Write32(page + ApicRegisters.InterruptCommandLow, IcrSelf | KickVector);
    }

    /// <summary>Whether interrupt commands can name a processor: an xAPIC's have eight bits for it.</summary>
    public static bool CanReach(uint apicId) => x2Apic || apicId < 0xFF;

    /// <summary>An interrupt command to one processor.</summary>
    public static void Send(uint apicId, uint command)
    {
        if (x2Apic)
        {
            // Stores before it must be seen by whoever takes the interrupt; this write alone does not wait for them. SDM 3A, "MSR Access in x2APIC Mode".
            Instructions.Fence();
            Instructions.WrMsr(Msr.IA32_X2APIC_ICR, (ulong)apicId << 32 | command);
            return;
        }
        // Nothing may come between the two halves: interrupts are closed in the core.
        while ((Mmio.Read32(page + ApicRegisters.InterruptCommandLow) & IcrDeliveryPending) != 0) { }
        Mmio.Write32(page + ApicRegisters.InterruptCommandHigh, apicId << 24);
        Mmio.Write32(page + ApicRegisters.InterruptCommandLow, command);
    }

    /// <summary>An NMI to all others, which a panic has them stop at.</summary>
    public static void StopOthers()
    {
        if (!LogicalProcessors.IsSingle)
            Send(0, IcrNmiToOthers);
    }

    /// <summary>Has another processor look at what is wanted of it, in the core, soon.</summary>
    public static void Kick(LogicalProcessor* processor)
    {
        LogicalProcessor.Current->Count(Abi.HvStatsLpCounters.LpInterProcessorInterruptsSent);
        Send(processor->ApicId, IcrAssert | KickVector);
    }

    private static uint Read(uint register) =>
        x2Apic ? (uint)Instructions.RdMsr(Msr.X2ApicFirst + (register >> 4)) : Mmio.Read32(page + register);

    private static void Write(uint register, uint value)
    {
        if (x2Apic)
            Instructions.WrMsr(Msr.X2ApicFirst + (register >> 4), value);
        else
            Mmio.Write32(page + register, value);
    }
}
