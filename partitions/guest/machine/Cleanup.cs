// Puts the processor back into the state in which every check finds it, however the one before ended.
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static class Cleanup
{
    public static void AfterCheck()
    {
        Instructions.Cli();
        Instructions.Out8(Serial.InterruptEnable, 0);
        LocalApic.Initialize();
        if (HvCpuid.IsPresent) StopSyntheticSources();
        Instructions.WriteCr8(0);
        DrainInterrupts();
        Interrupts.Reset();
    }

    private static void StopSyntheticSources()
    {
        for (uint i = 0; i < 4; i++) Msrs.TryWrite(HvMsr.HV_X64_MSR_STIMER0_CONFIG + 2 * i, 0);
        for (uint i = 0; i < 16; i++) Msrs.TryWrite(HvMsr.HV_X64_MSR_SINT0 + i, SintMsr.Reset.Value);
        Msrs.TryWrite(HvMsr.HV_X64_MSR_SCONTROL, 0);
        Msrs.TryWrite(HvMsr.HV_X64_MSR_SIMP, 0);
        Msrs.TryWrite(HvMsr.HV_X64_MSR_SIEFP, 0);
    }

    // Whatever is still pending or in service comes now and is ended.
    private static void DrainInterrupts()
    {
        Interrupts.Open(20);
        for (int i = 0; i < 16; i++) LocalApic.EndOfInterrupt();
        Interrupts.Open(20);
    }
}
