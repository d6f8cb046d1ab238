// What a driver needs from whoever hosts it. The root implements it; drivers are generic over it and never see the root.
using System;
using Lamina.Drivers.Bus.Pci;
using Lamina.X64.Paging;

namespace Lamina.Drivers.Bus;

/// <summary>
/// All members are static, so that a driver is compiled once for its host, without dispatch. Handlers of interrupts run with
/// interrupts disabled and do little; handlers of work items and timers run one after the other in the host's executor.
/// Time is in units of 100 ns.
/// </summary>
public unsafe interface IDriverHost
{
    /// <summary>Zeroed, physically contiguous memory that the driver and its device share.</summary>
    static abstract bool TryAllocateDma(ulong bytes, out DmaMemory memory);
    static abstract void FreeDma(DmaMemory memory);

    /// <summary>Makes device registers accessible; <paramref name="address"/> is for <see cref="Lamina.X64.Mmio"/>.</summary>
    static abstract bool TryMapRegisters(ulong physical, ulong bytes, MemoryType type, out ulong address);

    /// <summary>Connects an ISA interrupt number, wherever the platform has wired it to.</summary>
    static abstract bool TryConnectIsaInterrupt(byte number, delegate*<void*, void> handler, void* context);

    /// <summary>Allots a message; the driver writes it into the function's MSI or MSI-X registers.</summary>
    static abstract bool TryConnectMessage(PciAddress function, delegate*<void*, void> handler, void* context, out InterruptMessage message);
    static abstract void DisconnectMessage(PciAddress function, InterruptMessage message);

    /// <summary>Has the item run soon; may be called from an interrupt handler. An item that is queued already is left where it is.</summary>
    static abstract void Queue(WorkItem* item);
    static abstract void Arm(DeadlineTimer* timer, ulong deadline);
    static abstract void Cancel(DeadlineTimer* timer);
    static abstract ulong Now { get; }

    /// <summary>A line for the log of the machine.</summary>
    static abstract void Report(ReadOnlySpan<byte> line);
}

/// <summary>Memory for a device, at <c>Address</c> for the processor and at <c>Physical</c> for the device.</summary>
public unsafe struct DmaMemory
{
    public byte* Address;
    public ulong Physical;
    public ulong Bytes;
}

/// <summary>What a device writes where to interrupt, and the vector that the host sees.</summary>
public struct InterruptMessage
{
    public ulong Address;
    public uint Data;
    public byte Vector;
}

/// <summary>An input of an I/O APIC, and how it is wired.</summary>
public readonly struct IoApicLine(byte ioApicId, uint pin, bool isLevel, bool isActiveLow)
{
    public readonly byte IoApicId = ioApicId;
    public readonly uint Pin = pin;
    public readonly bool IsLevel = isLevel;
    public readonly bool IsActiveLow = isActiveLow;
}
