// The pages that a partition and the core share: hypercall page, reference TSC, SynIC pages.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Synic;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// They are the guest's own memory at the address that it names (docs/decisions/0003): the core writes into them, and reads
/// nothing back but whether a message slot is free. Their addresses are looked up again whenever the partition's map changes.
/// </summary>
public static unsafe class Overlays<TBackend> where TBackend : struct, IBackend
{
    public static bool TryWriteHypercallMsr(Partition* partition, HypercallMsr value)
    {
        HypercallMsr current = new(partition->HypercallMsr);
        // Locked, or no guest identity yet: the write has no effect. TLFS, "Establishing the Hypercall Interface".
        if (current.Locked || partition->GuestOsId == 0)
            return true;
        if (value.Enable)
        {
            if (!GuestPages<TBackend>.TryGetPointer(partition, value.HypercallGpfn << 12, true, out byte* page))
                return false;
            WriteHypercallPage(page);
        }
        partition->HypercallMsr = value.Value;
        return true;
    }

    // ENDBR64 first: a guest kernel with indirect branch tracking calls the page.
    private static void WriteHypercallPage(byte* page)
    {
        ReadOnlySpan<byte> head = [0xF3, 0x0F, 0x1E, 0xFA];
        ReadOnlySpan<byte> call = TBackend.HypercallInstruction;
        int at = 0;
        for (int i = 0; i < head.Length; i++) page[at++] = head[i];
        for (int i = 0; i < call.Length; i++) page[at++] = call[i];
        page[at++] = 0xC3;
        while (at < 4096) page[at++] = 0xCC;
    }

    public static void PublishReferenceTsc(Partition* partition)
    {
        ReferenceTscMsr register = new(partition->ReferenceTscMsr);
        if (register.Enable && GuestPages<TBackend>.TryGetPointer(partition, register.Gpfn << 12, true, out byte* page))
            partition->Time.Publish((ReferenceTscPage*)page, ref partition->TscSequence);
    }

    /// <summary>Finds a virtual processor's SynIC pages anew.</summary>
    public static void ResolveSynic(VirtualProcessor* vp)
    {
        SimpMsr messages = vp->Synic.MessagePageRegister;
        SiefpMsr events = vp->Synic.EventPageRegister;
        byte* page = null;
        vp->Synic.SetMessagePage(messages.Enable && GuestPages<TBackend>.TryGetPointer(vp->Partition, messages.BaseSimpGpfn << 12, true, out page) ? page : null);
        vp->Synic.SetEventPage(events.Enable && GuestPages<TBackend>.TryGetPointer(vp->Partition, events.BaseSiefpGpfn << 12, true, out page) ? page : null);
    }

    /// <summary>After a change of the partition's map.</summary>
    public static void Resolve(Partition* partition)
    {
        for (uint i = 0; i < Partition.MaximumVps; i++)
        {
            VirtualProcessor* vp = partition->GetVp(i);
            if (vp != null)
                ResolveSynic(vp);
        }
    }
}
