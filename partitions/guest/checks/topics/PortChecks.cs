// Port instructions, claimed and unclaimed, single and in strings.
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class PortChecks
{
    private const ushort Unclaimed = 0x1234;
    private const ulong Filler = 0x1122334455667788;
    private const ulong DirectionFlag = 1 << 10;

    public static void Run()
    {
        Check.Run("port.unclaimed-reads-ones"u8, &UnclaimedReads);
        Check.Run("port.unclaimed-writes-vanish"u8, &UnclaimedWrites);
        Check.RunHv("port.no-legacy-interrupt-controller"u8, &NoLegacyInterruptController);
        Check.Run("port.immediate"u8, &Immediate);
        Check.Run("port.uart-scratch"u8, &UartScratch);
        Check.Run("port.input-keeps-upper-bits"u8, &InputKeepsUpperBits);
        Check.Run("port.rep-outsb"u8, &RepOutsb);
        Check.Run("port.rep-insb"u8, &RepInsb);
        Check.Run("port.rep-insb-across-pages"u8, &RepInsbAcrossPages);
        Check.Run("port.rep-insb-backwards"u8, &RepInsbBackwards);
        Check.Run("port.rep-count-zero"u8, &RepCountZero);
        Check.Run("port.rep-insb-page-fault"u8, &RepInsbPageFault);
        Check.Run("port.rep-insb-through-page-tables"u8, &RepInsbThroughPageTables);
        Check.Run("port.user-mode"u8, &UserMode);
        Check.Run("port.rep-insd-unclaimed"u8, &RepInsdUnclaimed);
        Check.Run("port.insw-outsw"u8, &InswOutsw);
    }

    private static ulong Input(Code code, ushort port)
    {
        RunState state = new() { Rax = Filler, Rdx = port };
        state.Run(code);
        Check.Returned("IN"u8, state);
        return state.Rax;
    }

    private static void UnclaimedReads()
    {
        Check.Equal("IN AL"u8, Input(Code.In8, Unclaimed), Filler | 0xFF);
        Check.Equal("IN AX"u8, Input(Code.In16, Unclaimed), Filler | 0xFFFF);
        Check.Equal("IN EAX"u8, Input(Code.In32, Unclaimed), 0xFFFFFFFF);
    }

    private static void UnclaimedWrites()
    {
        RunState state = new() { Rax = Filler, Rdx = Unclaimed };
        Check.That(state.Run(Code.Out8) && state.Run(Code.Out16) && state.Run(Code.Out32), "an exception came"u8);
        Check.Equal("RAX afterwards"u8, state.Rax, Filler);
        Check.Equal("IN AL"u8, Input(Code.In8, Unclaimed) & 0xFF, 0xFF);
    }

    // Linux writes a mask to port 0x21 and believes in a controller only if it reads it back.
    private static void NoLegacyInterruptController()
    {
        Instructions.Out8(0x21, 0xFB);
        Check.Equal("port 0x21"u8, Instructions.In8(0x21), 0xFF);
        Instructions.Out8(0x21, 0xFF);
        Check.Equal("port 0x61"u8, Instructions.In8(0x61), 0xFF);
        Check.Equal("port 0x40"u8, Instructions.In8(0x40), 0xFF);
        Check.Equal("port 0x64"u8, Instructions.In8(0x64), 0xFF);
        Check.Equal("port 0xCF8"u8, Instructions.In32(0xCF8), 0xFFFFFFFF);
    }

    private static void Immediate()
    {
        RunState state = new() { Rax = Filler };
        state.Run(Code.OutImmediate);
        Check.Returned("OUT 0x80, AL"u8, state);
        state.Run(Code.InImmediate);
        Check.Returned("IN AL, 0x80"u8, state);
        Check.Equal("upper bits of RAX"u8, state.Rax >> 8, Filler >> 8);
    }

    private static void UartScratch()
    {
        for (uint value = 0; value < 256; value += 17)
        {
            Instructions.Out8(Serial.Scratch, (byte)value);
            Check.Equal("scratch register"u8, Instructions.In8(Serial.Scratch), value);
        }
    }

    private static void InputKeepsUpperBits()
    {
        Instructions.Out8(Serial.Scratch, 0x5A);
        Check.Equal("RAX after IN AL"u8, Input(Code.In8, Serial.Scratch), Filler & ~0xFFul | 0x5A);
    }

    private static byte* Buffer => (byte*)GuestPages.Buffer;

    private static void Fill(byte value)
    {
        for (int i = 0; i < 8192; i++) Buffer[i] = value;
    }

    private static void RepOutsb()
    {
        for (int i = 0; i < 100; i++) Buffer[i] = (byte)(i + 1);
        RunState state = new() { Rcx = 100, Rdx = Serial.Scratch, Rsi = GuestPages.Buffer };
        state.Run(Code.RepOutsb);
        if (!Check.Returned("REP OUTSB"u8, state)) return;
        Check.Equal("RCX"u8, state.Rcx, 0);
        Check.Equal("RSI"u8, state.Rsi, GuestPages.Buffer + 100);
        Check.Equal("scratch register"u8, Instructions.In8(Serial.Scratch), 100);
    }

    private static void RepInsb()
    {
        Fill(0);
        Instructions.Out8(Serial.Scratch, 0xC3);
        RunState state = new() { Rcx = 50, Rdx = Serial.Scratch, Rdi = GuestPages.Buffer + 3 };
        state.Run(Code.RepInsb);
        if (!Check.Returned("REP INSB"u8, state)) return;
        Check.Equal("RCX"u8, state.Rcx, 0);
        Check.Equal("RDI"u8, state.Rdi, GuestPages.Buffer + 53);
        ExpectFilled(3, 50, 0xC3);
    }

    private static void RepInsbAcrossPages()
    {
        Fill(0);
        Instructions.Out8(Serial.Scratch, 0x3C);
        RunState state = new() { Rcx = 20, Rdx = Serial.Scratch, Rdi = GuestPages.Buffer + 4096 - 7 };
        state.Run(Code.RepInsb);
        if (!Check.Returned("REP INSB"u8, state)) return;
        Check.Equal("RDI"u8, state.Rdi, GuestPages.Buffer + 4096 + 13);
        ExpectFilled(4096 - 7, 20, 0x3C);
    }

    private static void RepInsbBackwards()
    {
        Fill(0);
        Instructions.Out8(Serial.Scratch, 0x81);
        RunState state = new() { Rcx = 10, Rdx = Serial.Scratch, Rdi = GuestPages.Buffer + 4096 + 4, RFlags = 2 | DirectionFlag };
        state.Run(Code.RepInsb);
        if (!Check.Returned("REP INSB"u8, state)) return;
        Check.Equal("RDI"u8, state.Rdi, GuestPages.Buffer + 4096 - 6);
        ExpectFilled(4096 - 5, 10, 0x81);
    }

    private static void ExpectFilled(int start, int count, byte value)
    {
        Check.Equal("the byte before"u8, Buffer[start - 1], 0);
        for (int i = 0; i < count; i++) Check.Equal("a byte"u8, Buffer[start + i], value);
        Check.Equal("the byte behind"u8, Buffer[start + count], 0);
    }

    private static void RepCountZero()
    {
        Fill(0);
        RunState state = new() { Rcx = 0, Rdx = Serial.Scratch, Rdi = GuestPages.Buffer, Rsi = GuestPages.Buffer };
        state.Run(Code.RepInsb);
        Check.Returned("REP INSB"u8, state);
        state.Run(Code.RepOutsb);
        Check.Returned("REP OUTSB"u8, state);
        Check.Equal("RDI"u8, state.Rdi, GuestPages.Buffer);
        Check.Equal("the first byte"u8, Buffer[0], 0);
    }

    // The destination is not mapped by the guest: its own page fault, and no element is done.
    private static void RepInsbPageFault()
    {
        const ulong firstUnmapped = 0x1_0000_0000;
        RunState state = new() { Rcx = 5, Rdx = Serial.Scratch, Rdi = firstUnmapped };
        state.Run(Code.RepInsb);
        Check.Faulted("REP INSB"u8, state, ExceptionVector.PF);
        Check.Equal("CR2"u8, state.FaultCr2, firstUnmapped);
        Check.Equal("RCX"u8, state.Rcx, 5);
        Check.Equal("error code"u8, state.ErrorCode, 2);
    }

    // Two pages that are neighbours only to the guest, and behind them none: the fault comes in the middle.
    private static void RepInsbThroughPageTables()
    {
        Fill(0);
        Alias.Begin();
        ulong address = Alias.Map(0, GuestPages.Buffer + 4096);
        Alias.Map(1, GuestPages.Buffer);
        Instructions.Out8(Serial.Scratch, 0xE7);
        RunState state = new() { Rcx = 4096 + 10, Rdx = Serial.Scratch, Rdi = address + 4096 - 6 };
        state.Run(Code.RepInsb);
        Alias.End();
        Check.Faulted("REP INSB"u8, state, ExceptionVector.PF);
        Check.Equal("CR2"u8, state.FaultCr2, address + 8192);
        Check.Equal("RCX"u8, state.Rcx, 4);
        Check.Equal("RDI"u8, state.Rdi, address + 8192);
        Check.Equal("the byte before"u8, Buffer[8192 - 7], 0);
        for (int i = 0; i < 6; i++) Check.Equal("a byte of the first page"u8, Buffer[8192 - 6 + i], 0xE7);
        for (int i = 0; i < 4096; i++) Check.Equal("a byte of the second page"u8, Buffer[i], 0xE7);
    }

    // No I/O permission in the TSS: the fault comes before anyone is asked.
    private static void UserMode()
    {
        RunState state = new() { Rdx = Serial.Scratch, Rdi = Layout.Instance->UserStackTop };
        state.Run(Code.UserPort);
        Check.Faulted("IN at CPL 3"u8, state, ExceptionVector.GP);
    }

    private static void RepInsdUnclaimed()
    {
        Fill(0);
        RunState state = new() { Rcx = 4, Rdx = Unclaimed, Rdi = GuestPages.Buffer + 4 };
        state.Run(Code.RepInsd);
        if (!Check.Returned("REP INSD"u8, state)) return;
        Check.Equal("RCX"u8, state.Rcx, 0);
        for (int i = 0; i < 4; i++) Check.Equal("a word"u8, ((uint*)Buffer)[i + 1], 0xFFFFFFFF);
        Check.Equal("the word behind"u8, ((uint*)Buffer)[5], 0);
        state = new() { Rcx = 4, Rdx = Unclaimed, Rsi = GuestPages.Buffer };
        state.Run(Code.RepOutsd);
        Check.Equal("RSI after REP OUTSD"u8, state.Rsi, GuestPages.Buffer + 16);
    }

    private static void InswOutsw()
    {
        Fill(0);
        RunState state = new() { Rdx = Unclaimed, Rdi = GuestPages.Buffer, Rsi = GuestPages.Buffer };
        state.Run(Code.Insw);
        if (!Check.Returned("INSW"u8, state)) return;
        Check.Equal("the word"u8, *(uint*)Buffer, 0xFFFF);
        Check.Equal("RDI"u8, state.Rdi, GuestPages.Buffer + 2);
        state.Run(Code.Outsw);
        Check.Equal("RSI"u8, state.Rsi, GuestPages.Buffer + 2);
    }
}
