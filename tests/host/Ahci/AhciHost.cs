// The host of an AHCI port in tests: a clock that the test moves, timers, memory, and the lines that were reported.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.X64.Paging;

namespace Lamina.Tests.Host.Ahci;

/// <summary>One a thread; a test begins by <see cref="Begin"/>.</summary>
public unsafe struct AhciHost : IDriverHost
{
    [ThreadStatic] private static ulong now;
    [ThreadStatic] private static DeadlineList* timers;
    [ThreadStatic] private static List<nint> memory;

    [ThreadStatic] public static List<string> Lines;

    /// <summary>How far the clock goes with each look at it.</summary>
    [ThreadStatic] public static ulong TicksOfALook;

    public static void Begin()
    {
        now = 1_000_000;
        memory = [];
        Lines = [];
        TicksOfALook = 0;
        timers = (DeadlineList*)NativeMemory.AllocZeroed((nuint)sizeof(DeadlineList));
        *timers = default;
    }

    public static void End()
    {
        foreach (nint at in memory) NativeMemory.AlignedFree((void*)at);
        NativeMemory.Free(timers);
    }

    /// <summary>Goes on to the next timer, or for 100 ms where none is nearer.</summary>
    public static void Tick()
    {
        now = Math.Min(timers->Next, now + 1_000_000);
        while (timers->TryTakeDue(now, out DeadlineTimer* timer)) timer->Handler(timer->Context);
    }

    public static bool TryAllocateDma(ulong bytes, out DmaMemory allotted)
    {
        byte* at = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        new Span<byte>(at, (int)bytes).Clear();
        memory.Add((nint)at);
        allotted = new DmaMemory { Address = at, Physical = (ulong)at, Bytes = bytes };
        return true;
    }

    public static void FreeDma(DmaMemory unused) { }
    public static bool TryMapRegisters(ulong physical, ulong bytes, MemoryType type, out ulong address) => throw new NotSupportedException();
    public static bool TryConnectIsaInterrupt(byte number, delegate*<void*, void> handler, void* context) => throw new NotSupportedException();
    public static bool TryConnectMessage(PciAddress function, delegate*<void*, void> handler, void* context, out InterruptMessage message) => throw new NotSupportedException();
    public static void DisconnectMessage(PciAddress function, InterruptMessage message) => throw new NotSupportedException();
    public static void Queue(WorkItem* item) => throw new NotSupportedException();
    public static void Arm(DeadlineTimer* timer, ulong deadline) => timers->Arm(timer, deadline);
    public static void Cancel(DeadlineTimer* timer) => timers->Cancel(timer);
    public static ulong Now => now += TicksOfALook;
    public static void Report(ReadOnlySpan<byte> line) => Lines.Add(Encoding.ASCII.GetString(line));
}
