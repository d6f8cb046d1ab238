// RAM and what is not RAM, as the second-stage tables show it.
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class MemoryChecks
{
    /// <summary>Between the end of RAM and the devices; nothing is there.</summary>
    private const ulong Nothing = 0xD0000000;

    public static void Run()
    {
        Check.Run("memory.all-ram"u8, &AllRam);
        Check.RunHv("memory.unmapped-reads-ones"u8, &UnmappedReads);
        Check.RunHv("memory.unmapped-writes-vanish"u8, &UnmappedWrites);
        Check.Run("memory.self-modifying-code"u8, &SelfModifyingCode);
        Check.Run("memory.own-page-tables"u8, &OwnPageTables);
        Check.Run("memory.accessed-and-dirty"u8, &AccessedAndDirty);
    }

    // Three places of every page, written first and read afterwards, so that no two pages are one.
    private static void AllRam()
    {
        ulong start = (Layout.Instance->ImageEnd + 4095) & ~4095ul, end = BootInformation.MemoryEnd & ~4095ul;
        for (ulong page = start; page < end; page += 4096)
        {
            *(ulong*)page = page;
            *(ulong*)(page + 2040) = ~page;
            *(ulong*)(page + 4088) = page * 3;
        }
        for (ulong page = start; page < end; page += 4096)
        {
            if (*(ulong*)page == page && *(ulong*)(page + 2040) == ~page && *(ulong*)(page + 4088) == page * 3) continue;
            Check.Fail("another value came back from page "u8, page);
            return;
        }
    }

    private static void UnmappedReads()
    {
        RunState state = new() { Rsi = Nothing };
        state.Run(Code.Load64);
        if (!Check.Returned("a read"u8, state)) return;
        Check.Equal("8 bytes"u8, state.Rax, ulong.MaxValue);
        state = new() { Rsi = Nothing + 8 };
        state.Run(Code.LoadByte);
        Check.Equal("1 byte"u8, state.Rax, 0xFF);
        state = new() { Rsi = Nothing + 2 };
        state.Run(Code.LoadWord);
        Check.Equal("2 bytes"u8, state.Rax, 0xFFFF);
    }

    private static void UnmappedWrites()
    {
        RunState state = new() { Rsi = Nothing + 0x100, Rax = 0 };
        state.Run(Code.Store32);
        Check.Returned("a write"u8, state);
        state.Run(Code.StoreImmediate);
        Check.Returned("a write of an immediate"u8, state);
        state.Run(Code.Load32);
        Check.Equal("a read afterwards"u8, (uint)state.Rax, 0xFFFFFFFF);
    }

    private static void SelfModifyingCode()
    {
        byte* code = (byte*)GuestPages.Code;
        code[0] = 0xB8; // mov eax, imm32
        code[5] = 0xC3; // ret
        for (uint value = 1; value < 10; value++)
        {
            *(uint*)(code + 1) = value * 0x01010101;
            RunState state = new();
            state.RunAt(GuestPages.Code);
            Check.Equal("EAX"u8, state.Rax, value * 0x01010101);
        }
    }

    // A page of the upper half of the address space, mapped, used, moved and unmapped.
    private static void OwnPageTables()
    {
        const ulong address = 0x1_8000_0000, presentWritable = 3;
        ulong* tables = (ulong*)GuestPages.Area;
        ulong* pml4 = (ulong*)(Instructions.ReadCr3() & ~0xFFFul);
        ulong* pointers = (ulong*)(pml4[0] & ~0xFFFul);
        ulong* directory = tables, table = tables + 512;
        for (int i = 0; i < 1024; i++) tables[i] = 0;
        *(ulong*)GuestPages.Buffer = 0x1111;
        *(ulong*)(GuestPages.Buffer + 4096) = 0x2222;
        table[0] = GuestPages.Buffer | presentWritable;
        directory[0] = (ulong)table | presentWritable;
        pointers[address >> 30] = (ulong)directory | presentWritable;
        ulong first = Mmio.Read64(address);
        table[0] = GuestPages.Buffer + 4096 | presentWritable;
        Instructions.InvLpg(address);
        ulong second = Mmio.Read64(address);
        table[0] = 0;
        Instructions.InvLpg(address);
        RunState state = new() { Rsi = address };
        state.Run(Code.Load32);
        pointers[address >> 30] = 0;
        Instructions.WriteCr3(Instructions.ReadCr3());
        Check.Equal("the first page"u8, first, 0x1111);
        Check.Equal("the second page"u8, second, 0x2222);
        Check.Faulted("the unmapped page"u8, state, ExceptionVector.PF);
    }

    private static void AccessedAndDirty()
    {
        const ulong address = 0x1_8000_0000, presentWritable = 3, accessed = 0x20, dirty = 0x40;
        ulong* tables = (ulong*)GuestPages.Area;
        ulong* pointers = (ulong*)(*(ulong*)(Instructions.ReadCr3() & ~0xFFFul) & ~0xFFFul);
        ulong* directory = tables, table = tables + 512;
        for (int i = 0; i < 1024; i++) tables[i] = 0;
        table[0] = GuestPages.Buffer | presentWritable;
        directory[0] = (ulong)table | presentWritable;
        pointers[address >> 30] = (ulong)directory | presentWritable;
        Mmio.Read64(address);
        ulong afterRead = Mmio.Read64((ulong)table) & 0x60;
        Mmio.Write64(address, 1);
        ulong afterWrite = Mmio.Read64((ulong)table) & 0x60;
        pointers[address >> 30] = 0;
        Instructions.WriteCr3(Instructions.ReadCr3());
        Check.Equal("bits after a read"u8, afterRead, accessed);
        Check.Equal("bits after a write"u8, afterWrite, accessed | dirty);
    }
}
