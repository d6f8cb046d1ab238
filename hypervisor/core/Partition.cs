// A partition: an address space, an account of memory, privileges and virtual processors. One page, taken from its parent's account.
using System.Runtime.InteropServices;
using Lamina.Abi;
using Lamina.Hypervisor.Hypercalls;
using Lamina.Hypervisor.Memory;
using Lamina.Hypervisor.Synic;

namespace Lamina.Hypervisor.Core;

/// <summary>Where a partition is in its life. TLFS, "Partition States".</summary>
public enum PartitionState : byte
{
    None,
    /// <summary>Created; accepts deposits and properties.</summary>
    Created,
    /// <summary>Initialized: memory can be mapped, virtual processors run.</summary>
    Active,
    /// <summary>Finalized: virtual processors and mappings are gone; memory can be withdrawn.</summary>
    Finalized,
}

[StructLayout(LayoutKind.Sequential)]
public unsafe struct Partition
{
    public const int MaximumVps = 64;
    public const ulong RootId = 1;

    public ulong Id;
    public PartitionState State;
    public bool IsRoot;
    public PartitionPrivileges Privileges;

    /// <summary>Physical address of this structure's page.</summary>
    public ulong SelfPhysical;

    /// <summary>Pages deposited and not in use.</summary>
    public PagePool<PhysicalMap> Account;

    /// <summary>Physical address of the second-stage root table.</summary>
    public ulong SecondStageRoot;

    /// <summary>Counts changes of present second-stage entries; a virtual processor whose copy differs flushes before it enters.</summary>
    public uint SecondStageGeneration;

    // Partition-wide synthetic MSRs
    public ulong GuestOsId;
    public ulong HypercallMsr;
    public ulong ReferenceTscMsr;
    public ulong TscInvariantControl;
    public OverlayPage HypercallOverlay;
    public OverlayPage TscOverlay;
    /// <summary>Several processors, and one of them wrote its TSC: no one page fits all.</summary>
    public bool TscDisagrees;
    public fixed ulong CrashParameters[5];

    // Time: reference time 0 is the partition's creation.
    /// <summary>Guest TSC = host TSC + offset (same for all of its virtual processors unless the guest writes its TSC).</summary>
    public ulong TscOffset;
    /// <summary>Guest TSC to reference time and back.</summary>
    public ReferenceTime Time;
    /// <summary>Host TSC at which its time was frozen; 0: it goes on.</summary>
    public ulong FrozenSince;
    /// <summary>Sequence number last published in the reference TSC page; never read back from the guest.</summary>
    public uint TscSequence;

    /// <summary>Two pages of port bits: set = intercept installed. 0 when none is.</summary>
    public fixed ulong PortIntercepts[2];

    /// <summary>Bit per exception vector with an installed intercept.</summary>
    public uint ExceptionIntercepts;
    /// <summary>Accesses to MSRs that the core does not have go to the parent instead of raising #GP.</summary>
    public bool MsrInterceptInstalled;

    public const int MaximumCpuidIntercepts = 8;
    /// <summary>Leaves of CPUID that the parent answers.</summary>
    public fixed uint CpuidIntercepts[MaximumCpuidIntercepts];
    public int CpuidInterceptCount;

    /// <summary>Guards the pages that all of its processors share with the core, and its time.</summary>
    public SpinLock Lock;

    public uint VpCount;
    /// <summary>VirtualProcessor* by VP index.</summary>
    public fixed ulong Vps[MaximumVps];

    /// <summary>Ports and connections; pages come from the account as they are created.</summary>
    public PortTable<PhysicalMap> Ports;

    /// <summary>Who created it; 0 for the root. Only a partition itself and its creator may name it in a hypercall.</summary>
    public ulong ParentId;

    /// <summary>Pages that were given to the account and not withdrawn, whether in use or free.</summary>
    public ulong DepositedPages;

    /// <summary>Shares of its virtual processors, as <see cref="SchedulerEntity"/> has them.</summary>
    public uint CpuWeight, CpuCap, CpuReserve;

    public readonly bool InterceptsCpuid(uint leaf)
    {
        for (int i = 0; i < CpuidInterceptCount; i++)
            if (CpuidIntercepts[i] == leaf) return true;
        return false;
    }

    public VirtualProcessor* GetVp(uint index) => index < MaximumVps ? (VirtualProcessor*)Vps[index] : null;
}
