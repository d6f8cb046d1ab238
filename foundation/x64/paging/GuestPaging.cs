// The guest state that decides how its virtual addresses are translated, and what a translation gives.
namespace Lamina.X64.Paging;

public enum GuestPagingMode : byte
{
    /// <summary>CR0.PG clear: linear addresses are guest-physical.</summary>
    None,
    Bits32,
    Pae,
    FourLevel,
    FiveLevel,
}

/// <summary>The registers of a virtual processor that a walk depends on, copied at one moment.</summary>
public struct GuestPagingState
{
    private const ulong Cr0WP = 1UL << 16;
    private const ulong Cr0PG = 1UL << 31;
    private const ulong Cr4Pse = 1UL << 4;
    private const ulong Cr4Pae = 1UL << 5;
    private const ulong Cr4LA57 = 1UL << 12;
    private const ulong Cr4Smep = 1UL << 20;
    private const ulong Cr4Smap = 1UL << 21;
    private const ulong EferLma = 1UL << 10;
    private const ulong EferNxe = 1UL << 11;

    public ulong Cr0;
    public ulong Cr3;
    public ulong Cr4;
    public ulong Efer;

    /// <summary>RFLAGS.AC, which lifts SMAP for explicit supervisor accesses.</summary>
    public bool AlignmentCheck;

    /// <summary>Guest-physical address width (CPUID 80000008.EAX[7:0] of the guest): bits above are reserved. 32 to 52.</summary>
    public byte PhysicalAddressBits;

    /// <summary>CPUID 80000001.EDX[26] of the guest: else PS is reserved in page-directory-pointer entries.</summary>
    public bool HasGigabytePages;

    public readonly GuestPagingMode Mode
    {
        get
        {
            if ((Cr0 & Cr0PG) == 0)
            {
                return GuestPagingMode.None;
            }
            if ((Cr4 & Cr4Pae) == 0)
            {
                return GuestPagingMode.Bits32;
            }
            if ((Efer & EferLma) == 0)
            {
                return GuestPagingMode.Pae;
            }
            return (Cr4 & Cr4LA57) != 0 ? GuestPagingMode.FiveLevel : GuestPagingMode.FourLevel;
        }
    }

    public readonly bool WriteProtect => (Cr0 & Cr0WP) != 0;
    public readonly bool LargePages32 => (Cr4 & Cr4Pse) != 0;
    public readonly bool NoExecute => (Efer & EferNxe) != 0 && Mode >= GuestPagingMode.Pae;
    public readonly bool Smep => (Cr4 & Cr4Smep) != 0;
    public readonly bool Smap => (Cr4 & Cr4Smap) != 0;
}

/// <summary>What the guest wanted to do.</summary>
public struct GuestAccess
{
    public bool Write;

    /// <summary>Instruction fetch.</summary>
    public bool Execute;

    /// <summary>At CPL 3, and not an implicit supervisor access (descriptor tables, TSS).</summary>
    public bool User;

    /// <summary>Made by the processor for itself (descriptor tables, TSS): AC does not lift SMAP.</summary>
    public bool Implicit;
}

public enum GuestWalkStatus : byte
{
    Success = 0,

    /// <summary>The guest would get #PF with <see cref="GuestWalkResult.ErrorCode"/>.</summary>
    PageFault,

    /// <summary>The address is not canonical: #GP (#SS for the stack), not a page fault.</summary>
    NotCanonical,

    /// <summary>A table lies where the guest has no memory, at <see cref="GuestWalkResult.GuestPhysical"/>.</summary>
    TableUnreadable,
}

public struct GuestWalkResult
{
    public GuestWalkStatus Status;

    /// <summary>On success the translation with the offset in the page.</summary>
    public ulong GuestPhysical;

    /// <summary>On success the bytes that the guest's page covers: 4 KiB, 2 or 4 MiB, 1 GiB.</summary>
    public ulong PageBytes;

    /// <summary>On success whether all levels allow it: writing, user access, execution.</summary>
    public bool Writable;
    public bool User;
    public bool Executable;

    /// <summary>Page-fault error code. SDM 3A, "Page-Fault Exceptions".</summary>
    public uint ErrorCode;

    public readonly bool Succeeded => Status == GuestWalkStatus.Success;
}

/// <summary>Reads of guest-physical memory; false where the guest has none. Addresses are aligned to the size.</summary>
public interface IGuestTableMemory
{
    bool TryRead32(ulong guestPhysical, out uint value);
    bool TryRead64(ulong guestPhysical, out ulong value);
}
