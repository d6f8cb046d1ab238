// The root partition: all memory but the core's own, 1:1; all devices; one virtual processor, entered at its image's entry point.
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

public static unsafe class RootPartition<TBackend> where TBackend : struct, IBackend
{
    private const ulong Page2M = 1 << 21, Page1G = 1 << 30, MaximumPhysical = 1UL << 48;
    private const ulong FourGiB = 1UL << 32;
    private const ulong AccountPages = 1024;

    /// <summary>Creates partition 1 and its virtual processor, ready to be entered.</summary>
    public static VirtualProcessor* Create(BootHandover* handover)
    {
        ulong page = RequirePage();
        Partition* root = Partitions.Install(page, Partition.RootId);
        root->IsRoot = true;
        root->CpuReserve = SchedulerEntity.Precedence;
        root->State = PartitionState.Active;
        root->Time.TryInitialize(Clock.TscHz, Clock.Now);
        for (ulong i = 0; i < AccountPages; i++)
            root->Account.AddZeroed(RequirePage());
        root->DepositedPages = AccountPages;
        Require(TBackend.InitializeSecondStage(root), "root: no page for its second-stage tables"u8);
        MapMemory(root);

        Require(VirtualProcessors<TBackend>.Create(root, 0, out VirtualProcessor* vp), "root: no memory for its virtual processor"u8);
        // As most guests have it: then a switch between the two leaves XCR0 alone.
        vp->Xcr0 = CpuidPolicy.ExtendedComponents;
        ReadMtrrs(vp);
        RootEntryState.Build(handover, out ulong cr3, out ulong entry, out ulong stack);
        SetRegisters(vp, handover, cr3, entry, stack);
        return vp;
    }

    private static ulong RequirePage()
    {
        if (!CoreMemory.TryTakePage(out ulong page))
            Panic.Stop("core: out of pages while the root partition is built"u8);
        return page;
    }

    private static void Require(HvStatus status, System.ReadOnlySpan<byte> text)
    {
        if (!status.IsSuccess)
            Panic.Stop(text);
    }

    private static PageSize Largest => Preflight.HasPages1G ? PageSize.Page1G : PageSize.Page2M;

    /// <summary>All RAM and everything below 4 GiB, less what is the core's; device windows above come on first touch.</summary>
    private static void MapMemory(Partition* root)
    {
        ulong end = System.Math.Max(FourGiB, (PhysicalMemoryRanges.HighestAddress + Page1G - 1) & ~(Page1G - 1));
        Map(root, 0, end);
        Unmap(root, CoreMemory.Start, CoreMemory.End - CoreMemory.Start);
        Unmap(root, PhysicalApic.BaseAddress, 0x1000);
        for (int i = 0; DeviceInterrupts.TryGetIoApicPage(i, out ulong ioApic); i++)
            Unmap(root, ioApic, 0x1000);
    }

    private static void Map(Partition* root, ulong start, ulong end)
    {
        if (!TBackend.MapGpa(root, start, start, (end - start) >> 12, PagePermissions.ReadWriteExecute, Largest).Succeeded)
            Panic.Stop("root: mapping its memory failed (out of table pages)"u8);
    }

    private static void Unmap(Partition* root, ulong start, ulong length)
    {
        if (!TBackend.UnmapGpa(root, start, length >> 12).Succeeded)
            Panic.Stop("root: hiding the core's memory failed (out of table pages)"u8);
    }

    /// <summary>
    /// Maps a device window above all RAM when the root first touches it. Below, everything was mapped at the start; what is
    /// missing there is hidden or deposited, and stays so.
    /// </summary>
    public static bool TryMapOnTouch(ulong gpa)
    {
        Partition* root = Partitions.Root;
        ulong size = Preflight.HasPages1G ? Page1G : Page2M;
        ulong start = gpa & ~(size - 1);
        ulong lowest = System.Math.Max(FourGiB, (PhysicalMemoryRanges.HighestAddress + Page1G - 1) & ~(Page1G - 1));
        if (start < lowest || gpa >= MaximumPhysical)
            return false;
        return TBackend.MapGpa(root, start, start, size >> 12, PagePermissions.ReadWriteExecute, Largest).Succeeded;
    }

    /// <summary>The root sees the machine's own memory types; its writes to them have no effect.</summary>
    private static void ReadMtrrs(VirtualProcessor* vp)
    {
        ulong capabilities = Instructions.RdMsr(Msr.IA32_MTRRCAP);
        vp->MtrrDefType = Instructions.RdMsr(Msr.IA32_MTRR_DEF_TYPE);
        for (uint i = 0; i < 2 * (capabilities & 0xFF) && i < 16; i++)
            vp->MtrrVariable[i] = Instructions.RdMsr(Msr.IA32_MTRR_PHYSBASE0 + i);
    }

    private static void SetRegisters(VirtualProcessor* vp, BootHandover* handover, ulong cr3, ulong entry, ulong stack)
    {
        Set(vp, HvRegisterName.HvX64RegisterEfer, 1 << 8 | 1 << 10 | 1 << 11); // LME LMA NXE
        Set(vp, HvRegisterName.HvX64RegisterCr4, 1 << 5 | 1 << 9 | 1 << 10); // PAE OSFXSR OSXMMEXCPT
        Set(vp, HvRegisterName.HvX64RegisterCr3, cr3);
        Set(vp, HvRegisterName.HvX64RegisterCr0, 1UL << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1); // PG WP NE ET MP PE
        Set(vp, HvRegisterName.HvX64RegisterRip, entry);
        Set(vp, HvRegisterName.HvX64RegisterRsp, stack);
        Set(vp, HvRegisterName.HvX64RegisterRflags, 2);
        SetSegment(vp, HvRegisterName.HvX64RegisterCs, 0x08, 0xA09B);
        SetSegment(vp, HvRegisterName.HvX64RegisterSs, 0x10, 0xC093);
        SetSegment(vp, HvRegisterName.HvX64RegisterDs, 0x10, 0xC093);
        SetSegment(vp, HvRegisterName.HvX64RegisterEs, 0x10, 0xC093);
        SetSegment(vp, HvRegisterName.HvX64RegisterFs, 0x10, 0xC093);
        SetSegment(vp, HvRegisterName.HvX64RegisterGs, 0x10, 0xC093);
        SetSegment(vp, HvRegisterName.HvX64RegisterTr, 0x18, 0x008B);
        vp->Gpr[Gpr.Rcx] = PhysicalMap.ToPhysical(handover);
    }

    private static void Set(VirtualProcessor* vp, uint name, ulong number)
    {
        HvRegisterValue value;
        value.High64 = 0;
        value.Reg64 = number;
        Require(TBackend.SetRegister(vp, name, &value), "root: a register of its entry state was refused"u8);
    }

    private static void SetSegment(VirtualProcessor* vp, uint name, ushort selector, ushort attributes)
    {
        HvRegisterValue value;
        value.High64 = 0;
        value.Reg64 = 0;
        value.Segment.Limit = name == HvRegisterName.HvX64RegisterTr ? 0xFFFFu : 0xFFFFFFFF;
        value.Segment.Selector = selector;
        value.Segment.Attributes = new HvX64SegmentAttributes(attributes);
        Require(TBackend.SetRegister(vp, name, &value), "root: a segment of its entry state was refused"u8);
    }
}
