// Guest memory as the core reaches it: by guest-physical address, page by page, and only where the partition may.
using Lamina.Abi;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>What CPUID says about guests' page tables; asked once, since CPUID is slow.</summary>
internal static class GuestTableLimits
{
    private const uint AddressSizes = 0x80000008;

    private static byte addressBits;
    private static bool hasGigabytePages;

    /// <summary>Width of a guest-physical address.</summary>
    internal static byte AddressBits
    {
        get
        {
            if (addressBits == 0)
            {
                byte bits = (byte)Preflight.ReadLeaf(AddressSizes, 0);
                hasGigabytePages = Preflight.HasPages1G;
                addressBits = bits < 36 || bits > 52 ? (byte)36 : bits;
            }
            return addressBits;
        }
    }

    /// <summary>Valid after <see cref="AddressBits"/> has been asked.</summary>
    internal static bool HasGigabytePages => hasGigabytePages;
}

/// <summary>Reads of a guest's own page tables. One for both vendors, and with it the walk: how a page is found is handed in.</summary>
public readonly unsafe struct GuestTableReader : IGuestTableMemory
{
    private readonly Partition* partition;
    private readonly delegate*<Partition*, ulong, bool, out byte*, bool> getPointer;
    private readonly GuestWalkTrace* trace;

    /// <param name="getPointer"><see cref="GuestPages{TBackend}.TryGetPointer"/>.</param>
    /// <param name="trace">Records what was read, and where; null when nobody asks.</param>
    public GuestTableReader(Partition* partition, delegate*<Partition*, ulong, bool, out byte*, bool> getPointer, GuestWalkTrace* trace)
    {
        this.partition = partition;
        this.getPointer = getPointer;
        this.trace = trace;
    }

    public bool TryRead32(ulong guestPhysical, out uint value)
    {
        bool isRead = TryRead64(guestPhysical, out ulong both);
        value = (uint)(both >> (int)(guestPhysical & 4) * 8);
        return isRead;
    }

    /// <summary>The aligned eight bytes at an address.</summary>
    public bool TryRead64(ulong guestPhysical, out ulong value)
    {
        value = 0;
        if (!getPointer(partition, guestPhysical, false, out byte* page))
            return false;
        // SAFETY: guest memory, aligned and inside one page; read once.
        ulong* entry = (ulong*)(page + (guestPhysical & 0xFF8));
        value = System.Threading.Volatile.Read(ref *entry);
        if (trace != null && trace->Count < GuestWalkTrace.MaximumLevels)
        {
            trace->Pointers[trace->Count] = (ulong)entry;
            trace->Values[trace->Count] = value;
            trace->Slots[trace->Count++] = guestPhysical;
        }
        return true;
    }
}

public static unsafe class GuestPages<TBackend> where TBackend : struct, IBackend
{
    private const ulong PageBytes = 4096, PageMask = PageBytes - 1;
    private const ulong RflagsAc = 1 << 18;

    /// <summary>
    /// Pointer to the page that holds a guest-physical address. False: nothing is mapped there, the partition may not
    /// access it so, or it is no RAM that partitions own.
    /// </summary>
    public static bool TryGetPointer(Partition* partition, ulong gpa, bool forWrite, out byte* page)
    {
        page = null;
        gpa &= ~PageMask;
        if (!TBackend.TryTranslateGpa(partition, gpa, out ulong physical, out PagePermissions permissions))
            return false;
        if (!permissions.Read || forWrite && !permissions.Write)
            return false;
        // A child's map holds nothing but RAM: HvCallMapGpaPages saw to it. The root's map holds devices, too.
        if (partition->IsRoot && !IsOwnableRam(physical, PageBytes))
            return false;
        page = PhysicalMap.ToPointer(physical);
        return true;
    }

    /// <summary>Whether a physical range is RAM that a partition may own: none of the core's.</summary>
    public static bool IsOwnableRam(ulong physical, ulong length) =>
        physical != 0 && PhysicalMemoryRanges.Contains(physical, length) && !CoreMemory.Overlaps(physical, length);

    /// <summary>Copies out of a partition's memory, across pages. False: a part of it cannot be read; the destination is undefined then.</summary>
    public static bool TryCopyIn(Partition* partition, ulong gpa, void* destination, ulong length)
    {
        byte* to = (byte*)destination;
        while (length != 0)
        {
            if (!TryGetPointer(partition, gpa, false, out byte* page))
                return false;
            ulong part = System.Math.Min(length, PageBytes - (gpa & PageMask));
            // SAFETY: inside one page of the guest's RAM; whoever called checks the copy, not the original.
            GuestBytes.Copy(to, page + (gpa & PageMask), part);
            to += part;
            gpa += part;
            length -= part;
        }
        return true;
    }

    /// <summary>Copies into a partition's memory, across pages. False: a part of it cannot be written; what lies before it was.</summary>
    public static bool TryCopyOut(Partition* partition, ulong gpa, void* source, ulong length)
    {
        byte* from = (byte*)source;
        while (length != 0)
        {
            if (!TryGetPointer(partition, gpa, true, out byte* page))
                return false;
            ulong part = System.Math.Min(length, PageBytes - (gpa & PageMask));
            GuestBytes.Copy(page + (gpa & PageMask), from, part);
            from += part;
            gpa += part;
            length -= part;
        }
        return true;
    }

    /// <summary>Translates an address that the virtual processor fetches an instruction from, at its present privilege.</summary>
    public static bool TryTranslateGva(VirtualProcessor* vp, ulong gva, GuestWalkTrace* trace, out ulong gpa)
    {
        GuestWalkResult result = Walk(vp, gva, new GuestAccess { Execute = true, User = TBackend.GetCpl(vp) == 3 }, trace);
        gpa = result.GuestPhysical;
        return result.Succeeded;
    }

    /// <summary>Walks the guest's tables for one access. <paramref name="trace"/>, where not null, gets the entries' places.</summary>
    public static GuestWalkResult Walk(VirtualProcessor* vp, ulong gva, GuestAccess access, GuestWalkTrace* trace)
    {
        GuestPagingState state = StateOf(vp);
        return new GuestPageWalker<GuestTableReader>(new GuestTableReader(vp->Partition, &TryGetPointer, trace), state).Translate(gva, access);
    }

    public static GuestPagingState StateOf(VirtualProcessor* vp) => new()
    {
        Cr0 = TBackend.GetCr0(vp),
        Cr3 = TBackend.GetCr3(vp),
        Cr4 = TBackend.GetCr4(vp),
        Efer = TBackend.GetEfer(vp),
        AlignmentCheck = (TBackend.GetRflags(vp) & RflagsAc) != 0,
        PhysicalAddressBits = GuestTableLimits.AddressBits,
        HasGigabytePages = GuestTableLimits.HasGigabytePages,
    };
}

/// <summary>Copies between the core and guest memory.</summary>
internal static unsafe class GuestBytes
{
    /// <summary>Eight bytes at a time where that fits, so that an aligned quantity is never torn.</summary>
    internal static void Copy(byte* to, byte* from, ulong length)
    {
        ulong words = ((ulong)to | (ulong)from) % 8 == 0 ? length / 8 : 0;
        for (ulong i = 0; i < words; i++) ((ulong*)to)[i] = ((ulong*)from)[i];
        for (ulong i = words * 8; i < length; i++) to[i] = from[i];
    }
}
