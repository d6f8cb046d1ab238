// Messages from the core: what the children's processors did arrives here, on SINT0; what they say to their VMbus, and their
// signals, on a SINT of its own. TLFS, "Synthetic Interrupt Controller".
using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;
using Lamina.Root.Worker;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class Synic
{
    /// <summary>64-bit words of event flags that a SINT has.</summary>
    public const uint EventWords = SynicLimits.HV_EVENT_FLAGS_COUNT / 64;

    private static HvMessage* slots;
    private static ulong* events;
    private static bool busInterrupted;

    /// <summary>Shares message and event page with the core and opens the two SINTs.</summary>
    public static void Initialize()
    {
        slots = (HvMessage*)PhysicalMemory.RequirePages(1);
        ulong messagePage = (ulong)slots >> PageCount.PageShift;
        events = (ulong*)PhysicalMemory.RequirePages(1);
        ulong eventPage = (ulong)events >> PageCount.PageShift;
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, new SimpMsr(0).WithBaseSimpGpfn(messagePage).WithEnable(true).Value);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIEFP, new SiefpMsr(0).WithBaseSiefpGpfn(eventPage).WithEnable(true).Value);

        bool autoEoi = Enlightenments.PrefersAutoEoi;
        Interrupts.Connect(Interrupts.BusVector, &OnBusInterrupt, null, autoEoi);
        // Intercepts interrupt nothing: the executor looks for one whenever it has nothing else to do, and one that comes then ends its sleep.
        Open(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX, new SintMsr(0).WithVector(Interrupts.SynicVector).WithPolling(true));
        Open(BusNumbers.RootSint, new SintMsr(0).WithVector(Interrupts.BusVector).WithAutoEoi(autoEoi));
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, new ScontrolMsr(0).WithEnable(true).Value);
    }

    private static void Open(uint sint, SintMsr register) => Instructions.WrMsr(HvMsr.HV_X64_MSR_SINT0 + sint, register.Value);

    /// <summary>Takes a SINT's message out of its slot; of <paramref name="copy"/>, only as much payload as there is gets written.</summary>
    public static bool TryTakeMessage(uint sint, HvMessage* copy)
    {
        HvMessage* slot = Peek(sint);
        if (slot == null) return false;
        copy->Header = slot->Header;
        SpanHelpers.Copy(copy->Payload, slot->Payload, Math.Min(slot->Header.PayloadSize, (ulong)SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT));
        Free(slot);
        return true;
    }

    /// <summary>Whether a SINT's slot holds a message.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HasMessage(uint sint)
    {
        uint* type = &(slots + sint)->Header.MessageType;
        return Volatile.Read(ref *type) != HvMessageType.HvMessageTypeNone;
    }

    /// <summary>
    /// The message in a SINT's slot, where it lies; <see cref="Free"/> gives the slot back. Only the core writes there, and not before. Null: none.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static HvMessage* Peek(uint sint) => HasMessage(sint) ? slots + sint : null;

    /// <summary>Frees a slot, then looks at the pending flag: in this order because the core sets the flag when it finds the slot taken, so that one side sees the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Free(HvMessage* slot)
    {
        uint* type = &slot->Header.MessageType;
        Volatile.Write(ref *type, HvMessageType.HvMessageTypeNone);
        Interlocked.MemoryBarrier();
        if ((Volatile.Read(ref slot->Header.MessageFlags) & HvMessageHeader.MessagePending) != 0) Instructions.WrMsr(HvMsr.HV_X64_MSR_EOM, 0);
    }

    /// <summary>Whether the buses' SINT has interrupted since the last call: messages or flags may be there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TakeBusInterrupt()
    {
        if (!Volatile.Read(ref busInterrupted)) return false;
        // Cleared before anyone looks: what comes later sets it again.
        Volatile.Write(ref busInterrupted, false);
        Interlocked.MemoryBarrier();
        return true;
    }

    /// <summary>Takes the event flags of one word: flag 64 × <paramref name="word"/> is its bit 0.</summary>
    public static ulong TakeEvents(uint sint, uint word)
    {
        ulong* flags = events + sint * EventWords + word;
        return Volatile.Read(ref *flags) == 0 ? 0 : Interlocked.Exchange(ref *flags, 0);
    }

    private static void OnBusInterrupt(void* context) => Volatile.Write(ref busInterrupted, true);
}
