// What a VM is made of and given back from: its pages, its RAM, its partition. Every step can be undone from any point.
using System;
using Lamina.Abi;
using Lamina.Root.Config;
using Lamina.Root.Devices;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class VmResources
{
    private const ulong LargePage = 512;

    private static ulong MachinePages => PageCount.ForBytes((ulong)sizeof(VmMachine)).Value;

    /// <summary>The VM's own pages. False (reported): no memory.</summary>
    public static bool TryAllocateMachine(Vm* vm)
    {
        if (!PhysicalMemory.TryAllocate(MachinePages, 1, out ulong physical))
        {
            VmLog.Line(vm, "out of memory"u8);
            return false;
        }
        vm->Machine = (VmMachine*)physical;
        *vm->Machine = default;
        vm->Machine->Account.NameData = vm->Config->Name.Data;
        vm->Machine->Account.NameLength = vm->Config->Name.Length;
        return true;
    }

    /// <summary>The guest's RAM in as few pieces as there are. False (reported): not enough memory.</summary>
    public static bool TryAllocateMemory(Vm* vm)
    {
        VmMachine* machine = vm->Machine;
        ulong wanted = vm->Config->Memory >> PageCount.PageShift;
        ulong free = PhysicalMemory.FreePageCount;
        ulong missing = wanted;
        ulong size = wanted;
        while (missing != 0 && free >= wanted && machine->PieceCount < VmMachine.MaximumPieces)
        {
            size = Math.Min(size, missing);
            if (PhysicalMemory.TryAllocate(size, Math.Min(LargePage, Alignment(size)), out ulong physical))
            {
                *machine->Piece(machine->PieceCount++) = new RamPiece { Physical = physical, PageCount = size };
                missing -= size;
                continue;
            }
            if (size <= LargePage) break;
            size = (size / 2 + LargePage - 1) / LargePage * LargePage;
        }
        if (missing == 0) return TryLayOut(machine);
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("not enough memory: needs "u8).Decimal(wanted >> 8).Text(" MiB, "u8).Decimal(free >> 8).Text(" MiB are free"u8);
        ConsoleOutput.Line(line.Written);
        return false;
    }

    /// <summary>Creates the partition, its memory map and its processors. False: reported.</summary>
    public static bool TryCreatePartition(Vm* vm, PartitionAccount* root)
    {
        VmMachine* machine = vm->Machine;
        PartitionAccount* account = &machine->Account;
        const ulong flags = HvPartitionCreationFlags.LapicEnabled | HvPartitionCreationFlags.X2ApicCapable;
        if (!PartitionCalls.Create(root, account, flags).IsSuccess) return false;
        machine->IsCreated = true;
        if (!PartitionCalls.Initialize(account).IsSuccess) return false;
        machine->IsInitialized = true;
        VmScheduling.Apply(vm);
        for (int i = 0; i < machine->Memory.RangeCount; i++)
        {
            ulong guestPage = machine->Memory.RangeGpa(i) >> PageCount.PageShift;
            ulong ownPage = (ulong)machine->Memory.RangeHost(i) >> PageCount.PageShift;
            if (!MemoryCalls.Map(account, guestPage, ownPage, machine->Memory.RangeLength(i) >> PageCount.PageShift).IsSuccess) return false;
        }
        for (uint i = 0; i < (uint)vm->Config->Processors; i++)
        {
            if (!VirtualProcessorCalls.Create(account, new VpIndex(i)).IsSuccess) return false;
            machine->ProcessorCount = i + 1;
        }
        return true;
    }

    /// <summary>Gives everything back that the machine lists, zeroed; what the core does not let go of is kept and named.</summary>
    public static void Release(Vm* vm)
    {
        VmMachine* machine = vm->Machine;
        if (machine == null) return;
        VmIntegration.Release(vm);
        VmStorage.Release(vm);
        VmBus.Release(vm);
        bool gone = !machine->IsCreated || TryDeletePartition(vm);
        for (int i = 0; i < machine->PieceCount; i++)
        {
            // RAM that the partition may still reach must never belong to anyone else.
            if (gone) PhysicalMemory.Free(machine->Piece(i)->Physical, machine->Piece(i)->PageCount);
        }
        if (!gone) VmLog.Line(vm, "its partition could not be deleted, its memory is lost until the machine restarts"u8);
        vm->Machine = null;
        PhysicalMemory.Free((ulong)machine, MachinePages);
    }

    /// <summary>Suspends or lets run all processors. Takes effect before the call returns.</summary>
    public static bool TrySetSuspended(VmMachine* machine, bool suspended)
    {
        bool success = true;
        for (uint i = 0; i < machine->ProcessorCount; i++)
            success &= VirtualProcessorCalls.Set(&machine->Account, new VpIndex(i), HvRegisterName.HvRegisterExplicitSuspend, suspended ? 1UL : 0).IsSuccess;
        return success;
    }

    private static bool TryDeletePartition(Vm* vm)
    {
        VmMachine* machine = vm->Machine;
        PartitionAccount* account = &machine->Account;
        TrySetSuspended(machine, true);
        if (machine->IsInitialized) PartitionCalls.Finalize(account);
        DepositPool.WithdrawAll(account);
        if (!PartitionCalls.Delete(account).IsSuccess) return false;
        machine->IsCreated = false;
        if (account->DepositedPages == 0) return true;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("the core kept "u8).Decimal(account->DepositedPages).Text(" deposited pages"u8);
        ConsoleOutput.Line(line.Written);
        return true;
    }

    /// <summary>The usual PC layout over all pieces: from 0 up to the hole, what remains from 4 GiB on.</summary>
    private static bool TryLayOut(VmMachine* machine)
    {
        machine->Memory = default;
        ulong gpa = 0;
        for (int i = 0; i < machine->PieceCount; i++)
        {
            ulong host = machine->Piece(i)->Physical;
            ulong length = machine->Piece(i)->PageCount << PageCount.PageShift;
            if (gpa < GuestMemory.HoleStart && gpa + length > GuestMemory.HoleStart)
            {
                ulong low = GuestMemory.HoleStart - gpa;
                if (!machine->Memory.TryAddRange(gpa, low, (byte*)host)) return false;
                host += low;
                length -= low;
                gpa = GuestMemory.HoleEnd;
            }
            if (gpa == GuestMemory.HoleStart) gpa = GuestMemory.HoleEnd;
            if (!machine->Memory.TryAddRange(gpa, length, (byte*)host)) return false;
            gpa += length;
        }
        return true;
    }

    // A large alignment is of use only where a large page fits.
    private static ulong Alignment(ulong pages) => pages >= LargePage ? LargePage : 1;
}
