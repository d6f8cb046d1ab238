// The legacy hardware of a Generation 2 machine: clock, ACPI timer, IOAPIC, UART.
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class DeviceChecks
{
    private const ulong IoApicBase = 0xFEC00000, IoApicWindow = IoApicBase + 0x10;
    private const uint VersionRegister = 1, ArbitrationMask = 0x00FF00FF;
    private const byte UartPin = 4, Vector = 0x61;
    private const uint LevelTriggered = 1 << 15, Masked = 1 << 16;
    private const byte TransmitterEmptyInterrupt = 2;

    public static void Run()
    {
        Check.Run("acpi.tables"u8, &Tables);
        Check.Run("acpi.timer"u8, &Timer);
        Check.Run("cmos.time"u8, &CmosTime);
        Check.Run("ioapic.version"u8, &IoApicVersion);
        Check.Run("ioapic.instruction-forms"u8, &IoApicInstructionForms);
        Check.Run("ioapic.redirection-kept"u8, &RedirectionKept);
        Check.Run("ioapic.uart-edge"u8, &UartEdge);
        Check.Run("ioapic.uart-level"u8, &UartLevel);
        Check.Run("ioapic.masked"u8, &MaskedPin);
        Check.Run("ioapic.string-page-fault"u8, &StringPageFault);
    }

    /// <summary>The same with the local APIC in x2APIC mode.</summary>
    public static void RunX2Apic()
    {
        Check.Run("x2apic.ioapic-edge"u8, &UartEdge);
        Check.Run("x2apic.ioapic-level"u8, &UartLevel);
    }

    private static void Tables()
    {
        ulong rsdp = Acpi.FindRsdp();
        if (!Check.That(rsdp != 0, "no RSDP from 0xE0000 on"u8)) return;
        if (*(byte*)(rsdp + 15) >= 2) Check.Equal("extended checksum of the RSDP"u8, Acpi.Sum((byte*)rsdp, *(uint*)(rsdp + 20)), 0);
        byte* fadt = Acpi.FindFadt();
        if (!Check.That(fadt != null, "no FADT"u8)) return;
        Check.Equal("checksum of the FADT"u8, Acpi.Sum(fadt, *(uint*)(fadt + 4)), 0);
    }

    private static void Timer()
    {
        if (!Check.That(PmTimer.IsPresent, "no timer in the FADT"u8)) return;
        ulong hz = PmTimer.MeasureTsc(50);
        Check.Between("TSC kHz by the ACPI timer"u8, hz / 1000, Clock.TscHz / 1000 * 95 / 100, Clock.TscHz / 1000 * 105 / 100);
        uint first = PmTimer.Read();
        Clock.Spin(1000);
        Check.Between("ticks in a millisecond"u8, PmTimer.Elapsed(first, PmTimer.Read()), 3400, PmTimer.Hz);
    }

    private static byte Cmos(byte register)
    {
        Instructions.Out8(0x70, register);
        return Instructions.In8(0x71);
    }

    private static void CmosTime()
    {
        const byte seconds = 0, minutes = 2, hours = 4, day = 7, month = 8, statusA = 10, statusB = 11, statusD = 13, updating = 0x80, binary = 4;
        for (int i = 0; i < 1_000_000 && (Cmos(statusA) & updating) != 0; i++) { }
        bool isBinary = (Cmos(statusB) & binary) != 0;
        Check.Between("seconds"u8, Decode(Cmos(seconds), isBinary), 0, 59);
        Check.Between("minutes"u8, Decode(Cmos(minutes), isBinary), 0, 59);
        Check.Between("hours"u8, Decode((byte)(Cmos(hours) & 0x7F), isBinary), 0, 23);
        Check.Between("day"u8, Decode(Cmos(day), isBinary), 1, 31);
        Check.Between("month"u8, Decode(Cmos(month), isBinary), 1, 12);
        Check.That((Cmos(statusD) & 0x80) != 0, "the battery is empty"u8);
    }

    private static ulong Decode(byte value, bool isBinary)
    {
        if (isBinary) return value;
        Check.That((value & 0xF) <= 9 && value >> 4 <= 9, "not a BCD number"u8);
        return (ulong)(value >> 4) * 10 + (ulong)(value & 0xF);
    }

    private static uint ReadIoApic(uint register)
    {
        Mmio.Write32(IoApicBase, register);
        return Mmio.Read32(IoApicWindow);
    }

    private static void WriteIoApic(uint register, uint value)
    {
        Mmio.Write32(IoApicBase, register);
        Mmio.Write32(IoApicWindow, value);
    }

    private static void IoApicVersion()
    {
        uint version = ReadIoApic(VersionRegister);
        Check.Between("version"u8, version & 0xFF, 0x11, 0x2F);
        Check.Between("last pin"u8, version >> 16 & 0xFF, 15, 239);
    }

    // Everything that a compiler may choose for a read or write of a device register.
    private static void IoApicInstructionForms()
    {
        uint version = ReadIoApic(VersionRegister);
        RunState select = new() { Rsi = IoApicBase };
        select.Run(Code.StoreImmediate);
        if (!Check.Returned("MOV m32, imm32"u8, select)) return;
        Check.Equal("after MOV m32, imm32"u8, Mmio.Read32(IoApicWindow), version);
        select = new() { Rsi = IoApicBase, Rax = VersionRegister };
        select.Run(Code.Exchange);
        Check.Returned("XCHG"u8, select);
        Check.Equal("what XCHG read"u8, select.Rax & 0xFF, VersionRegister);
        Expect(Code.Load32, 0, version);
        if (HvCpuid.IsPresent) // QEMU's own answers 32-bit reads only
        {
            Expect(Code.LoadByte, 0, version & 0xFF);
            Expect(Code.LoadWord, 0, version & 0xFFFF);
        }
        Expect(Code.And, ArbitrationMask, version & ArbitrationMask);
        Expect(Code.Lodsd, 0, version);
        RunState compare = new() { Rsi = IoApicWindow, Rax = version };
        compare.Run(Code.Compare);
        Check.That((compare.RFlags & 0x40) != 0, "CMP does not set ZF"u8);
        RunState test = new() { Rsi = IoApicWindow };
        test.Run(Code.Test);
        Check.That(((test.RFlags & 0x40) == 0) == ((version & 0x00FF0000) != 0), "TEST sets ZF wrongly"u8);
        RunState indexed = new() { Rsi = IoApicBase - 8, Rbx = 2 };
        indexed.Run(Code.LoadIndexed);
        Check.Equal("R9 with base, index and displacement"u8, indexed.R9, version);
        RunState copy = new() { Rsi = IoApicWindow, Rdi = GuestPages.Buffer, Rcx = 1 };
        copy.Run(Code.RepMovsd);
        Check.Returned("REP MOVSD"u8, copy);
        Check.Equal("what REP MOVSD copied"u8, *(uint*)GuestPages.Buffer, version);
    }

    private static void Expect(Code code, ulong before, ulong expected)
    {
        RunState state = new() { Rsi = IoApicWindow, Rax = before };
        state.Run(code);
        if (Check.Returned("a read"u8, state)) Check.Equal("EAX"u8, state.Rax, expected);
    }

    private static uint LowEntry(byte pin) => 0x10 + 2u * pin;

    private static void RedirectionKept()
    {
        WriteIoApic(LowEntry(UartPin) + 1, 0x05000000);
        WriteIoApic(LowEntry(UartPin), Masked | LevelTriggered | 0x77);
        Check.Equal("low half"u8, ReadIoApic(LowEntry(UartPin)), Masked | LevelTriggered | 0x77);
        Check.Equal("destination"u8, ReadIoApic(LowEntry(UartPin) + 1) & 0xFF000000, 0x05000000);
        WriteIoApic(LowEntry(UartPin), Masked);
        WriteIoApic(LowEntry(UartPin) + 1, 0);
    }

    private static void Route(uint flags)
    {
        WriteIoApic(LowEntry(UartPin) + 1, LocalApic.Id << 24);
        WriteIoApic(LowEntry(UartPin), Vector | flags);
    }

    private static void Unroute() => WriteIoApic(LowEntry(UartPin), Masked);

    private static void UartEdge()
    {
        Route(0);
        for (uint i = 1; i <= 3; i++)
        {
            Instructions.Out8(Serial.InterruptEnable, TransmitterEmptyInterrupt);
            bool came = Interrupts.Wait(Vector, i);
            byte cause = Instructions.In8(Serial.InterruptIdentification);
            Instructions.Out8(Serial.InterruptEnable, 0);
            if (!Check.That(came, "no interrupt when the transmitter became empty"u8)) break;
            Check.Equal("identification"u8, cause & 0x0Fu, 2);
        }
        Interrupts.Open(2000);
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 3);
        Unroute();
    }

    // The line stays up until the third interrupt's handler lets it fall: each EOI brings the next.
    private static void UartLevel()
    {
        Route(LevelTriggered);
        Interrupts.SetHook(&LowerAtThird);
        Instructions.Out8(Serial.InterruptEnable, TransmitterEmptyInterrupt);
        bool came = Interrupts.Wait(Vector, 3);
        Interrupts.Open(3000);
        Instructions.Out8(Serial.InterruptEnable, 0);
        Unroute();
        Check.That(came, "the interrupt does not come again after EOI while the line is up"u8);
        Check.Between("interrupts"u8, Interrupts.Count(Vector), 3, 4);
    }

    private static void LowerAtThird(byte vector)
    {
        if (Interrupts.Count(vector) >= 3) Instructions.Out8(Serial.InterruptEnable, 0);
    }

    private static void MaskedPin()
    {
        Route(Masked);
        Instructions.Out8(Serial.InterruptEnable, TransmitterEmptyInterrupt);
        Interrupts.Open(2000);
        Instructions.Out8(Serial.InterruptEnable, 0);
        Unroute();
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 0);
    }

    // From the device to a page that is not mapped: the guest's own page fault.
    private static void StringPageFault()
    {
        Alias.Begin();
        ulong address = Alias.Map(0, GuestPages.Buffer);
        RunState state = new() { Rsi = IoApicBase, Rdi = address + 4096, Rcx = 1 };
        state.Run(Code.RepMovsd);
        Alias.End();
        Check.Faulted("REP MOVSD"u8, state, ExceptionVector.PF);
        Check.Equal("CR2"u8, state.FaultCr2, address + 4096);
        Check.Equal("RCX"u8, state.Rcx, 1);
    }
}
