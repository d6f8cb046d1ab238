// Which public counter a write to the local APIC belongs to, however the guest reaches it.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Hypervisor.Apic;

/// <summary>By the register alone: this is on the way of every WRMSR.</summary>
public static class ApicCounters
{
    private const byte Msrs = (byte)HvStatsVpCounters.VpMsrAccessesCount, Tpr = (byte)HvStatsVpCounters.VpApicTprAccesses,
        Eoi = (byte)HvStatsVpCounters.VpApicEoiAccesses, Ipi = (byte)HvStatsVpCounters.VpApicIpisSent, Self = (byte)HvStatsVpCounters.VpApicSelfIpisSent;

    private static ReadOnlySpan<byte> ByRegister => [
        Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Tpr, Msrs, Msrs, Eoi, Msrs, Msrs, Msrs, Msrs,
        Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs,
        Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs,
        Ipi, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Msrs, Self];

    private static ReadOnlySpan<byte> BySyntheticMsr => [Eoi, Ipi, Tpr];

    /// <summary>A WRMSR of whatever register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint OfMsrWrite(uint msr)
    {
        uint register = msr - Msr.X2ApicFirst;
        if (register < 64)
            return ByRegister[(int)register];
        uint synthetic = msr - HvMsr.HV_X64_MSR_EOI;
        return synthetic < 3 ? BySyntheticMsr[(int)synthetic] : HvStatsVpCounters.VpMsrAccessesCount;
    }

    /// <summary>A write to the xAPIC page.</summary>
    public static uint OfPageWrite(uint offset)
    {
        uint counter = (offset & 0xF) == 0 && offset >> 4 < 64 ? ByRegister[(int)(offset >> 4)] : Msrs;
        return counter == Msrs ? HvStatsVpCounters.VpApicMmioAccesses : counter;
    }
}
