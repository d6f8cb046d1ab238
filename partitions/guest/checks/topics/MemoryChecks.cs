// RAM and what is not RAM, as the second-stage tables show it.
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class MemoryChecks
{
    /// <summary>Between the end of RAM and the devices; nothing is there.</summary>
    private const ulong Nothing = 0xD0000000;

    public static void Run()
    {
        Check.RunHv("memory.zero-at-start"u8, &ZeroAtStart);
        Check.Run("memory.all-ram"u8, &AllRam);
        Check.RunHv("memory.unmapped-reads-ones"u8, &UnmappedReads);
        Check.RunHv("memory.unmapped-writes-vanish"u8, &UnmappedWrites);
        Check.Run("memory.self-modifying-code"u8, &SelfModifyingCode);
        Check.Run("memory.own-page-tables"u8, &OwnPageTables);
        Check.Run("memory.accessed-and-dirty"u8, &AccessedAndDirty);
        Check.Run("memory.no-execute"u8, &NoExecute);
        Check.Run("memory.code-at-another-address"u8, &CodeAtAnotherAddress);
        Check.Run("memory.code-across-pages"u8, &CodeAcrossPages);
        Check.Run("memory.device-at-another-address"u8, &DeviceAtAnotherAddress);
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

    // A page mapped, used, moved and unmapped.
    private static void OwnPageTables()
    {
        Alias.Begin();
        *(ulong*)GuestPages.Buffer = 0x1111;
        *(ulong*)(GuestPages.Buffer + 4096) = 0x2222;
        ulong address = Alias.Map(0, GuestPages.Buffer);
        Check.Equal("the first page"u8, Mmio.Read64(address), 0x1111);
        Alias.Map(0, GuestPages.Buffer + 4096);
        Check.Equal("the second page"u8, Mmio.Read64(address), 0x2222);
        RunState state = new() { Rsi = address + 4096 };
        state.Run(Code.Load32);
        Alias.End();
        Check.Faulted("a page that is not mapped"u8, state, ExceptionVector.PF);
    }

    private static void AccessedAndDirty()
    {
        const ulong accessed = 0x20, dirty = 0x40;
        Alias.Begin();
        ulong address = Alias.Map(0, GuestPages.Buffer);
        Mmio.Read64(address);
        Check.Equal("bits after a read"u8, Alias.Entry(0) & (accessed | dirty), accessed);
        Mmio.Write64(address, 1);
        Check.Equal("bits after a write"u8, Alias.Entry(0) & (accessed | dirty), accessed | dirty);
        Alias.End();
    }

    private static void NoExecute()
    {
        const ulong nxe = 1 << 11, presentFetch = 0x11;
        if ((CpuidLeafValue.Read(0x80000001).Edx & 1 << 20) == 0) { Check.Skip("no NX"u8); return; }
        ulong efer = Instructions.RdMsr(Msr.IA32_EFER);
        Instructions.WrMsr(Msr.IA32_EFER, efer | nxe);
        Alias.Begin();
        *(byte*)GuestPages.Code = 0xC3;
        RunState allowed = new(), refused = new();
        allowed.RunAt(Alias.Map(0, GuestPages.Code));
        refused.RunAt(Alias.Map(1, GuestPages.Code, Alias.NoExecute));
        Alias.End();
        Instructions.WrMsr(Msr.IA32_EFER, efer);
        Check.Returned("a page without the bit"u8, allowed);
        Check.Faulted("a page with the bit"u8, refused, ExceptionVector.PF);
        Check.Equal("error code"u8, refused.ErrorCode, presentFetch);
    }

    /// <summary>MOV EAX, [RSI] and RET.</summary>
    private static void WriteLoad(byte* at)
    {
        at[0] = 0x8B;
        at[1] = 0x06;
        at[2] = 0xC3;
    }

    private const ulong IoApic = 0xFEC00000;

    // The instruction, which the hypervisor has to fetch, lies where virtual and physical address differ.
    private static void CodeAtAnotherAddress()
    {
        Alias.Begin();
        WriteLoad((byte*)GuestPages.Code + 0x80);
        Mmio.Write32(IoApic, 1);
        RunState state = new() { Rsi = IoApic + 0x10 };
        state.RunAt(Alias.Map(3, GuestPages.Code) + 0x80);
        Alias.End();
        if (Check.Returned("the code"u8, state)) Check.Equal("EAX"u8, state.Rax, Mmio.Read32(IoApic + 0x10));
    }

    // … or on two pages that are neighbours only to the guest.
    private static void CodeAcrossPages()
    {
        Alias.Begin();
        byte* first = (byte*)GuestPages.Code + 4096, second = (byte*)GuestPages.Code;
        first[4095] = 0x8B;
        second[0] = 0x06;
        second[1] = 0xC3;
        ulong address = Alias.Map(0, (ulong)first);
        Alias.Map(1, (ulong)second);
        Mmio.Write32(IoApic, 1);
        RunState state = new() { Rsi = IoApic + 0x10 };
        state.RunAt(address + 4095);
        Check.Returned("the code"u8, state);
        Check.Equal("EAX"u8, state.Rax, Mmio.Read32(IoApic + 0x10));
        // CPUID of which the second byte is on a page that is not there.
        first[4095] = 0x0F;
        second[0] = 0xA2;
        state = new() { Rax = 0 };
        state.RunAt(address + 4095);
        Check.Returned("CPUID across pages"u8, state);
        Check.Equal("EBX"u8, state.Rbx, CpuidLeafValue.Read(0).Ebx);
        Alias.Map(2, (ulong)first);
        state = new() { Rax = 0 };
        state.RunAt(address + 2 * 4096 + 4095);
        Alias.End();
        Check.Faulted("CPUID that runs out of its page"u8, state, ExceptionVector.PF);
        // The processor's doing, not the hypervisor's; Bochs names the byte behind.
        Check.Between("CR2"u8, state.FaultCr2, address + 3 * 4096, address + 3 * 4096 + 1);
    }

    private static void DeviceAtAnotherAddress()
    {
        Alias.Begin();
        ulong address = Alias.Map(7, IoApic);
        Mmio.Write32(address, 1);
        uint version = Mmio.Read32(address + 0x10);
        ulong apic = Alias.Map(8, ApicBase.DefaultAddress);
        uint apicVersion = LocalApic.IsX2Apic ? 0 : Mmio.Read32(apic + ApicRegisters.LocalApicVersion);
        Alias.End();
        Check.Equal("the IOAPIC's version"u8, version, Mmio.Read32(IoApic + 0x10));
        if (!LocalApic.IsX2Apic) Check.Equal("the local APIC's version"u8, apicVersion, LocalApic.Read(ApicRegisters.LocalApicVersion));
    }

    // Whoever had this memory before: nothing of his is left in it.
    private static void ZeroAtStart()
    {
        ulong start = (Layout.Instance->ImageEnd + 4095) & ~4095ul, end = BootInformation.MemoryEnd & ~4095ul;
        for (ulong at = start; at < end; at += 8)
        {
            if (*(ulong*)at == 0) continue;
            Check.Fail("something else than zero at "u8, at);
            return;
        }
    }
}
