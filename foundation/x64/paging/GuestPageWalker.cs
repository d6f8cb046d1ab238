// Translates a guest's virtual addresses through its own page tables, in every paging mode.
// SDM 3A, "Paging"; APM 2, "Page Translation and Protection".
namespace Lamina.X64.Paging;

/// <summary>
/// Walks the guest's tables as its processor would, without setting accessed and dirty flags. Each entry is read once,
/// checked, and only then used. Protection keys and shadow stacks are not modelled. PAE's four top entries are read
/// from memory, as SVM does; VMX loads them with CR3.
/// </summary>
public struct GuestPageWalker<TMemory>
    where TMemory : struct, IGuestTableMemory
{
    public const uint ErrorPresent = 1 << 0;
    public const uint ErrorWrite = 1 << 1;
    public const uint ErrorUser = 1 << 2;
    public const uint ErrorReserved = 1 << 3;
    public const uint ErrorFetch = 1 << 4;

    private TMemory memory;
    private GuestPagingState state;

    public GuestPageWalker(TMemory memory, GuestPagingState state)
    {
        this.memory = memory;
        this.state = state;
    }

    /// <summary>Translates one linear address for one kind of access.</summary>
    public GuestWalkResult Translate(ulong address, GuestAccess access)
    {
        GuestWalkResult result = new() { Writable = true, User = true, Executable = true };
        GuestPagingMode mode = state.Mode;
        if (mode <= GuestPagingMode.Pae)
        {
            address &= 0xFFFF_FFFF; // without long mode linear addresses have 32 bits
        }
        switch (mode)
        {
            case GuestPagingMode.None:
                result.GuestPhysical = address;
                result.PageBytes = PageGeometry.PageBytes;
                return result;
            case GuestPagingMode.Bits32:
                Walk32(ref result, address, access);
                break;
            case GuestPagingMode.Pae:
                WalkPae(ref result, address, access);
                break;
            default:
                int levels = mode == GuestPagingMode.FiveLevel ? 5 : 4;
                int unused = 64 - PageGeometry.ShiftOf(levels + 1);
                if ((ulong)((long)(address << unused) >> unused) != address)
                {
                    result.Status = GuestWalkStatus.NotCanonical;
                    return result;
                }
                WalkLevels(ref result, state.Cr3 & AddressMask, levels, address, access);
                break;
        }
        return result;
    }

    private readonly ulong AddressMask => ((1UL << state.PhysicalAddressBits) - 1) & ~(PageGeometry.PageBytes - 1);

    private readonly ulong ReservedBits => LongModeEntry.AddressMask & ~AddressMask;

    private void WalkPae(ref GuestWalkResult result, ulong address, GuestAccess access)
    {
        const ulong DirectoryPointersMask = 0xFFFF_FFE0;
        const ulong PointerReserved = 0xFFF0_0000_0000_01E6; // bits 63:52, 8:5, 2:1
        ulong slot = (state.Cr3 & DirectoryPointersMask) + 8 * (address >> 30);
        if (!TryReadEntry(ref result, slot, out ulong entry))
        {
            return;
        }
        if ((entry & LongModeEntry.P) == 0)
        {
            Fault(ref result, access, 0);
            return;
        }
        if ((entry & (PointerReserved | ReservedBits)) != 0)
        {
            Fault(ref result, access, ErrorPresent | ErrorReserved);
            return;
        }
        WalkLevels(ref result, entry & AddressMask, 2, address, access);
    }

    /// <summary>Tables of 512 eight-byte entries from a level down to the page.</summary>
    private void WalkLevels(ref GuestWalkResult result, ulong table, int level, ulong address, GuestAccess access)
    {
        for (; ; level--)
        {
            if (!TryReadEntry(ref result, table + 8 * (ulong)PageGeometry.IndexOf(address, level), out ulong entry))
            {
                return;
            }
            if ((entry & LongModeEntry.P) == 0)
            {
                Fault(ref result, access, 0);
                return;
            }
            bool leaf = level == 1 || (level <= 3 && (entry & LongModeEntry.PS) != 0);
            if ((entry & ReservedIn(level, leaf)) != 0)
            {
                Fault(ref result, access, ErrorPresent | ErrorReserved);
                return;
            }
            result.Writable &= (entry & LongModeEntry.RW) != 0;
            result.User &= (entry & LongModeEntry.US) != 0;
            result.Executable &= (entry & LongModeEntry.NX) == 0;
            if (leaf)
            {
                ulong offsetMask = PageGeometry.BytesOf(level) - 1;
                Finish(ref result, (entry & AddressMask & ~offsetMask) | (address & offsetMask), offsetMask + 1, access);
                return;
            }
            table = entry & AddressMask;
        }
    }

    /// <summary>Bits that a present entry must not have.</summary>
    private readonly ulong ReservedIn(int level, bool leaf)
    {
        ulong reserved = ReservedBits;
        reserved |= state.NoExecute ? 0 : LongModeEntry.NX;
        if (state.Mode == GuestPagingMode.Pae)
        {
            reserved |= 0x7FF0_0000_0000_0000; // ignored in long mode
        }
        if (leaf && level > 1)
        {
            reserved |= (PageGeometry.BytesOf(level) - 1) & ~0x1FFFUL; // below the page's address, above PAT
        }
        if (level > 3 || (level == 3 && !state.HasGigabytePages))
        {
            reserved |= LongModeEntry.PS;
        }
        return reserved;
    }

    /// <summary>Tables of 1024 four-byte entries, with 4 MiB pages when CR4.PSE is set.</summary>
    private void Walk32(ref GuestWalkResult result, ulong address, GuestAccess access)
    {
        const uint LargeReserved = 1 << 21;
        ulong directory = state.Cr3 & 0xFFFF_F000;
        if (!TryTake32(ref result, directory + 4 * (address >> 22), access, out uint entry))
        {
            return;
        }
        if (state.LargePages32 && (entry & (uint)LongModeEntry.PS) != 0)
        {
            // PSE-36: bits 20:13 are the page's address bits 39:32, as far as the processor has them.
            ulong high = (ulong)((entry >> 13) & 0xFF) << 32;
            ulong outside = high & ~((1UL << state.PhysicalAddressBits) - 1);
            if ((entry & LargeReserved) != 0 || outside != 0)
            {
                Fault(ref result, access, ErrorPresent | ErrorReserved);
                return;
            }
            Finish(ref result, high | (entry & 0xFFC0_0000) | (address & 0x3F_FFFF), 1UL << 22, access);
            return;
        }
        ulong slot = (entry & 0xFFFF_F000) + 4 * ((address >> 12) & 0x3FF);
        if (TryTake32(ref result, slot, access, out entry))
        {
            Finish(ref result, (entry & 0xFFFF_F000) | (address & 0xFFF), PageGeometry.PageBytes, access);
        }
    }

    /// <summary>Reads a four-byte entry and takes its permissions into account; false when the walk ends here.</summary>
    private bool TryTake32(ref GuestWalkResult result, ulong slot, GuestAccess access, out uint entry)
    {
        if (!memory.TryRead32(slot, out entry))
        {
            result.Status = GuestWalkStatus.TableUnreadable;
            result.GuestPhysical = slot;
            return false;
        }
        if ((entry & (uint)LongModeEntry.P) == 0)
        {
            Fault(ref result, access, 0);
            return false;
        }
        result.Writable &= (entry & (uint)LongModeEntry.RW) != 0;
        result.User &= (entry & (uint)LongModeEntry.US) != 0;
        return true;
    }

    private bool TryReadEntry(ref GuestWalkResult result, ulong slot, out ulong entry)
    {
        if (memory.TryRead64(slot, out entry))
        {
            return true;
        }
        result.Status = GuestWalkStatus.TableUnreadable;
        result.GuestPhysical = slot;
        return false;
    }

    /// <summary>The page is found: whether this access may have it. SDM 3A, "Determination of Access Rights".</summary>
    private readonly void Finish(ref GuestWalkResult result, ulong physical, ulong pageBytes, GuestAccess access)
    {
        if (!IsAllowed(ref result, access))
        {
            Fault(ref result, access, ErrorPresent);
            return;
        }
        result.GuestPhysical = physical;
        result.PageBytes = pageBytes;
    }

    private readonly bool IsAllowed(ref GuestWalkResult result, GuestAccess access)
    {
        if (access.User)
        {
            return result.User && (!access.Write || result.Writable) && (!access.Execute || result.Executable);
        }
        if (access.Execute)
        {
            return result.Executable && !(state.Smep && result.User);
        }
        bool smapForbids = state.Smap && result.User && (access.Implicit || !state.AlignmentCheck);
        return !smapForbids && (!access.Write || result.Writable || !state.WriteProtect);
    }

    private readonly void Fault(ref GuestWalkResult result, GuestAccess access, uint error)
    {
        bool fetchIsTold = state.NoExecute || state.Smep;
        result.Status = GuestWalkStatus.PageFault;
        result.ErrorCode = error
            | (access.Write ? ErrorWrite : 0)
            | (access.User ? ErrorUser : 0)
            | (access.Execute && fetchIsTold ? ErrorFetch : 0);
    }
}
