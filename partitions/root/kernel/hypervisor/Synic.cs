// Messages from the core: what the children's processors did arrives here, on SINT0; what they say to their VMbus, and their
// signals, on a SINT of its own. TLFS, "Synthetic Interrupt Controller".
using System;
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
        Interrupts.Connect(Interrupts.SynicVector, &OnInterrupt, null, autoEoi);
        Interrupts.Connect(Interrupts.BusVector, &OnBusInterrupt, null, autoEoi);
        Open(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX, Interrupts.SynicVector, autoEoi);
        Open(BusNumbers.RootSint, Interrupts.BusVector, autoEoi);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, new ScontrolMsr(0).WithEnable(true).Value);
    }

    private static void Open(uint sint, byte vector, bool autoEoi) =>
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SINT0 + sint, new SintMsr(0).WithVector(vector).WithAutoEoi(autoEoi).Value);

    /// <summary>
    /// Takes a SINT's message out of its slot; of <paramref name="copy"/>, only as much payload as there is gets written. Freeing the slot and looking at the pending flag are in this order because the
    /// core sets the flag when it finds the slot taken: whichever comes first, one side sees the other.
    /// </summary>
    public static bool TryTakeMessage(uint sint, HvMessage* copy)
    {
        HvMessage* slot = slots + sint;
        if (Volatile.Read(ref slot->Header.MessageType) == HvMessageType.HvMessageTypeNone) return false;
        copy->Header = slot->Header;
        SpanHelpers.Copy(copy->Payload, slot->Payload, Math.Min(slot->Header.PayloadSize, (ulong)SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT));
        Volatile.Write(ref slot->Header.MessageType, HvMessageType.HvMessageTypeNone);
        Interlocked.MemoryBarrier();
        if ((Volatile.Read(ref slot->Header.MessageFlags) & HvMessageHeader.MessagePending) != 0) Instructions.WrMsr(HvMsr.HV_X64_MSR_EOM, 0);
        return true;
    }

    /// <summary>Whether the buses' SINT has interrupted since the last call: messages or flags may be there.</summary>
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

    // The stub wakes the executor; the message itself is taken there.
    private static void OnInterrupt(void* context) { }

    private static void OnBusInterrupt(void* context) => Volatile.Write(ref busInterrupted, true);
}
