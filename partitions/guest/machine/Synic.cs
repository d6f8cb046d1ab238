// This processor's SynIC: its pages, its SINTs, messages and flags. TLFS, "Synthetic Interrupt Controller".
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class Synic
{
    public static void Enable()
    {
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, GuestPages.Messages | 1);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIEFP, GuestPages.Events | 1);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, 1);
        for (int i = 0; i < 512; i++) ((ulong*)GuestPages.Messages)[i] = ((ulong*)GuestPages.Events)[i] = 0;
    }

    public static void SetSint(uint sint, SintMsr value) => Instructions.WrMsr(HvMsr.HV_X64_MSR_SINT0 + sint, value.Value);

    public static SintMsr Vector(byte vector) => new SintMsr(0).WithVector(vector);

    public static HvMessage* Slot(uint sint) => (HvMessage*)(GuestPages.Messages + sint * SynicLimits.HV_MESSAGE_SIZE);

    public static uint TypeIn(uint sint) => Volatile.Read(ref Slot(sint)->Header.MessageType);

    public static bool IsPending(uint sint) => (Volatile.Read(ref Slot(sint)->Header.MessageFlags) & HvMessageHeader.MessagePending) != 0;

    /// <summary>Frees the slot as a guest does: type first, then EOM if something waits.</summary>
    public static void Free(uint sint)
    {
        Volatile.Write(ref Slot(sint)->Header.MessageType, 0);
        Interlocked.MemoryBarrier();
        if (IsPending(sint)) Instructions.WrMsr(HvMsr.HV_X64_MSR_EOM, 0);
    }

    public static bool WaitForMessage(uint sint)
    {
        ulong start = Instructions.RdTsc(), limit = Clock.Ticks(Clock.Patience);
        while (TypeIn(sint) == 0 && Instructions.RdTsc() - start < limit) Instructions.Pause();
        return TypeIn(sint) != 0;
    }

    public static bool IsFlagSet(uint sint, uint flag) => (Volatile.Read(ref *(uint*)(GuestPages.Events + sint * 256 + flag / 32 * 4)) >> (int)(flag % 32) & 1) != 0;

    public static void ClearFlags(uint sint)
    {
        for (int i = 0; i < 32; i++) ((ulong*)(GuestPages.Events + sint * 256))[i] = 0;
    }
}
