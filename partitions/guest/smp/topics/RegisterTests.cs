// What each processor holds in its registers stays its own, wherever it is executed meanwhile.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

public static unsafe class RegisterTests
{
    private const ulong Milliseconds = 500;
    private const uint Cr4Osxsave = 1 << 18, EcxXsave = 1 << 26, EcxAvx = 1 << 28, EdxRdtscp = 1 << 27;
    private const int AreaWords = 64;

    /// <summary>
    /// Loads vector and general registers from a pattern and compares them with it until a time. 0, or 1 + the number of the first 64-bit word that
    /// differs. <paramref name="work"/> holds what was found, and in word 128 how often it looked.
    /// </summary>
    [RuntimeImport("*", "smp_hold_registers"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong Hold(ulong* pattern, ulong* work, ulong deadline, ulong withAvx);

    public static void Run()
    {
        Check.Run("registers.vectors"u8, &Vectors);
        Check.Run("registers.wide-vectors"u8, &WideVectors);
        Check.Run("registers.debug"u8, &Debug);
        Check.Run("registers.msrs"u8, &ModelSpecific);
        Check.Run("registers.cr2"u8, &FaultAddress);
        Check.Run("registers.xcr0"u8, &ExtendedControl);
        Check.RunHv("registers.identity"u8, &Identity);
    }

    private static bool HasAvx => (CpuidLeafValue.Read(1).Ecx & (EcxXsave | EcxAvx)) == (EcxXsave | EcxAvx);

    // ---- Vectors ----

    private static void Vectors() => Crew.Run(&HoldVectors);

    private static void WideVectors()
    {
        if (HasAvx) Crew.Run(&HoldWideVectors);
        else Check.Skip("no AVX"u8);
    }

    private static void HoldVectors(Processor* processor) => HoldFor(processor, false);

    private static void HoldWideVectors(Processor* processor)
    {
        Instructions.WriteCr4(Instructions.ReadCr4() | Cr4Osxsave);
        Instructions.XSetBv(0, 7);
        HoldFor(processor, true);
        Instructions.WriteCr4(Instructions.ReadCr4() & ~(ulong)Cr4Osxsave);
    }

    private static void HoldFor(Processor* processor, bool wide)
    {
        ulong* pattern = (ulong*)processor->Scratch;
        ulong* work = pattern + 256;
        for (int i = 0; i < AreaWords; i++) work[i] = pattern[i] = (ulong)(processor->Index + 1) * 0x0101_0101_0101_0101 ^ (ulong)i << 56 ^ processor->Random();
        work[128] = 0;
        ulong wrong = Hold(pattern, work, Instructions.RdTsc() + Clock.Ticks(Rounds.AreFew ? Milliseconds / 4 : Milliseconds), wide ? 1ul : 0);
        processor->Progress = work[128];
        if (wrong != 0) Crew.Fail("a register changed, word"u8, wrong - 1);
    }

    // ---- Debug registers ----

    private static void Debug() => Crew.Run(&HoldDebug);

    private static void HoldDebug(Processor* processor)
    {
        const ulong enabled = 0x4AA, disabled = 0x400; // breakpoints on instructions, where none are
        ulong first = 0x7000_0000_0000 + (ulong)processor->Index * 0x10000;
        Instructions.WriteDr0(first);
        Instructions.WriteDr1(first + 0x1000);
        Instructions.WriteDr2(first + 0x2000);
        Instructions.WriteDr3(first + 0x3000);
        Instructions.WriteDr7(enabled);
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (!Crew.HasFailed && rounds.Next())
        {
            if (rounds.Begun % 64 == 0) Spin();
            Crew.Equal("DR0"u8, Instructions.ReadDr0(), first);
            Crew.Equal("DR1"u8, Instructions.ReadDr1(), first + 0x1000);
            Crew.Equal("DR2"u8, Instructions.ReadDr2(), first + 0x2000);
            Crew.Equal("DR3"u8, Instructions.ReadDr3(), first + 0x3000);
            Crew.Equal("DR7"u8, Instructions.ReadDr7(), enabled);
        }
        Instructions.WriteDr7(disabled);
    }

    private static void Spin()
    {
        for (int i = 0; i < 2000; i++) Instructions.Pause();
    }

    // ---- Model-specific registers ----

    private static ReadOnlySpan<uint> Canonical =>
        [Msr.IA32_FS_BASE, Msr.IA32_GS_BASE, Msr.IA32_KERNEL_GS_BASE, Msr.IA32_LSTAR, Msr.IA32_CSTAR, Msr.IA32_SYSENTER_ESP, Msr.IA32_SYSENTER_EIP];
    private static ReadOnlySpan<uint> Words32 => [Msr.IA32_FMASK, Msr.IA32_SYSENTER_CS];

    private static void ModelSpecific() => Crew.Run(&HoldModelSpecific);

    private static ulong ValueOf(Processor* processor, uint msr) => 0xFFFF_8000_0000_0000 + ((ulong)processor->Index << 24) + (ulong)(msr & 0xFFFF) * 16;
    private static ulong Value32Of(Processor* processor, uint msr) => ((ulong)processor->Index << 8) + (msr & 0xF0) + 8;
    private static ulong StarOf(Processor* processor) => 0x0013_0008_0000_0000 + ((ulong)processor->Index << 35) + 0x1234;

    private static void HoldModelSpecific(Processor* processor)
    {
        bool hasTscAux = (CpuidLeafValue.Read(0x80000001).Edx & EdxRdtscp) != 0;
        foreach (uint msr in Canonical) Instructions.WrMsr(msr, ValueOf(processor, msr));
        foreach (uint msr in Words32) Instructions.WrMsr(msr, Value32Of(processor, msr));
        Instructions.WrMsr(Msr.IA32_STAR, StarOf(processor));
        if (hasTscAux) Instructions.WrMsr(Msr.IA32_TSC_AUX, processor->Index + 0x77);
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (!Crew.HasFailed && rounds.Next())
        {
            if (rounds.Begun % 16 == 0) Spin();
            foreach (uint msr in Canonical)
                if (Instructions.RdMsr(msr) != ValueOf(processor, msr)) Crew.Fail("changed: MSR"u8, msr);
            foreach (uint msr in Words32)
                if (Instructions.RdMsr(msr) != Value32Of(processor, msr)) Crew.Fail("changed: MSR"u8, msr);
            Crew.Equal("STAR"u8, Instructions.RdMsr(Msr.IA32_STAR), StarOf(processor));
            if (hasTscAux) Crew.Equal("TSC_AUX"u8, Instructions.RdMsr(Msr.IA32_TSC_AUX), processor->Index + 0x77);
        }
        Instructions.WrMsr(Msr.IA32_FS_BASE, 0);
        Instructions.WrMsr(Msr.IA32_GS_BASE, 0);
    }

    // ---- Control registers ----

    private static void FaultAddress() => Crew.Run(&HoldFaultAddress);

    private static void HoldFaultAddress(Processor* processor)
    {
        ulong value = 0xFFFF_9000_0000_0000 + ((ulong)processor->Index << 12);
        Instructions.WriteCr2(value);
        Rounds rounds = new(ulong.MaxValue, Milliseconds / 2);
        while (!Crew.HasFailed && rounds.Next()) Crew.Equal("CR2"u8, Instructions.ReadCr2(), value);
    }

    private static void ExtendedControl()
    {
        if (HasAvx) Crew.Run(&HoldExtendedControl);
        else Check.Skip("no AVX"u8);
    }

    private static void HoldExtendedControl(Processor* processor)
    {
        ulong value = processor->Index % 2 == 0 ? 7ul : 3;
        Instructions.WriteCr4(Instructions.ReadCr4() | Cr4Osxsave);
        Instructions.XSetBv(0, value);
        Rounds rounds = new(ulong.MaxValue, Milliseconds / 2);
        while (!Crew.HasFailed && rounds.Next())
        {
            Spin();
            Crew.Equal("XCR0"u8, Instructions.XGetBv(0), value);
        }
        Instructions.XSetBv(0, 7);
        Instructions.WriteCr4(Instructions.ReadCr4() & ~(ulong)Cr4Osxsave);
    }

    // ---- Who it is ----

    private static void Identity() => Crew.Run(&HoldIdentity);

    private static void HoldIdentity(Processor* processor)
    {
        Rounds rounds = new(ulong.MaxValue, Milliseconds / 2);
        while (!Crew.HasFailed && rounds.Next())
        {
            Crew.Equal("initial APIC ID"u8, CpuidLeafValue.Read(1).Ebx >> 24, processor->ApicId);
            Crew.Equal("ID register"u8, LocalApic.Id, processor->ApicId);
            Crew.Equal("VP index"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_VP_INDEX), processor->Index);
        }
    }
}
