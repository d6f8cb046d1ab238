// The pages that a partition and the core share: hypercall page, reference TSC, SynIC pages.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Synic;

namespace Lamina.Hypervisor.Core;

/// <summary>One of these pages: where the guest sees it, and what lay there before.</summary>
public struct OverlayPage
{
    /// <summary>Page that keeps the guest's own content meanwhile; 0 keeps nothing.</summary>
    public ulong Saved;
    /// <summary>Guest page number + 1 while shown; 0 while hidden.</summary>
    public ulong Shown;
}

/// <summary>
/// They lie in the guest's own memory at the address that it names; what was there is kept and comes back when the page is moved or
/// disabled, as if it had lain below (docs/decisions/0003). The core writes into them, and reads nothing back but whether a message
/// slot is free. Their addresses are looked up again whenever the partition's map changes.
/// </summary>
public static unsafe class Overlays<TBackend> where TBackend : struct, IBackend
{
    /// <summary>Shows a page of zeros at a guest page; null when there is no writable RAM.</summary>
    private static byte* Show(Partition* partition, OverlayPage* overlay, ulong pageNumber)
    {
        if (!GuestPages<TBackend>.TryGetPointer(partition, pageNumber << 12, true, out byte* page))
            return null;
        ulong* words = (ulong*)page;
        ulong* saved = overlay->Saved == 0 ? null : (ulong*)PhysicalMap.ToPointer(overlay->Saved);
        for (int i = 0; i < 512; i++)
        {
            if (saved != null)
                saved[i] = words[i];
            words[i] = 0;
        }
        overlay->Shown = pageNumber + 1;
        return page;
    }

    /// <summary>Gives the guest its own content back.</summary>
    private static void Hide(Partition* partition, OverlayPage* overlay)
    {
        ulong shown = overlay->Shown;
        overlay->Shown = 0;
        if (shown == 0 || overlay->Saved == 0 || !GuestPages<TBackend>.TryGetPointer(partition, (shown - 1) << 12, true, out byte* page))
            return;
        ulong* words = (ulong*)page;
        ulong* saved = (ulong*)PhysicalMap.ToPointer(overlay->Saved);
        for (int i = 0; i < 512; i++) words[i] = saved[i];
    }

    public static bool TryWriteHypercallMsr(Partition* partition, HypercallMsr value)
    {
        partition->Lock.Acquire(LockRank.Partition);
        bool isWritten = TryWriteHypercall(partition, value);
        partition->Lock.Release(LockRank.Partition);
        return isWritten;
    }

    private static bool TryWriteHypercall(Partition* partition, HypercallMsr value)
    {
        HypercallMsr current = new(partition->HypercallMsr);
        // Locked, or no guest identity yet: the write has no effect. TLFS, "Establishing the Hypercall Interface".
        if (current.Locked || partition->GuestOsId == 0)
            return true;
        if (value.Enable && !GuestPages<TBackend>.TryGetPointer(partition, value.HypercallGpfn << 12, true, out _))
            return false;
        Hide(partition, &partition->HypercallOverlay);
        byte* shown = value.Enable ? Show(partition, &partition->HypercallOverlay, value.HypercallGpfn) : null;
        // The page may have left the partition's map since.
        if (value.Enable && shown == null)
            return false;
        if (shown != null)
            WriteHypercallPage(shown);
        partition->HypercallMsr = value.Value;
        return true;
    }

    /// <summary>The guest took its identity back: the page goes away.</summary>
    public static void DisableHypercalls(Partition* partition)
    {
        partition->Lock.Acquire(LockRank.Partition);
        Hide(partition, &partition->HypercallOverlay);
        partition->HypercallMsr = new HypercallMsr(partition->HypercallMsr).WithEnable(false).Value;
        partition->Lock.Release(LockRank.Partition);
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

    public static void WriteReferenceTscMsr(Partition* partition, ReferenceTscMsr value)
    {
        partition->Lock.Acquire(LockRank.Partition);
        Hide(partition, &partition->TscOverlay);
        partition->ReferenceTscMsr = value.Value;
        if (value.Enable && Show(partition, &partition->TscOverlay, value.Gpfn) != null)
            Publish(partition);
        partition->Lock.Release(LockRank.Partition);
    }

    /// <summary>Writes scale and offset anew; a partition whose processors' counters disagree is sent to the counter MSR.</summary>
    public static void PublishReferenceTsc(Partition* partition)
    {
        partition->Lock.Acquire(LockRank.Partition);
        Publish(partition);
        partition->Lock.Release(LockRank.Partition);
    }

    private static void Publish(Partition* partition)
    {
        ulong shown = partition->TscOverlay.Shown;
        if (shown == 0 || !GuestPages<TBackend>.TryGetPointer(partition, (shown - 1) << 12, true, out byte* page))
            return;
        if (partition->TscDisagrees)
            ReferenceTime.Withdraw((ReferenceTscPage*)page);
        else
            partition->Time.Publish((ReferenceTscPage*)page, ref partition->TscSequence);
    }

    /// <summary>SIMP was written: the page moves, and starts as zeros. TLFS, "SIMP Register".</summary>
    public static void MoveMessagePage(VirtualProcessor* vp)
    {
        SimpMsr register = vp->Synic.MessagePageRegister;
        vp->SynicLock.Acquire(LockRank.Synic);
        vp->Synic.SetMessagePage(null);
        vp->SynicLock.Release(LockRank.Synic);
        Hide(vp->Partition, &vp->MessageOverlay);
        if (register.Enable)
            Show(vp->Partition, &vp->MessageOverlay, register.BaseSimpGpfn);
        ResolveSynic(vp);
    }

    /// <summary>SIEFP was written.</summary>
    public static void MoveEventPage(VirtualProcessor* vp)
    {
        SiefpMsr register = vp->Synic.EventPageRegister;
        vp->SynicLock.Acquire(LockRank.Synic);
        vp->Synic.SetEventPage(null);
        vp->SynicLock.Release(LockRank.Synic);
        Hide(vp->Partition, &vp->EventOverlay);
        if (register.Enable)
            Show(vp->Partition, &vp->EventOverlay, register.BaseSiefpGpfn);
        ResolveSynic(vp);
    }

    /// <summary>Finds a virtual processor's SynIC pages anew.</summary>
    public static void ResolveSynic(VirtualProcessor* vp)
    {
        // Looked up under the lock: of two who do, the later has the later answer.
        vp->SynicLock.Acquire(LockRank.Synic);
        SimpMsr messages = vp->Synic.MessagePageRegister;
        SiefpMsr events = vp->Synic.EventPageRegister;
        vp->Synic.SetMessagePage(messages.Enable && GuestPages<TBackend>.TryGetPointer(vp->Partition, messages.BaseSimpGpfn << 12, true, out byte* page) ? page : null);
        vp->Synic.SetEventPage(events.Enable && GuestPages<TBackend>.TryGetPointer(vp->Partition, events.BaseSiefpGpfn << 12, true, out page) ? page : null);
        vp->SynicLock.Release(LockRank.Synic);
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
