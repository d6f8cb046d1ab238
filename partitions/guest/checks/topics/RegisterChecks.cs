// Whatever makes the guest leave the processor, its registers come back as they were: general, x87, XMM, YMM.
using System;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>A distinct value for every register, and the comparison afterwards.</summary>
public static unsafe class RegisterPattern
{
    public const uint Rax = 1 << 0, Rcx = 1 << 1, Rdx = 1 << 2, Rbx = 1 << 3, Rsi = 1 << 6, Rdi = 1 << 7, R8 = 1 << 8, R9 = 1 << 9, R10 = 1 << 10, R11 = 1 << 11;
    private const int FlagsSlot = 4;
    private const int LegacyBytes = 512, HeaderBytes = 64, X87 = 32, Xmm = 160;
    private const ulong StatusFlags = 0x8D5;

    /// <summary>Vector registers included.</summary>
    public static RunState Create()
    {
        if (salt == 0) salt = Instructions.RdTsc() & 0xFFFFFF | 1;
        RunState state = new() { RFlags = 2 | 0x8C1 };
        ulong* words = (ulong*)&state;
        for (int i = 0; i < 16; i++)
            if (i != FlagsSlot) words[i] = General(i);
        bool extended = ExtendedState.TryEnable();
        state.Area = (byte*)GuestPages.Area;
        state.Components = extended ? (ExtendedState.HasAvx ? 7ul : 3ul) : 0;
        FillArea(state.Area, state.Components);
        return state;
    }

    // Different from one guest to the next: what leaks from another is another value.
    private static ulong salt;

    private static ulong General(int number) => 0xA5_00_F0_0D_00_C0_FF_00ul + salt * 0x100 + (ulong)number * 0x0101_0101_0101_0101;

    private static byte Byte(int position) => (byte)(position * 37 + (int)(salt & 0xFF));

    private static uint YmmOffset => CpuidLeafValue.Read(0xD, 2).Ebx;

    private static void FillArea(byte* area, ulong components)
    {
        for (int i = 0; i < 4096; i++) area[i] = 0;
        *(ushort*)area = 0x037F;
        area[4] = 0xFF;                   // all x87 registers are in use
        *(uint*)(area + 24) = 0x1F80;
        for (int register = 0; register < 8; register++)
            for (int i = 0; i < 10; i++) area[X87 + register * 16 + i] = Byte(register * 10 + i);
        for (int i = 0; i < 256; i++) area[Xmm + i] = Byte(1000 + i);
        if (components == 0) return;
        *(ulong*)(area + LegacyBytes) = components;
        if ((components & 4) == 0) return;
        byte* ymm = area + YmmOffset;
        for (int i = 0; i < 256; i++) ymm[i] = Byte(2000 + i);
    }

    /// <summary>Every register but those in <paramref name="changed"/> must be as <see cref="Create"/> made it.</summary>
    public static void Expect(RunState state, uint changed)
    {
        if (!Check.Returned("the code"u8, state)) return;
        ulong* words = (ulong*)&state;
        for (int i = 0; i < 16; i++)
            if (i != FlagsSlot && (changed >> i & 1) == 0 && words[i] != General(i)) Check.Fail("another value in general register "u8, (ulong)i);
        for (int register = 0; register < 8; register++)
            for (int i = 0; i < 10; i++)
                if (state.Area[X87 + register * 16 + i] != Byte(register * 10 + i)) Check.Fail("another value in x87 register "u8, (ulong)register);
        for (int i = 0; i < 256; i++)
            if (state.Area[Xmm + i] != Byte(1000 + i)) Check.Fail("another value in XMM register "u8, (ulong)i / 16);
        if ((state.Components & 4) == 0) return;
        byte* ymm = state.Area + YmmOffset;
        for (int i = 0; i < 256; i++)
            if (ymm[i] != Byte(2000 + i)) Check.Fail("another value in the upper half of YMM register "u8, (ulong)i / 16);
    }

    /// <summary>The status flags, too.</summary>
    public static void ExpectFlags(RunState state) => Check.Equal("status flags"u8, state.RFlags & StatusFlags, 0x8C1);
}

public static unsafe class RegisterChecks
{
    private const byte TimerVector = 0x71;
    private const uint Everything = RegisterPattern.Rax | RegisterPattern.Rbx | RegisterPattern.Rcx | RegisterPattern.Rdx;

    public static void Run()
    {
        Check.Run("registers.cpuid"u8, &Cpuid);
        Check.Run("registers.rdmsr"u8, &RdMsr);
        Check.Run("registers.wrmsr"u8, &WrMsr);
        Check.Run("registers.port-in"u8, &PortIn);
        Check.Run("registers.port-out"u8, &PortOut);
        Check.Run("registers.port-string"u8, &PortString);
        Check.Run("registers.device-memory-read"u8, &DeviceRead);
        Check.Run("registers.device-memory-write"u8, &DeviceWrite);
        Check.Run("registers.apic-page"u8, &ApicPage);
        Check.Run("registers.halt"u8, &Halt);
        Check.Run("registers.interrupted"u8, &Interrupted);
        Check.Run("registers.xsetbv"u8, &Xsetbv);
        Check.Run("registers.over-50-ms"u8, &OverTime);
        Check.Run("registers.machine-state-over-50-ms"u8, &MachineStateOverTime);
    }

    private static void Cpuid()
    {
        RunState state = RegisterPattern.Create();
        state.Rax = 1;
        state.Run(Code.Cpuid);
        RegisterPattern.Expect(state, Everything);
        RegisterPattern.ExpectFlags(state);
    }

    private static void RdMsr()
    {
        RunState state = RegisterPattern.Create();
        state.Rcx = Msr.IA32_APIC_BASE;
        state.Run(Code.RdMsr);
        Check.Equal("RCX"u8, state.Rcx, Msr.IA32_APIC_BASE);
        RegisterPattern.Expect(state, RegisterPattern.Rax | RegisterPattern.Rcx | RegisterPattern.Rdx);
        RegisterPattern.ExpectFlags(state);
    }

    private static void WrMsr()
    {
        ulong value = Instructions.RdMsr(Msr.IA32_PAT);
        RunState state = RegisterPattern.Create();
        state.Rcx = Msr.IA32_PAT;
        state.Rax = (uint)value;
        state.Rdx = value >> 32;
        state.Run(Code.WrMsr);
        Check.Equal("RAX"u8, state.Rax, (uint)value);
        Check.Equal("RDX"u8, state.Rdx, value >> 32);
        RegisterPattern.Expect(state, RegisterPattern.Rax | RegisterPattern.Rcx | RegisterPattern.Rdx);
    }

    private static void PortIn()
    {
        RunState state = RegisterPattern.Create();
        state.Rdx = Serial.Scratch;
        state.Run(Code.In8);
        RegisterPattern.Expect(state, RegisterPattern.Rax | RegisterPattern.Rdx);
        RegisterPattern.ExpectFlags(state);
    }

    private static void PortOut()
    {
        RunState state = RegisterPattern.Create();
        state.Rdx = Serial.Scratch;
        state.Run(Code.Out8);
        RegisterPattern.Expect(state, RegisterPattern.Rdx);
        RegisterPattern.ExpectFlags(state);
    }

    private static void PortString()
    {
        RunState state = RegisterPattern.Create();
        state.Rdx = Serial.Scratch;
        state.Rcx = 5;
        state.Rsi = GuestPages.Buffer;
        state.Run(Code.RepOutsb);
        RegisterPattern.Expect(state, RegisterPattern.Rcx | RegisterPattern.Rdx | RegisterPattern.Rsi);
        RegisterPattern.ExpectFlags(state);
    }

    private static void DeviceRead()
    {
        RunState state = RegisterPattern.Create();
        state.Rsi = 0xFEC00000;
        state.Run(Code.Load32);
        RegisterPattern.Expect(state, RegisterPattern.Rax | RegisterPattern.Rsi);
        RegisterPattern.ExpectFlags(state);
    }

    private static void DeviceWrite()
    {
        RunState state = RegisterPattern.Create();
        state.Rsi = 0xFEC00000;
        state.Run(Code.StoreImmediate);
        RegisterPattern.Expect(state, RegisterPattern.Rsi);
        RegisterPattern.ExpectFlags(state);
    }

    private static void ApicPage()
    {
        if (LocalApic.IsX2Apic) { Check.Skip("in x2APIC mode"u8); return; }
        RunState state = RegisterPattern.Create();
        state.Rsi = ApicBase.DefaultAddress + ApicRegisters.LocalApicVersion;
        state.Run(Code.Load32);
        RegisterPattern.Expect(state, RegisterPattern.Rax | RegisterPattern.Rsi);
        state = RegisterPattern.Create();
        state.Rsi = ApicBase.DefaultAddress + ApicRegisters.DivideConfiguration;
        state.Run(Code.StoreImmediate);
        RegisterPattern.Expect(state, RegisterPattern.Rsi);
        RegisterPattern.ExpectFlags(state);
    }

    private static void Halt()
    {
        RunState state = RegisterPattern.Create();
        LocalApic.StartTimer(TimerVector, 0, 500_000);
        state.Run(Code.StiHlt);
        RegisterPattern.Expect(state, 0);
        RegisterPattern.ExpectFlags(state);
    }

    // The code only looks at memory; interrupts come in between, from the outside.
    private static void Interrupted()
    {
        Mmio.Write32(GuestPages.Buffer, 0);
        Interrupts.SetHook(&EndSpin);
        RunState state = RegisterPattern.Create();
        state.Rsi = GuestPages.Buffer;
        LocalApic.StartTimer(TimerVector, LocalApic.PeriodicBit, 200_000);
        state.Run(Code.Spin);
        LocalApic.StopTimer();
        RegisterPattern.Expect(state, RegisterPattern.Rsi);
    }

    private static void EndSpin(byte vector)
    {
        if (Interrupts.Count(TimerVector) >= 5) Mmio.Write32(GuestPages.Buffer, 1);
    }

    private static void Xsetbv()
    {
        RunState state = RegisterPattern.Create();
        if (state.Components == 0) { Check.Skip("no XSAVE"u8); return; }
        state.Rcx = 0;
        state.Rax = state.Components;
        state.Rdx = 0;
        state.Run(Code.XSetBv);
        RegisterPattern.Expect(state, RegisterPattern.Rax | RegisterPattern.Rcx | RegisterPattern.Rdx);
    }

    // Long enough for other guests to have their turn on this processor.
    private static void OverTime()
    {
        Mmio.Write32(GuestPages.Buffer, 0);
        Interrupts.SetHook(&EndLongSpin);
        RunState state = RegisterPattern.Create();
        state.Rsi = GuestPages.Buffer;
        started = Instructions.RdTsc();
        LocalApic.StartTimer(TimerVector, LocalApic.PeriodicBit, 2_000_000);
        state.Run(Code.Spin);
        LocalApic.StopTimer();
        RegisterPattern.Expect(state, RegisterPattern.Rsi);
    }

    private static ulong started;

    private static void EndLongSpin(byte vector)
    {
        if (Instructions.RdTsc() - started > Clock.Ticks(50)) Mmio.Write32(GuestPages.Buffer, 1);
    }

    // What XSAVE does not hold: registers of system calls, segment bases, debugging, memory types.
    private static ReadOnlySpan<uint> KeptRegisters =>
    [
        0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084, 0xC0000100, 0xC0000101, 0xC0000102, 0x174, 0x175, 0x176,
    ];

    private static void MachineStateOverTime()
    {
        ulong salt = Instructions.RdTsc() & 0xFFF0;
        ulong* old = stackalloc ulong[KeptRegisters.Length];
        for (int i = 0; i < KeptRegisters.Length; i++)
        {
            old[i] = Instructions.RdMsr(KeptRegisters[i]);
            Instructions.WrMsr(KeptRegisters[i], salt + (ulong)i);
        }
        Instructions.WriteDr0(salt + 0x10);
        Instructions.WriteDr1(salt + 0x11);
        Instructions.WriteDr2(salt + 0x12);
        Instructions.WriteDr3(salt + 0x13);
        Instructions.WriteCr2(salt + 0x14);
        Interrupts.Open(50_000);
        Check.Equal("CR2"u8, Instructions.ReadCr2(), salt + 0x14);
        Check.Equal("DR0"u8, Instructions.ReadDr0(), salt + 0x10);
        Check.Equal("DR1"u8, Instructions.ReadDr1(), salt + 0x11);
        Check.Equal("DR2"u8, Instructions.ReadDr2(), salt + 0x12);
        Check.Equal("DR3"u8, Instructions.ReadDr3(), salt + 0x13);
        for (int i = 0; i < KeptRegisters.Length; i++)
        {
            // Some of them keep 16 bits only: the salt fits.
            Check.Equal("a machine register"u8, Instructions.RdMsr(KeptRegisters[i]), salt + (ulong)i);
            Instructions.WrMsr(KeptRegisters[i], old[i]);
        }
    }
}
