// Every vector's way from the stub in entry.asm to whoever connected it.
using System.Runtime;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Root.Kernel;

/// <summary>
/// Handlers run with interrupts disabled, on the interrupted stack; they set flags, move bytes or queue work, and return. Anything
/// longer belongs to the executor.
/// </summary>
public static unsafe class Interrupts
{
    private const int FirstExternalVector = 0x20;
    private const ulong ReadMsrBytes = 2;

    /// <summary>Vectors of devices are taken from here upwards, the kernel's own lie above.</summary>
    private const int FirstDeviceVector = 0x30;
    private const int LastDeviceVector = 0xDF;
    public const byte SynicVector = 0xE0;
    public const byte TimerVector = 0xE1;
    public const byte BusVector = 0xE2;

    private struct Connection
    {
        public delegate*<void*, void> Handler;
        public void* Context;

        /// <summary>The source needs no EOI: the core gives it itself on delivery.</summary>
        public bool AutoEoi;
    }

    private static Connection* connections;
    private static uint* eoiAssist;
    private static ulong unexpected, idleRead;

    public static void Initialize()
    {
        idleRead = RootImage.Layout->IdleRead;
        connections = (Connection*)PhysicalMemory.RequirePages(PageCount.ForBytes(256 * (ulong)sizeof(Connection)).Value);
        LocalApic.Initialize();
    }

    /// <summary>Where the core says that an EOI would change nothing (VP assist page). TLFS, "EOI Assist".</summary>
    public static void UseEoiAssist(VpAssistPage* page) => eoiAssist = &page->ApicAssist;

    /// <summary>How often a vector came that nobody had connected.</summary>
    public static ulong UnexpectedCount => unexpected;

    /// <summary>Whether interrupts were enabled; they are not any more.</summary>
    public static bool Disable()
    {
        bool enabled = new RFlags(Instructions.ReadFlags()).IF;
        Instructions.Cli();
        return enabled;
    }

    public static void Restore(bool enabled)
    {
        if (enabled) Instructions.Sti();
    }

    public static void Connect(byte vector, delegate*<void*, void> handler, void* context, bool autoEoi = false)
    {
        connections[vector].Context = context;
        connections[vector].AutoEoi = autoEoi;
        connections[vector].Handler = handler;
    }

    public static void Disconnect(byte vector) => connections[vector].Handler = null;

    /// <summary>Connects a vector for a device; false when all are taken.</summary>
    public static bool TryConnectDevice(delegate*<void*, void> handler, void* context, out byte vector)
    {
        for (int candidate = FirstDeviceVector; candidate <= LastDeviceVector; candidate++)
        {
            if (connections[candidate].Handler != null) continue;
            vector = (byte)candidate;
            Connect(vector, handler, context);
            return true;
        }
        vector = 0;
        return false;
    }

    /// <summary>Called by the common stub, for exceptions as for interrupts.</summary>
    [RuntimeExport("lamina_interrupt")]
    private static void Dispatch(InterruptFrame* frame)
    {
        if (frame->Vector < FirstExternalVector)
        {
            RootPanic.Stop(frame);
            return;
        }
        if (frame->Vector == LocalApic.SpuriousVector) return;
        // An interrupt between STI and the sleep, which only an emulator lets through, must not be slept over: the sleep it was to end is skipped.
        if (frame->Rip == idleRead) frame->Rip += ReadMsrBytes;
        Connection* connection = connections + frame->Vector;
        if (connection->Handler != null) connection->Handler(connection->Context);
        else unexpected++;
        Executor.Wake();
        if (!connection->AutoEoi && !TryTakeEoiAssist()) LocalApic.EndOfInterrupt();
    }

    private static bool TryTakeEoiAssist()
    {
        if (eoiAssist == null || (*eoiAssist & VpAssistPage.NoEoiRequired) == 0) return false;
        return (System.Threading.Interlocked.And(ref *(ulong*)eoiAssist, ~(ulong)VpAssistPage.NoEoiRequired) & VpAssistPage.NoEoiRequired) != 0;
    }
}
