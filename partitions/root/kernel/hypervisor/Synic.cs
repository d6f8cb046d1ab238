// Messages from the core: what the children's processors did arrives here, on SINT0. TLFS, "Synthetic Interrupt Controller".
using System;
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class Synic
{
    private static HvMessage* slots;

    /// <summary>Shares message and event page with the core and opens SINT0.</summary>
    public static void Initialize()
    {
        slots = (HvMessage*)PhysicalMemory.RequirePages(1);
        ulong messagePage = (ulong)slots >> PageCount.PageShift;
        ulong eventPage = (ulong)PhysicalMemory.RequirePages(1) >> PageCount.PageShift;
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, new SimpMsr(0).WithBaseSimpGpfn(messagePage).WithEnable(true).Value);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIEFP, new SiefpMsr(0).WithBaseSiefpGpfn(eventPage).WithEnable(true).Value);

        bool autoEoi = Enlightenments.PrefersAutoEoi;
        Interrupts.Connect(Interrupts.SynicVector, &OnInterrupt, null, autoEoi);
        SintMsr source = new SintMsr(0).WithVector(Interrupts.SynicVector).WithAutoEoi(autoEoi);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SINT0 + SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX, source.Value);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, new ScontrolMsr(0).WithEnable(true).Value);
    }

    /// <summary>
    /// Takes the intercept message out of its slot; of <paramref name="copy"/>, only as much payload as there is gets written. Freeing the slot and looking at the pending flag are in this order because the
    /// core sets the flag when it finds the slot taken: whichever comes first, one side sees the other.
    /// </summary>
    public static bool TryTakeMessage(HvMessage* copy)
    {
        HvMessage* slot = slots + SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX;
        if (Volatile.Read(ref slot->Header.MessageType) == HvMessageType.HvMessageTypeNone) return false;
        copy->Header = slot->Header;
        SpanHelpers.Copy(copy->Payload, slot->Payload, Math.Min(slot->Header.PayloadSize, (ulong)SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT));
        Volatile.Write(ref slot->Header.MessageType, HvMessageType.HvMessageTypeNone);
        Interlocked.MemoryBarrier();
        if ((Volatile.Read(ref slot->Header.MessageFlags) & HvMessageHeader.MessagePending) != 0) Instructions.WrMsr(HvMsr.HV_X64_MSR_EOM, 0);
        return true;
    }

    // The stub wakes the executor; the message itself is taken there.
    private static void OnInterrupt(void* context) { }
}
