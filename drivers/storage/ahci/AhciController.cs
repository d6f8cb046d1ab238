// An AHCI adapter: taken over from the firmware, reset, its ports started, its one message passed on to them. AHCI 1.3.1, "HBA Reset", "BIOS/OS Handoff".
using System;
using System.Numerics;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.Drivers.Storage.Registry;

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>
/// Lives in memory of its own and does not move; its ports follow it there. Its lines in the log begin with <c>ahci</c>. An adapter that
/// cannot be used costs one line, a port without a disk none.
/// </summary>
public unsafe struct AhciController<THost> where THost : struct, IDriverHost
{
    private const byte MassStorage = 0x01, SerialAta = 0x06, AhciInterface = 0x01;
    private const int RegistersIndex = 5;
    private const ulong Millisecond = 10_000;
    private const ulong HandoffPatience = 25 * Millisecond, BusyPatience = 2000 * Millisecond, ResetPatience = 1000 * Millisecond;
    private const ulong ShutDownPatience = 3000 * Millisecond;
    private const int RoundsPerTurn = 8;

    private enum Phase : byte
    {
        Handoff,
        Resetting,
        Running,
        Dead,
    }

    private PciFunction function;
    private AhciRegisterSpace registers;
    private ulong address, bytes;
    private AhciAdapter adapter;
    private AhciPort<THost, AhciRegisterSpace>* ports;
    private DmaMemory portMemory;
    private uint started;
    private InterruptMessage message;
    private WorkItem arrived;
    private DeadlineTimer pace;
    private ulong deadline;
    private Phase phase;

    public static bool Matches(in PciFunction function) =>
        function.BaseClass == MassStorage && function.Subclass == SerialAta && function.ProgrammingInterface == AhciInterface;

    /// <summary>
    /// Starts the adapter in memory that its host gives it, and announces it to <paramref name="registry"/>, which gets each disk once it is
    /// known. The number of a disk is that of its port.
    /// </summary>
    public static void Start(in PciFunction function, BlockRegistry* registry)
    {
        if (!THost.TryAllocateDma((ulong)sizeof(AhciController<THost>), out DmaMemory memory))
        {
            PciReport.Line<THost>(DriverName, function.Address, "no memory"u8);
            return;
        }
        AhciController<THost>* self = (AhciController<THost>*)memory.Address;
        self->function = function;
        self->adapter.Function = function.Address;
        self->adapter.Registry = registry;
        self->arrived = new WorkItem { Handler = &OnArrived, Context = self };
        self->pace = new DeadlineTimer { Handler = &OnPace, Context = self };
        if (self->TryOpen(out ReadOnlySpan<byte> why))
        {
            self->adapter.Controller = registry->AddController("ahci"u8, self->PortNumbers);
            registry->OnShutDown(self->adapter.Controller, &OnShutDown, self);
            self->Begin(self);
            return;
        }
        self->Report(why);
        THost.FreeDma(memory);
    }

    /// <summary>Numbers that the ports take: up to the last one that is there.</summary>
    private readonly uint PortNumbers
    {
        get
        {
            uint implemented = registers.Read(HbaRegister.PI), count = 0;
            for (uint i = 0; i < HbaRegister.PortCount; i++)
                if (IsPort(implemented, i)) count = i + 1;
            return count;
        }
    }

    private readonly bool IsPort(uint implemented, uint index) =>
        (implemented & 1u << (int)index) != 0 && HbaRegister.FirstPort + (index + 1) * HbaRegister.PortBytes <= bytes;

    private bool TryOpen(out ReadOnlySpan<byte> why)
    {
        why = "its registers cannot be mapped"u8;
        bytes = Math.Min(function.MeasureBaseAddress(RegistersIndex), HbaRegister.FirstPort + HbaRegister.PortCount * HbaRegister.PortBytes);
        if (bytes < HbaRegister.FirstPort + HbaRegister.PortBytes) return false;
        if (!function.TryMapRegisters<THost>(RegistersIndex, bytes, out address)) return false;
        function.Enable();
        registers = new AhciRegisterSpace(address);
        why = "it is not there"u8;
        return registers.Read(HbaRegister.VS) != uint.MaxValue;
    }

    /// <summary>Firmware that still uses the adapter is asked to let go.</summary>
    private void Begin(AhciController<THost>* self)
    {
        if ((registers.Read(HbaRegister.CAP2) & HbaRegister.CAP2_BOH) == 0)
        {
            Reset(self);
            return;
        }
        registers.Write(HbaRegister.BOHC, registers.Read(HbaRegister.BOHC) | HbaRegister.BOHC_OOS);
        Enter(self, Phase.Handoff, HandoffPatience);
    }

    private void Reset(AhciController<THost>* self)
    {
        registers.Write(HbaRegister.GHC, HbaRegister.GHC_AE);
        registers.Write(HbaRegister.GHC, HbaRegister.GHC_AE | HbaRegister.GHC_HR);
        Enter(self, Phase.Resetting, ResetPatience);
    }

    private void Enter(AhciController<THost>* self, Phase next, ulong patience)
    {
        phase = next;
        deadline = THost.Now + patience;
        THost.Arm(&self->pace, THost.Now + Millisecond);
    }

    private static void OnPace(void* context)
    {
        AhciController<THost>* self = (AhciController<THost>*)context;
        bool overdue = THost.Now >= self->deadline;
        if (self->phase == Phase.Handoff)
        {
            uint handoff = self->registers.Read(HbaRegister.BOHC);
            // The firmware may say that it needs longer; one that never answers is overruled by the reset.
            if (overdue && (handoff & HbaRegister.BOHC_BB) != 0 && THost.Now < self->deadline + BusyPatience) overdue = false;
            if (overdue || (handoff & HbaRegister.BOHC_BOS) == 0) self->Reset(self);
            else THost.Arm(&self->pace, THost.Now + Millisecond);
            return;
        }
        if ((self->registers.Read(HbaRegister.GHC) & HbaRegister.GHC_HR) == 0) self->Run(self);
        else if (overdue) self->Die("it cannot be reset"u8);
        else THost.Arm(&self->pace, THost.Now + Millisecond);
    }

    /// <summary>The adapter has been reset: its message, then its ports.</summary>
    private void Run(AhciController<THost>* self)
    {
        registers.Write(HbaRegister.GHC, HbaRegister.GHC_AE);
        adapter.Capabilities = registers.Read(HbaRegister.CAP);
        uint implemented = registers.Read(HbaRegister.PI);
        for (uint i = 0; i < HbaRegister.PortCount; i++)
            if (IsPort(implemented, i)) adapter.Unsettled++;
        if (adapter.Unsettled == 0) Die("it has no port"u8);
        else if (!THost.TryAllocateDma(adapter.Unsettled * (ulong)sizeof(AhciPort<THost, AhciRegisterSpace>), out portMemory)) Die("no memory"u8);
        else if (!THost.TryConnectMessage(function.Address, &OnInterrupt, self, out message)) Die("no message was allotted"u8);
        else if (!PciMessages.TryEnableMsi(function, message)) Die("no MSI"u8);
        else StartPorts(self, implemented);
    }

    private void StartPorts(AhciController<THost>* self, uint implemented)
    {
        phase = Phase.Running;
        ports = (AhciPort<THost, AhciRegisterSpace>*)portMemory.Address;
        registers.Write(HbaRegister.IS, uint.MaxValue);
        registers.Write(HbaRegister.GHC, HbaRegister.GHC_AE | HbaRegister.GHC_IE);
        for (uint i = 0; i < HbaRegister.PortCount; i++)
        {
            if (!IsPort(implemented, i)) continue;
            AhciRegisterSpace own = new(address + HbaRegister.FirstPort + i * HbaRegister.PortBytes);
            started |= 1u << (int)i;
            AhciPort<THost, AhciRegisterSpace>.Start(PortOf(i), &self->adapter, i, own);
        }
    }

    /// <summary>Only the ports that are there have a place.</summary>
    private readonly AhciPort<THost, AhciRegisterSpace>* PortOf(uint index) => ports + BitOperations.PopCount(started & (1u << (int)index) - 1);

    private static void OnInterrupt(void* context) => THost.Queue(&((AhciController<THost>*)context)->arrived);

    private static void OnArrived(void* context)
    {
        AhciController<THost>* self = (AhciController<THost>*)context;
        if (self->phase != Phase.Running) return;
        for (int round = 0; round < RoundsPerTurn; round++)
        {
            uint events = self->registers.Read(HbaRegister.IS);
            if (events == uint.MaxValue && self->registers.Read(HbaRegister.GHC) == uint.MaxValue)
            {
                self->OnGone();
                return;
            }
            if ((events & self->started) == 0) return;
            for (uint left = events & self->started; left != 0; left &= left - 1)
                self->PortOf((uint)BitOperations.TrailingZeroCount(left))->OnEvent();
            // The ports' own events come first: a bit here comes back while any of them is left.
            self->registers.Write(HbaRegister.IS, events);
        }
        THost.Queue(&self->arrived);
    }

    private void OnGone()
    {
        phase = Phase.Dead;
        Report("it is gone"u8);
        for (uint left = started; left != 0; left &= left - 1) PortOf((uint)BitOperations.TrailingZeroCount(left))->OnGone();
    }

    private void Die(ReadOnlySpan<byte> why)
    {
        Report(why);
        phase = Phase.Dead;
        function.SetCommand(0, PciHeader.CommandBusMaster);
        if (message.Vector != 0) THost.DisconnectMessage(function.Address, message);
        if (portMemory.Bytes != 0) THost.FreeDma(portMemory);
        adapter.Registry->FinishController(adapter.Controller);
    }

    /// <summary>Power goes: the disks write their caches and park. What is out gets no answer any more.</summary>
    private static void OnShutDown(void* context)
    {
        AhciController<THost>* self = (AhciController<THost>*)context;
        if (self->phase != Phase.Running) return;
        self->phase = Phase.Dead;
        ulong end = THost.Now + ShutDownPatience;
        for (uint left = self->started; left != 0; left &= left - 1) self->PortOf((uint)BitOperations.TrailingZeroCount(left))->ShutDown(end);
    }

    private static ReadOnlySpan<byte> DriverName => "ahci"u8;

    private readonly void Report(ReadOnlySpan<byte> text) => PciReport.Line<THost>(DriverName, function.Address, text);
}
