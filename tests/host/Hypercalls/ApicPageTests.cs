// Exits at the register page of the virtual APIC, its timer, and HLT: what the guest has of them.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Decode;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class ApicPageTests : IDisposable
{
    private const ulong Page = TestMachine.Page, ApicPage = 0xFEE00000, InterruptFlag = 1 << 9;
    private const uint Eoi = 0xB0, LogicalDestination = 0xD0, Spurious = 0xF0, CommandLow = 0x300, LvtTimer = 0x320, InitialCount = 0x380, Divide = 0x3E0;
    private const byte Vector = 0x51;

    private readonly TestMachine machine;
    private readonly Partition* child;
    private readonly VirtualProcessor* vp;

    private static LogicalProcessor* Processor => LogicalProcessor.Current;
    private FakeState* State => FakeBackend.State(vp);

    /// <summary>A child's processor runs 32-bit code without paging, at the start of its memory.</summary>
    public ApicPageTests(TestMachine machine)
    {
        this.machine = machine;
        child = machine.CreateChild(60);
        vp = machine.CreateVp(child);
        Assert.True(machine.MapSmall(child, 0, machine.GuestMemory, 1).Status.IsSuccess);
        State->Cr0 = 1;
        State->Efer = 0;
        State->Is64Bit = false;
        State->Cs.Attributes = new(1 << 14);
        State->Rip = 0;
        vp->SuspendReasons = 0;
        vp->Work = 0;
        Processor->Running = vp;
        Write(Spurious, 0x1FF);
    }

    public void Dispose()
    {
        Processor->Running = machine.RootVp;
        machine.Destroy(child);
    }

    private void Exit(ReadOnlySpan<byte> code, uint offset, bool isWrite)
    {
        code.CopyTo(new Span<byte>(TestMachine.At<byte>(machine.GuestMemory) + State->Rip, 16));
        MemoryExits<FakeBackend>.Handle(vp, ApicPage + offset, isWrite, false, false);
    }

    /// <summary>MOV DWORD [offset], value.</summary>
    private void Write(uint offset, uint value)
    {
        State->Rip = 0;
        byte[] code = [0xC7, 0x05, .. BitConverter.GetBytes((uint)ApicPage + offset), .. BitConverter.GetBytes(value)];
        Exit(code, offset, true);
        Assert.Equal((ulong)code.Length, State->Rip);
    }

    private uint Read(uint offset)
    {
        State->Rip = 0;
        vp->Gpr[Gpr.Rcx] = ulong.MaxValue;
        Exit([0x8B, 0x0D, .. BitConverter.GetBytes((uint)ApicPage + offset)], offset, false);
        Assert.Equal(0UL, vp->Gpr[Gpr.Rcx] >> 32);
        return (uint)vp->Gpr[Gpr.Rcx];
    }

    [Fact]
    public void Every_instruction_does_to_a_register_what_it_does_to_memory()
    {
        Random random = new(77);
        byte[] opcodes = [0x01, 0x03, 0x09, 0x21, 0x31, 0x39, 0x3B, 0x85, 0x87, 0x89, 0x8B, 0xA1, 0xA3, 0xC7, 0xF7, 0xFF, 0x81, 0x83, 0x88, 0x8A];
        Span<byte> code = stackalloc byte[16];
        int moves = 0, others = 0;
        for (int i = 0; i < 40_000; i++)
        {
            random.NextBytes(code);
            code[0] = opcodes[random.Next(opcodes.Length)];
            code[1] &= 0x3F;
            if (!MmioInstruction.TryDecode(code.Slice(0, 15), ProcessorMode.Protected32, out MmioInstruction instruction))
                continue;
            ulong* expected = stackalloc ulong[16];
            for (int r = 0; r < 16; r++) expected[r] = vp->Gpr[r] = (ulong)random.NextInt64();
            uint before = vp->Apic.TryReadMmio(LogicalDestination, 0, out uint value, out _) ? value : 0;
            State->Rip = (ulong)random.Next(64);
            State->Rflags = (ulong)random.Next(0x1000) & ~0x100UL | 2;
            ulong rip = State->Rip, flags = State->Rflags;
            bool writes = instruction.Execute(expected, ref flags, instruction.ReadsMemory ? before : 0, out ulong result);
            Exit(code, LogicalDestination, instruction.WritesMemory);
            Assert.Equal(new ReadOnlySpan<ulong>(expected, 16).ToArray(), new ReadOnlySpan<ulong>(vp->Gpr, 16).ToArray());
            Assert.Equal((rip + instruction.Length, flags), (State->Rip, State->Rflags));
            Assert.True(vp->Apic.TryReadMmio(LogicalDestination, 0, out value, out _));
            Assert.Equal(writes ? (uint)result & 0xFF000000 : before, value);
            if (instruction.IsMove32) moves++; else others++;
        }
        Assert.InRange(moves, 3000, 40_000);
        Assert.InRange(others, 3000, 40_000);
    }

    [Fact]
    public void What_is_no_instruction_for_it_is_a_general_protection_fault()
    {
        State->Rip = 0;
        Exit([0x0F, 0x0B], Eoi, true);
        Assert.True(State->ExceptionPending);
        Assert.Equal(13, State->Exception);
        State->ExceptionPending = false;
        Exit([0xAB], Eoi, true);
        Assert.True(State->ExceptionPending);
        Assert.Equal(0UL, State->Rip);
    }

    [Fact]
    public void A_self_IPI_is_offered_and_its_end_leaves_nothing_to_do()
    {
        Write(CommandLow, 1 << 18 | Vector);
        Assert.True(vp->Apic.IsRequested(Vector));
        Assert.Equal(EntryWork.Interrupts, vp->Work);
        vp->Work = 0;
        Interrupts<FakeBackend>.PrepareEntry(vp);
        Assert.Equal(Vector, vp->OfferedVector);
        State->OfferTaken = true;
        Write(Eoi, 0);
        Assert.False(vp->Apic.IsRequested(Vector) || vp->Apic.IsInService(Vector));
        Assert.Equal((0u, 0), (vp->Work, vp->OfferedVector));
    }

    [Fact]
    public void An_end_lets_what_waits_behind_it_in()
    {
        Write(CommandLow, 1 << 18 | Vector);
        Interrupts<FakeBackend>.PrepareEntry(vp);
        State->OfferTaken = true;
        Write(CommandLow, 1 << 18 | Vector - 1);
        vp->Work = 0;
        Write(Eoi, 0);
        Assert.Equal(EntryWork.Interrupts, vp->Work);
    }

    private void StartTimer(uint count)
    {
        Write(LvtTimer, Vector);
        Write(Divide, 0xB);
        vp->Work = 0;
        Write(InitialCount, count);
    }

    [Fact]
    public void A_timer_that_is_due_when_it_is_armed_comes_at_once()
    {
        StartTimer(1);
        Assert.True(vp->Apic.IsRequested(Vector));
        Assert.Equal(EntryWork.Interrupts, vp->Work);
        Assert.False(vp->Timer.IsArmed);
        Assert.Equal(0u, Read(0x390));
    }

    [Fact]
    public void One_that_is_not_waits_for_the_physical_timer()
    {
        StartTimer(1_000_000);
        Assert.False(vp->Apic.IsRequested(Vector));
        Assert.Equal(0u, vp->Work);
        Assert.True(vp->Timer.IsArmed);
        Write(InitialCount, 0);
        Assert.False(vp->Timer.IsArmed);
    }

    /// <summary>The parent may set the register of one that sleeps.</summary>
    [Fact]
    public void Who_sleeps_is_woken_by_a_timer_that_is_due_at_once()
    {
        Write(LvtTimer, Vector);
        Write(Divide, 0xB);
        State->Rflags |= InterruptFlag;
        vp->SuspendReasons = SuspendReason.Halt;
        Write(InitialCount, 1);
        Assert.Equal(0u, vp->SuspendReasons);
    }

    [Fact]
    public void A_HLT_with_an_interrupt_at_hand_goes_on_in_the_same_turn()
    {
        State->Rflags |= InterruptFlag;
        Write(CommandLow, 1 << 18 | Vector);
        vp->Work = 0;
        Scheduler<FakeBackend>.Halt(vp);
        Assert.Equal((0u, EntryWork.Interrupts), (vp->SuspendReasons, vp->Work));
        // Offered already: nothing is to be offered anew.
        Interrupts<FakeBackend>.PrepareEntry(vp);
        vp->Work = 0;
        Scheduler<FakeBackend>.Halt(vp);
        Assert.Equal((0u, 0u), (vp->SuspendReasons, vp->Work));
    }

    [Fact]
    public void A_HLT_sleeps_when_nothing_can_come()
    {
        Write(CommandLow, 1 << 18 | Vector);
        State->Rflags &= ~InterruptFlag;
        vp->Work = 0;
        Scheduler<FakeBackend>.Halt(vp);
        Assert.Equal((SuspendReason.Halt, EntryWork.Reschedule | EntryWork.Interrupts), (vp->SuspendReasons, vp->Work));
        vp->SuspendReasons = 0;
    }
}
