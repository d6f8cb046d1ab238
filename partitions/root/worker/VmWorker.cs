// The VM worker: what the root's executor calls when messages arrive, time passes, or someone types.
using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Drivers.Storage.Registry;
using Lamina.Root.Config;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

/// <summary>All VMs of the configuration. Every method runs in the executor, one at a time.</summary>
public static unsafe class VmWorker
{
    /// <summary>Ctrl-].</summary>
    private const byte LeaveKey = 0x1D;

    private static Vm* _replies; // whose intercept was the last
    private static MachineConfig* _config;
    private static Vm* _vms;
    private static int _count;
    private static Vm* _connected;
    private static PartitionAccount* _root;
    private static CycleTest* _cycle;
    private static DiskListener _disksSettled;

    private static ulong _due;

    /// <summary>When <see cref="OnTimer"/> has something to look at, 100 ns. May be early, never late.</summary>
    public static ulong Due => _due;

    /// <summary>The root's own account.</summary>
    internal static PartitionAccount* Root => _root;

    /// <summary>The VMs, in the order of the configuration.</summary>
    internal static int Count => _count;
    internal static Vm* Get(int number) => &_vms[number];

    /// <summary>Whether what is typed goes to a VM.</summary>
    public static bool IsConnected => _connected != null;
    internal static bool IsConnectedTo(Vm* vm) => _connected == vm;

    /// <summary>Reads lamina.json, reports its mistakes, starts the VMs that are to start by themselves.</summary>
    public static void Initialize()
    {
        if (!HypercallClient.Initialize() || !TryReadConfiguration())
        {
            ConsoleOutput.Line("no virtual machines"u8);
            return;
        }
        // Creating partitions is paid from the root's own account: filled once, so that each VM's end leaves it as its start found it.
        _root->IsRoot = true;
        _root->Id = PartitionId.Self;
        DepositPool.TryDeposit(_root);
        for (int i = 0; i < _count; i++)
            if (StartsByItself(Get(i)) && !VmDisks.NeedsMachineDisks(Get(i))) Start(Get(i));
        _disksSettled.Settled = &OnDisksSettled;
        fixed (DiskListener* listener = &_disksSettled) StorageDrivers.Disks->Listen(listener);
    }

    private static bool StartsByItself(Vm* vm) => vm->Config->Autostart && !vm->Config->HasErrors;

    private static void OnDisksSettled(void* context)
    {
        for (int i = 0; i < _count; i++)
            if (StartsByItself(Get(i)) && VmDisks.NeedsMachineDisks(Get(i)) && Get(i)->Runs == 0) Start(Get(i));
    }

    /// <summary>
    /// A message of the core about a child. Messages about partitions that are gone are dropped. With <see cref="IsReplyPending"/> then,
    /// <see cref="SendReply"/> is to be the next that is called.
    /// </summary>
    public static void OnMessage(HvMessage* message)
    {
        // Most often the one of last time.
        Vm* vm = _replies;
        if (!IsSender(vm, message))
        {
            vm = FindSender(message);
            if (vm == null) return;
            _replies = vm;
        }
        if (*(uint*)message->Payload >= vm->Machine->ProcessorCount) return;
        VmEnd end = Intercepts.Handle(vm, message);
        if (end != VmEnd.None) EndInstead(vm, end);
    }

    /// <summary>Whether the message is about this VM, and it is active.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSender(Vm* vm, HvMessage* message)
    {
        if (vm == null || vm->Machine == null) return false;
        if (vm->State != VmState.Running && vm->State != VmState.Paused) return false;
        return vm->Machine->Account.Id.Value == message->Header.SenderOrPort;
    }

    /// <summary>The active VM that a message is about; null: there is none.</summary>
    private static Vm* FindSender(HvMessage* message)
    {
        for (int i = 0; i < _count; i++) if (IsSender(Get(i), message)) return Get(i);
        return null;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void EndInstead(Vm* vm, VmEnd reason)
    {
        Reply.Drop();
        End(vm, reason);
    }

    /// <summary>Whether a child's processor waits for the answer to its intercept.</summary>
    public static bool IsReplyPending => Reply.IsPending;

    /// <summary>Lets the processor go on. With <paramref name="thenIdle"/>, and interrupts closed, sleeps until there is something to do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SendReply(bool thenIdle)
    {
        if (!Reply.TrySend(thenIdle)) EndInstead(_replies, VmEnd.Failed);
    }

    /// <summary>A message of a child to its bus. Those of earlier runs are dropped.</summary>
    public static void OnBusMessage(HvMessage* copy)
    {
        int number = BusNumbers.VmOfPort(copy->Header.SenderOrPort);
        if (number >= _count || !Get(number)->IsActive) return;
        VmBus* bus = Get(number)->Machine->Bus;
        if (bus != null && bus->Numbers.MessagePort == copy->Header.SenderOrPort) VmBus.OnMessage(bus, copy);
    }

    /// <summary>Event flags of children's channels, 64 of them from flag 64 × <paramref name="word"/> on.</summary>
    public static void OnBusEvents(uint word, ulong flags)
    {
        for (; flags != 0; flags &= flags - 1)
        {
            uint flag = word * 64 + (uint)BitOperations.TrailingZeroCount(flags);
            int number = BusNumbers.VmOfFlag(flag);
            if (number >= _count || !Get(number)->IsActive || Get(number)->Machine->Bus == null) continue;
            VmBus.OnSignal(Get(number)->Machine->Bus, BusNumbers.ChannelOfFlag(flag));
        }
    }

    /// <summary>Does what is due at <paramref name="now"/> (100 ns); returns when it wants to be called next, ulong.MaxValue for never.</summary>
    public static ulong OnTimer(ulong now)
    {
        if (now < _due) return _due;
        _due = ulong.MaxValue;
        for (int i = 0; i < _count; i++)
        {
            Vm* vm = Get(i);
            if (!vm->IsActive) continue;
            VmMachine* machine = vm->Machine;
            if (machine->CrashDeadline != 0 && machine->CrashDeadline <= now)
            {
                End(vm, VmEnd.Crashed);
                continue;
            }
            if (machine->OutputDeadline != 0 && machine->OutputDeadline <= now) GuestConsole.OnQuiet(vm, now);
            if (machine->PowerDeadline <= now) VmDevices.OnPowerTimer(vm);
            if (machine->Bus != null) Schedule(VmBus.OnTimer(machine->Bus, now));
            if (VmIntegration.HasStopFailed(vm, out ReadOnlySpan<byte> why))
            {
                VmLog.Line(vm, why);
                End(vm, VmEnd.Stopped);
                continue;
            }
            if (machine->OutputDeadline != 0) Schedule(machine->OutputDeadline);
            if (machine->CrashDeadline != 0) Schedule(machine->CrashDeadline);
            Schedule(machine->PowerDeadline);
        }
        Schedule(CycleDriver.Step(now));
        Schedule(Top.Step(now));
        return _due;
    }

    /// <summary>Has <see cref="OnTimer"/> look again at a point of the reference clock, if not earlier.</summary>
    internal static void Schedule(ulong deadline) => _due = Math.Min(_due, deadline);

    /// <summary>Carries out a console line if it is a command about VMs.</summary>
    public static bool TryCommand(ReadOnlySpan<byte> line) => VmCommands.TryRun(line);

    /// <summary>A byte typed while connected; Ctrl-] leaves.</summary>
    public static void OnInput(byte value)
    {
        if (_connected == null) return;
        if (value == LeaveKey) Disconnect();
        else if (_connected->IsActive) VmDevices.TryInput(_connected, value);
    }

    internal static bool Start(Vm* vm)
    {
        vm->AnnouncesStart = true;
        return VmLifecycle.TryStart(vm, _root);
    }

    /// <summary>
    /// Ends a VM, at once or as soon as no device uses its memory any more; one that asked for it is then started again with the same
    /// configuration.
    /// </summary>
    internal static void End(Vm* vm, VmEnd reason)
    {
        if (VmLifecycle.TryEnd(vm, reason)) Ended(vm);
    }

    /// <summary>Its bus or a disk of a VM that is ending has let go of its memory.</summary>
    internal static void OnMemoryReleased(Vm* vm)
    {
        if (vm->State == VmState.Stopping && VmLifecycle.TryFinishEnd(vm)) Ended(vm);
    }

    /// <summary>A disk that a starting VM waited for is open; with the last one the VM runs.</summary>
    internal static void OnDiskOpened(Vm* vm)
    {
        if (vm->State == VmState.Starting && !VmDisks.IsAnyPending(vm)) VmLifecycle.TryRun(vm);
    }

    private static void Ended(Vm* vm)
    {
        bool isUnderTest = CycleDriver.IsTesting(vm);
        bool again = vm->LastEnd == VmEnd.Reset && !isUnderTest;
        if (isUnderTest) CycleDriver.Ended();
        vm->AnnouncesStart = false;
        if (again && VmLifecycle.TryStart(vm, _root)) return;
        if (_connected == vm) Disconnect();
    }

    internal static void Restart(Vm* vm)
    {
        if (vm->Machine != null) End(vm, VmEnd.Reset);
        else Start(vm);
    }

    internal static void Connect(Vm* vm)
    {
        if (!vm->IsActive) { VmLog.Line(vm, "is off"u8); return; }
        if (vm->Config->Com1 != Com1Mode.Console) { VmLog.Line(vm, "has no serial port on the console (\"com1\")"u8); return; }
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("connected to "u8).Text(vm->Name).Text(", Ctrl-] leaves"u8);
        ConsoleOutput.Line(line.Written);
        _connected = vm;
        GuestConsole.ShowUnfinished(vm);
    }

    internal static void Disconnect()
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("disconnected from "u8).Text(_connected->Name);
        _connected = null;
        ConsoleOutput.Line(line.Written);
    }

    /// <summary>The VM of that name, without regard to case; null: there is none.</summary>
    internal static Vm* Find(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < _count; i++) if (ConfigKeys.SameName(Get(i)->Name, name)) return Get(i);
        return null;
    }

    /// <summary>Memory for what lives as long as the root, then the configuration itself.</summary>
    private static bool TryReadConfiguration()
    {
        if (!BootModules.TryFind("lamina.json"u8, out byte* source, out ulong size) || size > 1 << 20)
        {
            ConsoleOutput.Line("lamina.json: missing, or larger than 1 MiB"u8);
            return false;
        }
        ulong vmBytes = (ulong)(MachineConfig.MaxVms * sizeof(Vm));
        if (!TryAllocate((ulong)sizeof(MachineConfig), out void* config) || !TryAllocate(vmBytes, out void* vms)
            || !TryAllocate((ulong)(sizeof(PartitionAccount) + sizeof(CycleTest)), out void* rest) || !TryAllocate(size, out void* arena))
        {
            ConsoleOutput.Line("lamina.json: out of memory"u8);
            return false;
        }
        _config = (MachineConfig*)config;
        _vms = (Vm*)vms;
        _root = (PartitionAccount*)rest;
        _cycle = (CycleTest*)(_root + 1);
        CycleDriver.Initialize(_cycle);
        ParseConfiguration(source, (int)size, (byte*)arena);
        _count = _config->VmCount;
        for (int i = 0; i < _count; i++)
        {
            _vms[i].Config = _config->Vm(i);
            _vms[i].Number = i;
            for (int lun = 0; lun < _config->Vm(i)->DiskCount; lun++)
            {
                DiskConfig* disk = _config->Vm(i)->Disk(lun);
                _vms[i].DiskPlace(lun)->TrySet(disk->Source, disk->Place.Span, disk->ReadOnly);
            }
        }
        return true;
    }

    private static void ParseConfiguration(byte* source, int size, byte* arena)
    {
        const ulong errorCapacity = 16 * 1024;
        if (!TryAllocate(errorCapacity, out void* errorText)) { _config->VmCount = 0; return; }
        var errors = new TextWriter((byte*)errorText, (int)errorCapacity);
        ConfigParser.Parse(source, size, arena, size, _config, ref errors);
        LineAssembler lines = default;
        for (int i = 0; i < errors.Length; i++)
        {
            if (lines.Append(errors.Buffer[i]) != LineEvent.Complete) continue;
            ConsoleOutput.Line(lines.Line);
            lines.Next();
        }
        if (lines.HasUnprinted) ConsoleOutput.Line(lines.Line);
        PhysicalMemory.Free((ulong)errorText, PageCount.ForBytes(errorCapacity).Value);
    }

    private static bool TryAllocate(ulong bytes, out void* memory)
    {
        bool success = PhysicalMemory.TryAllocate(Math.Max(PageCount.ForBytes(bytes).Value, 1), 1, out ulong physical);
        memory = (void*)physical;
        return success;
    }
}
