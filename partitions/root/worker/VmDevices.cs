// A VM's devices: who answers which port and address, and where their interrupts go.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Config;
using Lamina.Root.Devices;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;

namespace Lamina.Root.Worker;

/// <summary>The interrupt messages of a VM's IOAPIC become virtual interrupts of its processors.</summary>
internal unsafe struct PartitionInterrupts(PartitionAccount* account) : IInterruptSink
{
    private readonly PartitionAccount* _account = account;

    // Delivery modes and HV_INTERRUPT_TYPE have the same numbers. A destination that does not exist is the guest's affair.
    public void Send(in InterruptRequest request) => InterruptCalls.Assert(_account,
        new HvInterruptControl(request.DeliveryMode, request.Level, request.Logical), request.Destination, request.Vector);
}

/// <summary>What a VM's UART sends goes to the management console.</summary>
internal unsafe struct ConsoleSink(Vm* vm) : IByteSink
{
    private readonly Vm* _vm = vm;

    public void Put(byte value) => GuestConsole.OnOutput(_vm, new ReadOnlySpan<byte>(&value, 1), VmWorker.IsConnectedTo(_vm));
}

/// <summary>State of all devices. The methods take the VM, since a device's effects reach beyond it.</summary>
public unsafe struct VmDevices
{
    private PortMap _ports;
    private Uart16550 _com1;
    private CmosClock _clock;
    private AcpiPower _power;
    private IoApic _ioApic;
    private SynicTestState _synicTest;
    private bool _hasCom1;

    public static void Initialize(Vm* vm)
    {
        VmConfig* config = vm->Config;
        VmDevices* devices = &vm->Machine->Devices;
        *devices = default;
        devices->_hasCom1 = config->Com1 == Com1Mode.Console;
        devices->_ports = PortMap.Create(devices->_hasCom1, config->DebugExit, config->SynicTestDevice);
        devices->_ioApic.Reset();
        vm->Machine->PowerDeadline = ulong.MaxValue;
    }

    /// <summary>Has the core report the ports that a device answers; it reads all ones from the others itself.</summary>
    public static bool TryInstallIntercepts(Vm* vm)
    {
        for (int port = 0; port <= ushort.MaxValue; port++)
        {
            if (vm->Machine->Devices._ports.Find((ushort)port, 1) == PortDevice.None) continue;
            if (!PartitionCalls.InterceptPorts(&vm->Machine->Account, (ushort)port, (ushort)port).IsSuccess) return false;
        }
        return true;
    }

    /// <summary>An IN that changes nothing in its device, as those do that poll. False, and nothing read: it is for <see cref="ReadPort"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryReadQuietly(Vm* vm, ushort port, int size, out uint value)
    {
        value = 0;
        if (!Uart16550.IsLineStatus(port, size)) return false;
        VmDevices* devices = &vm->Machine->Devices;
        return devices->_hasCom1 && devices->_com1.TryReadLineStatusQuietly(out value);
    }

    /// <summary>An IN of 1, 2 or 4 bytes.</summary>
    internal static uint ReadPort(Vm* vm, ushort port, int size)
    {
        VmDevices* devices = &vm->Machine->Devices;
        uint value;
        switch (devices->_ports.Find(port, size))
        {
            case PortDevice.Com1:
                value = devices->_com1.Read(port, size);
                UpdateCom1(vm);
                return value;
            case PortDevice.Cmos: return devices->_clock.Read(port, size, UnixTime);
            case PortDevice.Power:
                value = devices->_power.Read(port, size, ReferenceClock.Now);
                UpdatePower(vm);
                return value;
            case PortDevice.DebugExit: return DebugExit.Read();
            case PortDevice.SynicTest: return SynicTestDevice.Read();
            default: return PortMap.Unclaimed(size);
        }
    }

    /// <summary>An OUT of 1, 2 or 4 bytes; it may end the VM.</summary>
    internal static VmEnd WritePort(Vm* vm, ushort port, int size, uint value)
    {
        VmDevices* devices = &vm->Machine->Devices;
        switch (devices->_ports.Find(port, size))
        {
            case PortDevice.Com1:
                var sink = new ConsoleSink(vm);
                devices->_com1.Write(port, size, value, ref sink);
                UpdateCom1(vm);
                return VmEnd.None;
            case PortDevice.Cmos:
                devices->_clock.Write(port, size, value, UnixTime);
                return VmEnd.None;
            case PortDevice.Power:
                DeviceEffect effect = devices->_power.Write(port, size, value, ReferenceClock.Now);
                UpdatePower(vm);
                return EndOf(vm, effect);
            case PortDevice.DebugExit: return EndOf(vm, DebugExit.Write(value));
            case PortDevice.SynicTest:
                devices->_synicTest.Execute(vm, SynicTestDevice.Decode(value, vm->Machine->ProcessorCount));
                return VmEnd.None;
            default: return VmEnd.None;
        }
    }

    private static bool IsIoApic(ulong address) => address - IoApic.BaseAddress < IoApic.Length;

    /// <summary>A read of device memory. False: no device is there.</summary>
    internal static bool TryReadMemory(Vm* vm, ulong address, int size, out ulong value)
    {
        value = 0;
        if (!IsIoApic(address)) return false;
        value = vm->Machine->Devices._ioApic.Read((uint)(address - IoApic.BaseAddress));
        return true;
    }

    /// <summary>A write to device memory. False: no device is there.</summary>
    internal static bool TryWriteMemory(Vm* vm, ulong address, int size, ulong value)
    {
        if (!IsIoApic(address)) return false;
        var sink = new PartitionInterrupts(&vm->Machine->Account);
        vm->Machine->Devices._ioApic.Write((uint)(address - IoApic.BaseAddress), (uint)value, ref sink);
        return true;
    }

    /// <summary>A processor has ended a level-triggered interrupt.</summary>
    internal static void EndOfInterrupt(Vm* vm, byte vector)
    {
        var sink = new PartitionInterrupts(&vm->Machine->Account);
        vm->Machine->Devices._ioApic.EndOfInterrupt(vector, ref sink);
    }

    /// <summary>A byte typed for the guest. False: its buffer is full, or it has no serial port.</summary>
    internal static bool TryInput(Vm* vm, byte value)
    {
        if (!vm->Machine->Devices._hasCom1 || !vm->Machine->Input.TryPut(value)) return false;
        UpdateCom1(vm);
        return true;
    }

    /// <summary>The ACPI timer may have gone over.</summary>
    internal static void OnPowerTimer(Vm* vm) => UpdatePower(vm);

    /// <summary>Time of day in 100 ns since 1970.</summary>
    internal static ulong UnixTime =>
        (ulong)WallClock.UnixSeconds * ReferenceClock.TicksPerSecond + ReferenceClock.Now % ReferenceClock.TicksPerSecond;

    /// <summary>Input moves up while there is room, then the interrupt line follows.</summary>
    private static void UpdateCom1(Vm* vm)
    {
        VmDevices* devices = &vm->Machine->Devices;
        while (devices->_com1.ReceiveSpace > 0 && vm->Machine->Input.TryTake(out byte value)) devices->_com1.TryReceive(value);
        if (!devices->_com1.TryTakeIrqChange(out bool level)) return;
        var sink = new PartitionInterrupts(&vm->Machine->Account);
        devices->_ioApic.SetPin(Uart16550.Com1Irq, level, ref sink);
    }

    private static void UpdatePower(Vm* vm)
    {
        VmDevices* devices = &vm->Machine->Devices;
        ulong now = ReferenceClock.Now;
        var sink = new PartitionInterrupts(&vm->Machine->Account);
        devices->_ioApic.SetPin(AcpiPower.SciIrq, devices->_power.GetSciLevel(now), ref sink);
        vm->Machine->PowerDeadline = devices->_power.GetNextTimerEvent(now);
        VmWorker.Schedule(vm->Machine->PowerDeadline);
    }

    private static VmEnd EndOf(Vm* vm, DeviceEffect effect)
    {
        switch (effect.Kind)
        {
            case DeviceEffectKind.PowerOff: return VmEnd.PoweredOff;
            case DeviceEffectKind.Reset: return VmEnd.Reset;
            case DeviceEffectKind.Exit:
                vm->ExitCode = effect.ExitCode;
                return VmEnd.Exited;
            default: return VmEnd.None;
        }
    }
}
