// Switching the machine off and starting it anew. ACPI Specification, "Waking and Sleeping", "Reset Register".
using Lamina.X64;
using Lamina.X64.Acpi;
using Lamina.X64.Paging;

namespace Lamina.Root.Kernel;

public static unsafe class MachinePower
{
    // PM1 control register. ACPI Specification, "PM1 Control Registers".
    private const ushort SCI_EN = 1 << 0, SLP_EN = 1 << 13;
    private const int SLP_TYP = 10;

    // Sleep control register of hardware-reduced machines, at the same bit as there.
    private const byte SleepEnable = 1 << 5;
    private const int SleepType = 2;

    private const ushort ResetControlPort = 0xCF9, KeyboardControllerPort = 0x64;
    private const byte FullReset = 0x0E, PulseReset = 0xFE;
    private const int SwitchAttempts = 300;

    /// <summary>Returns only if the machine has no way to switch itself off that we understand.</summary>
    public static void PowerOff()
    {
        Fadt* fadt = (Fadt*)AcpiTables.Find(AcpiSignature.FADT);
        if (fadt == null || !TryFindSoftOff(fadt, out SleepState state)) return;
        StorageDrivers.ShutDown();
        if ((fadt->Flags & Fadt.HW_REDUCED_ACPI) != 0)
        {
            Write(fadt->SLEEP_CONTROL_REG, (byte)(state.TypeA << SleepType | SleepEnable));
            return;
        }
        EnterAcpiMode(fadt);
        Instructions.Cli();
        WriteSleep(fadt->PM1a_CNT_BLK, state.TypeA);
        WriteSleep(fadt->PM1b_CNT_BLK, state.TypeB);
        Instructions.Sti();
    }

    /// <summary>Tries the ways to reset that machines have had, the most recent first; the last one cannot fail.</summary>
    public static void Reboot()
    {
        StorageDrivers.ShutDown();
        Instructions.Cli();
        Fadt* fadt = (Fadt*)AcpiTables.Find(AcpiSignature.FADT);
        if (fadt != null && (fadt->Flags & Fadt.RESET_REG_SUP) != 0) Write(fadt->RESET_REG, fadt->RESET_VALUE);
        Wait();
        Instructions.Out8(ResetControlPort, FullReset);
        Wait();
        Instructions.Out8(KeyboardControllerPort, PulseReset);
        Wait();
        DescriptorTableRegister none = default;
        Instructions.Lidt(&none);
        Instructions.Int3(); // no IDT: a triple fault
    }

    private static bool TryFindSoftOff(Fadt* fadt, out SleepState state)
    {
        bool has64Bit = fadt->Header.Length >= 148 && fadt->X_DSDT != 0;
        state = default;
        return AcpiTables.TryMapTable(has64Bit ? fadt->X_DSDT : fadt->DSDT, out AcpiTableHeader* dsdt)
            && SleepState.TryFindS5((byte*)(dsdt + 1), dsdt->Length - (ulong)sizeof(AcpiTableHeader), out state);
    }

    /// <summary>In legacy mode the sleep bits belong to the firmware.</summary>
    private static void EnterAcpiMode(Fadt* fadt)
    {
        if (fadt->SMI_CMD == 0 || fadt->ACPI_ENABLE == 0) return;
        if ((Instructions.In16((ushort)fadt->PM1a_CNT_BLK) & SCI_EN) != 0) return;
        Instructions.Out8((ushort)fadt->SMI_CMD, fadt->ACPI_ENABLE);
        for (int i = 0; i < SwitchAttempts && (Instructions.In16((ushort)fadt->PM1a_CNT_BLK) & SCI_EN) == 0; i++) Wait();
    }

    private static void WriteSleep(uint port, byte type)
    {
        if (port == 0) return;
        int control = Instructions.In16((ushort)port) & ~(7 << SLP_TYP) | type << SLP_TYP;
        Instructions.Out16((ushort)port, (ushort)(control | SLP_EN));
    }

    private static void Write(GenericAddress register, byte value)
    {
        if (register.AddressSpaceId == GenericAddress.SystemIo) Instructions.Out8((ushort)register.Address, value);
        else if (register.AddressSpaceId == GenericAddress.SystemMemory && AddressSpace.TryMapDevice(register.Address, 1, MemoryType.Uncacheable))
            Mmio.Write8(register.Address, value);
    }

    private static void Wait()
    {
        ulong end = ReferenceClock.Now + 10 * ReferenceClock.TicksPerMillisecond;
        while (ReferenceClock.Now < end) Instructions.Pause();
    }
}
