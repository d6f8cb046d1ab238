// One port of an AHCI adapter and the disk behind it: what it consists of, its beginning, its events. AHCI 1.3.1, "System Software Specific Details".
using System;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Registry;
using Lamina.Text;

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>What all ports of an adapter have in common; the adapter's, and stays where it is.</summary>
public unsafe struct AhciAdapter
{
    public PciAddress Function;
    public BlockRegistry* Registry;

    /// <summary>The adapter's number with the registry.</summary>
    public int Controller;

    /// <summary>CAP.</summary>
    public uint Capabilities;

    /// <summary>Ports that have not yet said whether they have a disk.</summary>
    public uint Unsettled;

    public readonly bool Has(uint capability) => (Capabilities & capability) != 0;

    /// <summary>Commands that a port takes at once, 1 to 32.</summary>
    public readonly uint SlotCount => (Capabilities >> (int)HbaRegister.CAP_NCS_SHIFT & HbaRegister.CAP_NCS_MASK) + 1;
}

internal enum AhciPortState : byte
{
    /// <summary>No disk, or none that we use. A disk that is plugged in is noticed.</summary>
    Off,
    /// <summary>ST was cleared, CR is waited for; then FRE and FR.</summary>
    Stopping,
    StoppingReceive,
    /// <summary>COMRESET is on the line.</summary>
    Resetting,
    /// <summary>The disk and the port find each other.</summary>
    Linking,
    /// <summary>The disk starts.</summary>
    Settling,
    Identifying,
    Ready,
    /// <summary>A command failed: ST was cleared, CR is waited for; then the disk is asked which it was.</summary>
    Halting,
    ReadingLog,
    /// <summary>Given up.</summary>
    Dead,
}

/// <summary>
/// A state machine over the port's registers, moved by interrupts and by a timer; lives in memory of its adapter and does not move. What
/// the disk had when something went wrong is handed back only when the port has stopped, so that nobody's memory is written afterwards.
/// </summary>
public unsafe partial struct AhciPort<THost, TRegisters> where THost : struct, IDriverHost where TRegisters : struct, IAhciRegisters
{
    private const ulong Millisecond = 10_000;
    private const uint FaultEvents = PortRegister.TFES | InterfaceEvents | LinkEvents;
    private const uint InterfaceEvents = PortRegister.HBFS | PortRegister.HBDS | PortRegister.IFS | PortRegister.UFS | PortRegister.OFS;
    private const uint LinkEvents = PortRegister.PCS | PortRegister.PRCS;
    private const uint WorkEvents = PortRegister.DHRS | PortRegister.PSS | PortRegister.SDBS | FaultEvents;
    private const ulong FourGiB = 1UL << 32;

    // The port's page
    private const uint PageBytes = 4096, FisOffset = 1024, InternalTableOffset = 1536, DataOffset = 2048, TrimOffset = 2560;

    private AhciPort<THost, TRegisters>* self;
    private AhciAdapter* adapter;
    private TRegisters registers;
    private uint number;
    private DmaMemory page, tables;
    private AhciPortState state;
    private bool isSettled, isAnnounced;

    private DeadlineTimer pace;
    private ulong deadline, interval;

    private ResetCause resetCause;
    private uint resets; // since a request last succeeded
    private ulong linkingSince;
    private uint faultEvents, faultTaskFile;

    private BlockDevice device;
    private AtaIdentity identity;
    private AhciSlot* slots;
    private uint slotCount;
    private uint occupied; // a bit for each slot whose command the port has
    private bool useQueueing;
    private bool isQueued, isExclusive; // what the port has now
    private BlockRequestList waiting, again, finished;
    private BlockStatus stopped;
    private bool running, kicked;
    private DeadlineTimer watch;

    /// <summary>Takes the port over; the adapter has been reset. It settles later, also if there is no disk.</summary>
    public static void Start(AhciPort<THost, TRegisters>* port, AhciAdapter* adapter, uint number, TRegisters registers)
    {
        *port = default;
        port->self = port;
        port->adapter = adapter;
        port->number = number;
        port->registers = registers;
        port->pace = new DeadlineTimer { Handler = &OnPace, Context = port };
        port->watch = new DeadlineTimer { Handler = &OnWatch, Context = port };
        if (!THost.TryAllocateDma(PageBytes, out port->page) || !port->IsReachable(port->page.Physical + PageBytes))
        {
            port->Die("no memory that the adapter reaches"u8);
            return;
        }
        registers.Write(PortRegister.IE, 0);
        port->WriteAddress(PortRegister.CLB, port->page.Physical);
        port->WriteAddress(PortRegister.FB, port->page.Physical + FisOffset);
        port->BeginReset(ResetCause.Start);
    }

    /// <summary>The port's bit in the adapter's IS is set.</summary>
    public void OnEvent()
    {
        uint events = registers.Read(PortRegister.IS);
        registers.Write(PortRegister.IS, events);
        switch (state)
        {
            case AhciPortState.Ready when (events & FaultEvents) != 0: OnFault(events); break;
            case AhciPortState.Ready: Reap(); break;
            case AhciPortState.Identifying or AhciPortState.ReadingLog when (events & FaultEvents) != 0: OnInternal(false); break;
            case AhciPortState.Identifying or AhciPortState.ReadingLog when IsInternalDone: OnInternal(true); break;
            case AhciPortState.Off when (events & LinkEvents) != 0:
                BeginReset(ResetCause.Start);
                break;
        }
    }

    /// <summary>The adapter is no longer there.</summary>
    public void OnGone()
    {
        if (state == AhciPortState.Dead) return;
        THost.Cancel(&self->pace);
        state = AhciPortState.Dead;
        GiveUpAll(BlockStatus.Gone);
        Settle();
    }

    private CommandHeader* Headers => (CommandHeader*)page.Address;

    private readonly bool IsReachable(ulong end) => end <= FourGiB || adapter->Has(HbaRegister.CAP_S64A);

    private readonly void WriteAddress(uint register, ulong physical)
    {
        registers.Write(register, (uint)physical);
        registers.Write(register + 4, (uint)(physical >> 32));
    }

    private readonly void SetCommand(uint set, uint clear) => registers.Write(PortRegister.CMD, registers.Read(PortRegister.CMD) & ~clear | set);

    private readonly bool IsCommandBitSet(uint bit) => (registers.Read(PortRegister.CMD) & bit) != 0;

    private readonly uint Detection => registers.Read(PortRegister.SSTS) & PortRegister.DET_MASK;

    /// <summary>What had happened so far is forgotten; events are told from now on.</summary>
    private readonly void ClearEvents(uint enabled)
    {
        registers.Write(PortRegister.SERR, uint.MaxValue);
        registers.Write(PortRegister.IS, uint.MaxValue);
        registers.Write(PortRegister.IE, enabled);
    }

    private void Enter(AhciPortState next, ulong patience, ulong pollInterval)
    {
        state = next;
        interval = pollInterval;
        deadline = THost.Now + patience;
        THost.Arm(&self->pace, THost.Now + pollInterval);
    }

    /// <summary>Whether the adapter still waits for this port.</summary>
    private void Settle()
    {
        if (isSettled) return;
        isSettled = true;
        if (--adapter->Unsettled == 0) adapter->Registry->FinishController(adapter->Controller);
    }

    /// <summary>For good: the port is silenced; whatever it had ends.</summary>
    private void Die(ReadOnlySpan<byte> why)
    {
        Report(why);
        registers.Write(PortRegister.IE, 0);
        SetCommand(0, PortRegister.CMD_ST | PortRegister.CMD_FRE);
        THost.Cancel(&self->pace);
        state = AhciPortState.Dead;
        GiveUpAll(BlockStatus.DeviceError);
        Settle();
    }

    private readonly void Report(ReadOnlySpan<byte> text)
    {
        byte* buffer = stackalloc byte[96];
        TextWriter line = new(buffer, 96);
        line.Text("port "u8).Decimal(number).Text(": "u8).Text(text);
        PciReport.Line<THost>("ahci"u8, adapter->Function, line.Written);
    }
}
