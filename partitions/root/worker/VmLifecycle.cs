// Starts, ends, pauses VMs. A start that fails gives everything back; an end of one VM touches no other.
using System;
using Lamina.Abi;
using Lamina.Root.Acpi;
using Lamina.Root.Config;
using Lamina.Root.Devices;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Root.Loader;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class VmLifecycle
{
    /// <summary>
    /// From Off to Running, or to Starting if disks are still being opened. False: one line said why, and the VM is Off as before, or will be
    /// when the disks that were opened already are closed.
    /// </summary>
    public static bool TryStart(Vm* vm, PartitionAccount* root)
    {
        if (vm->State != VmState.Off)
        {
            VmLog.Line(vm, "is not off"u8);
            return false;
        }
        if (vm->Config->HasErrors)
        {
            VmLog.Line(vm, "its configuration has errors"u8);
            return false;
        }
        if (!VmScheduling.TryFitReserve(vm, vm->Config->Reserve)) return false;
        vm->State = VmState.Starting;
        if (!TryBuild(vm, root))
        {
            TryEnd(vm, VmEnd.Failed);
            return false;
        }
        return VmDisks.IsAnyPending(vm) || TryRun(vm);
    }

    /// <summary>From Starting to Running: everything is there. False: reported, and the VM ends.</summary>
    public static bool TryRun(Vm* vm)
    {
        if (!VmResources.TrySetSuspended(vm->Machine, false))
        {
            TryEnd(vm, VmEnd.Failed);
            return false;
        }
        vm->State = VmState.Running;
        vm->StartedAt = ReferenceClock.Now;
        vm->LastEnd = VmEnd.None;
        vm->Runs++;
        if (vm->AnnouncesStart) VmLog.Line(vm, "started"u8);
        return true;
    }

    /// <summary>To Off, for whatever reason. False: devices still use its memory, the VM is Stopping, and <see cref="TryFinishEnd"/> is to follow.</summary>
    public static bool TryEnd(Vm* vm, VmEnd reason)
    {
        if (vm->State is VmState.Off or VmState.Stopping) return false;
        vm->EndsAfterRun = vm->IsActive;
        vm->State = VmState.Stopping;
        vm->LastEnd = reason;
        if (vm->Machine != null)
        {
            GuestConsole.Flush(vm);
            // A guest that went on running could go on using its bus.
            if (vm->Machine->Bus != null && VmResources.TrySetSuspended(vm->Machine, true)) VmBus.BeginClose(vm->Machine->Bus);
        }
        return TryFinishEnd(vm);
    }

    /// <summary>From Stopping to Off, if nothing uses its memory any more: then everything is given back before this returns.</summary>
    public static bool TryFinishEnd(Vm* vm)
    {
        if (vm->Machine != null && (vm->Machine->Bus != null && !vm->Machine->Bus->IsClosed || !VmDisks.TryCloseAll(vm))) return false;
        VmResources.Release(vm);
        vm->State = VmState.Off;
        if (vm->EndsAfterRun) Report(vm, vm->LastEnd);
        return true;
    }

    public static void Pause(Vm* vm)
    {
        if (vm->State != VmState.Running) { VmLog.Line(vm, "is not running"u8); return; }
        if (!VmResources.TrySetSuspended(vm->Machine, true)) return;
        // Its clocks stand still meanwhile: what it measures is its own time. Its real-time clock is asked for, or comes by time synchronisation.
        PartitionCalls.SetProperty(&vm->Machine->Account, HvPartitionPropertyCode.HvPartitionPropertyTimeFreeze, 1);
        vm->State = VmState.Paused;
        VmIntegration.Suspended(vm);
        VmLog.Line(vm, "paused"u8);
    }

    public static void Resume(Vm* vm)
    {
        if (vm->State != VmState.Paused) { VmLog.Line(vm, "is not paused"u8); return; }
        PartitionCalls.SetProperty(&vm->Machine->Account, HvPartitionPropertyCode.HvPartitionPropertyTimeFreeze, 0);
        if (!VmResources.TrySetSuspended(vm->Machine, false)) return;
        vm->State = VmState.Running;
        VmIntegration.Resumed(vm);
        VmLog.Line(vm, "resumed"u8);
    }

    private static void Report(Vm* vm, VmEnd reason)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        switch (reason)
        {
            case VmEnd.TripleFault: line.Text("triple fault at RIP "u8).Hex(vm->FaultRip); break;
            case VmEnd.Exited: line.Text("exit code "u8).Decimal(vm->ExitCode); break;
            case VmEnd.Failed: line.Text("ended"u8); break;
            default: line.Text(VmWords.Name(reason)); break;
        }
        ConsoleOutput.Line(line.Written);
    }

    /// <summary>Everything but letting it run. The files come first: a bad kernel costs the core nothing.</summary>
    private static bool TryBuild(Vm* vm, PartitionAccount* root)
    {
        if (!VmResources.TryAllocateMachine(vm)) return false;
        if (!TryFindModule(vm, vm->Config->Kernel, "kernel"u8, out ReadOnlySpan<byte> kernel)) return false;
        if (!TryFindModule(vm, vm->Config->Initrd, "initrd"u8, out ReadOnlySpan<byte> initrd)) return false;
        if (!VmResources.TryAllocateMemory(vm) || !TryLoad(vm, kernel, initrd, out InitialRegisters registers)) return false;
        VmDevices.Initialize(vm);
        if (!VmResources.TryCreatePartition(vm, root) || !VmDevices.TryInstallIntercepts(vm) || !TryCreateBus(vm)) return false;
        return TrySetRegisters(vm, in registers);
    }

    // The SynIC test device gives its guest's connection numbers to the guest.
    private static bool TryCreateBus(Vm* vm) =>
        vm->Config->SynicTestDevice || VmBus.TryCreate(vm) && VmIntegration.TryCreate(vm) && VmStorage.TryCreate(vm) && VmDisks.TryOpenAll(vm);

    /// <summary>A boot module by the name that the configuration gives it; absent when the key is.</summary>
    private static bool TryFindModule(Vm* vm, ConfigText name, ReadOnlySpan<byte> key, out ReadOnlySpan<byte> file)
    {
        file = default;
        if (!name.IsGiven) return true;
        if (BootModules.TryFind(name.Span, out byte* data, out ulong size) && size <= int.MaxValue)
        {
            file = new ReadOnlySpan<byte>(data, (int)size);
            return true;
        }
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("lamina.json:"u8).Decimal((ulong)name.Line).Text(": "u8).Text(key).Text(" \""u8).Text(name.Span).Text("\" was not found on the boot volume"u8);
        ConsoleOutput.Line(line.Written);
        return false;
    }

    /// <summary>Kernel, initrd, command line and ACPI tables into the guest's RAM.</summary>
    private static bool TryLoad(Vm* vm, ReadOnlySpan<byte> kernel, ReadOnlySpan<byte> initrd, out InitialRegisters registers)
    {
        VmConfig* config = vm->Config;
        VmMachine* machine = vm->Machine;
        var request = new LoadRequest
        {
            Kernel = kernel,
            KernelName = config->Kernel.Span,
            Initrd = initrd,
            CommandLine = config->CommandLine.Span,
            Memory = machine->Memory,
            AcpiRsdp = GuestAcpiTables.Rsdp,
        };
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        AcpiOptions options = AcpiOptions.CreateDefault((uint)config->Processors, config->Com1 == Com1Mode.Console, machine->Memory);
        bool success = GuestImage.TryLoad(request, out registers, ref line) && GuestAcpiTables.TryBuild(machine->Memory, options, ref line);
        if (!success) ConsoleOutput.Line(line.Written);
        return success;
    }

    /// <summary>Processor 0 begins at the kernel's entry; the others wait for INIT-SIPI, as the core creates them.</summary>
    private static bool TrySetRegisters(Vm* vm, in InitialRegisters registers)
    {
        RegisterBatch batch = RegisterBatch.Begin();
        // Control registers before segments: whether a segment is valid depends on the mode.
        batch.Add(HvRegisterName.HvX64RegisterEfer, registers.Efer);
        batch.Add(HvRegisterName.HvX64RegisterCr4, registers.Cr4);
        batch.Add(HvRegisterName.HvX64RegisterCr3, registers.Cr3);
        batch.Add(HvRegisterName.HvX64RegisterCr0, registers.Cr0);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterCs, registers.Cs);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterDs, registers.Ds);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterEs, registers.Es);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterFs, registers.Fs);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterGs, registers.Gs);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterSs, registers.Ss);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterTr, registers.Tr);
        AddSegment(ref batch, HvRegisterName.HvX64RegisterLdtr, registers.Ldtr);
        AddTable(ref batch, HvRegisterName.HvX64RegisterGdtr, registers.GdtBase, registers.GdtLimit);
        AddTable(ref batch, HvRegisterName.HvX64RegisterIdtr, registers.IdtBase, registers.IdtLimit);
        batch.Add(HvRegisterName.HvX64RegisterRip, registers.Rip);
        batch.Add(HvRegisterName.HvX64RegisterRsp, registers.Rsp);
        batch.Add(HvRegisterName.HvX64RegisterRflags, registers.RFlags);
        batch.Add(HvRegisterName.HvX64RegisterRax, registers.Rax);
        batch.Add(HvRegisterName.HvX64RegisterRbx, registers.Rbx);
        batch.Add(HvRegisterName.HvX64RegisterRsi, registers.Rsi);
        return VirtualProcessorCalls.Set(&vm->Machine->Account, new VpIndex(0), ref batch).IsSuccess;
    }

    private static void AddSegment(ref RegisterBatch batch, uint name, in SegmentState state) => batch.Add(name, new HvRegisterValue(new HvX64SegmentRegister
    {
        Base = state.Base,
        Limit = state.Limit,
        Selector = state.Selector,
        Attributes = new HvX64SegmentAttributes(state.Attributes),
    }));

    private static void AddTable(ref RegisterBatch batch, uint name, ulong tableBase, ushort limit) =>
        batch.Add(name, new HvRegisterValue(new HvX64TableRegister { Base = tableBase, Limit = limit }));
}
