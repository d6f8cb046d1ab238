// The SVM backend: preflight, the processor's part, a virtual processor's control block. APM 2, "Secure Virtual Machine".
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend : IBackend
{
    private const uint MSR_VM_CR = 0xC0010114, MSR_VM_HSAVE_PA = 0xC0010117, MSR_EFER = 0xC0000080;
    private const ulong VM_CR_SVMDIS = 1 << 4, EferSvme = 1 << 12;
    private const uint ExtendedFeatures = 0x80000001, SvmBit = 1 << 2;

    /// <summary>What all virtual processors of this backend share; zero until <see cref="InitializeMachine"/>.</summary>
    private static class Shared
    {
        internal static ulong MsrPermissions, IoPermissions;
        internal static uint Features, AsidCount;
        /// <summary>Under QEMU's TCG, what docs/decisions/0005 lists.</summary>
        internal static bool IsTcg;
        /// <summary>
        /// Bochs never takes a virtual interrupt that is pending at an entry with IF set, so what the guest can take at once is injected; and its entry
        /// does not load CR2.
        /// </summary>
        internal static bool IsBochs;
    }

    private static SvmFeatures Features => new(Shared.Features);

    [RuntimeImport("*", "svm_run"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void EnterLoop(VirtualProcessor* first);
    [RuntimeImport("*", "svm_interrupt_window"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void InterruptWindow();
    [RuntimeImport("*", "svm_idle"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void IdleProcessor();
    [RuntimeImport("*", "svm_vmload"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void VmLoad(ulong physical);
    [RuntimeImport("*", "svm_vmsave"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void VmSave(ulong physical);

    [RuntimeImport("*", "svm_set_extended_components"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void SetExtendedComponents(ulong components);

    public static ReadOnlySpan<byte> HypercallInstruction => [0x0F, 0x01, 0xD9]; // VMMCALL

    public static bool Preflight()
    {
        bool complete = true;
        complete &= Core.Preflight.Require("AMD SVM (CPUID 80000001 ECX[2])"u8, Core.Preflight.HasLeafBit(ExtendedFeatures, 2, SvmBit));
        if (!complete)
            return false;
        Shared.Features = Core.Preflight.ReadLeaf(SvmFeatures.Leaf, 3);
        Shared.AsidCount = Core.Preflight.ReadLeaf(SvmFeatures.Leaf, 1);
        complete &= Core.Preflight.Require("SVM not disabled by firmware (VM_CR.SVMDIS = 0)"u8, (Instructions.RdMsr(MSR_VM_CR) & VM_CR_SVMDIS) == 0);
        complete &= Core.Preflight.Require("nested paging (CPUID 8000000A EDX[0])"u8, Features.NP);
        complete &= Core.Preflight.Require("at least 2 address space identifiers (CPUID 8000000A EBX)"u8, Shared.AsidCount >= 2);
        return complete;
    }

    public static void InitializeMachine()
    {
        Shared.MsrPermissions = CoreMemory.RequireContiguous(MsrPermissionMap.Size >> 12);
        Shared.IoPermissions = CoreMemory.RequireContiguous(IoPermissionMap.Size >> 12);
        SetExtendedComponents(CpuidPolicy.ExtendedComponents);
        Shared.IsTcg = Core.Preflight.IsEmulatedByTcg;
        Shared.IsBochs = AcpiTables.IsMachineBochs;

        // Every MSR is intercepted but those that VMLOAD and VMSAVE exchange: they are the guest's own all the time.
        byte* msrs = PhysicalMap.ToPointer(Shared.MsrPermissions);
        for (int i = 0; i < MsrPermissionMap.Size; i++) msrs[i] = 0xFF;
        foreach (uint msr in ExchangedMsrs)
            MsrPermissionMap.TrySet(msrs, msr, false, false);
        byte* ports = PhysicalMap.ToPointer(Shared.IoPermissions);
        for (int i = 0; i < IoPermissionMap.Size; i++) ports[i] = 0xFF;
    }

    public static void InitializeProcessor(LogicalProcessor* processor)
    {
        processor->Backend.NextTag = 1;
        processor->Backend.TagGeneration = 1;
        Instructions.WrMsr(MSR_EFER, Instructions.RdMsr(MSR_EFER) | EferSvme);
        Instructions.WrMsr(MSR_VM_HSAVE_PA, processor->Backend.Page);
    }

    /// <summary>Writes of DR0 to DR3.</summary>
    private const ushort DebugAddressWrites = 0xF;

    private static void UseDebugAddresses(VirtualProcessor* vp)
    {
        StateOf(vp)->Control.InterceptDrWrite = 0;
        DebugAddresses.BeginUse(vp);
    }

    private static ReadOnlySpan<uint> ExchangedMsrs => [
        0xC0000100 /* FS_BASE */, 0xC0000101 /* GS_BASE */, 0xC0000102 /* KernelGSBase */, 0xC0000081 /* STAR */, 0xC0000082 /* LSTAR */,
        0xC0000083 /* CSTAR */, 0xC0000084 /* SFMASK */, 0x174 /* SYSENTER_CS */, 0x175 /* SYSENTER_ESP */, 0x176 /* SYSENTER_EIP */];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vmcb* StateOf(VirtualProcessor* vp) => (Vmcb*)vp->BackendState;

    /// <summary>The VMCB.</summary>
    public static uint PagesPerVp => 1;

    public static HvStatus InitializeVp(VirtualProcessor* vp)
    {
        if (!vp->Partition->Account.TryTake(out ulong page))
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        vp->BackendStatePhysical = page;
        vp->BackendState = PhysicalMap.ToPointer(page);
        vp->Xcr0 = CpuidPolicy.ExtendedComponents & 1;
        // XRSTOR takes MXCSR from the area even when the rest is in its initial state. SDM 1, "XRSTOR".
        *(ushort*)vp->ExtendedState = 0x37F;
        *(uint*)(vp->ExtendedState + 24) = 0x1F80;

        VmcbControlArea* control = &StateOf(vp)->Control;
        control->Intercept1 = VmcbIntercept1.INTR | VmcbIntercept1.NMI | VmcbIntercept1.INIT | VmcbIntercept1.CPUID | VmcbIntercept1.HLT
            | VmcbIntercept1.INVD | VmcbIntercept1.RDPMC | VmcbIntercept1.INVLPGA | VmcbIntercept1.MSR_PROT | VmcbIntercept1.Shutdown
            | (vp->Partition->IsRoot ? 0 : VmcbIntercept1.IOIO_PROT);
        control->Intercept2 = VmcbIntercept2.VMRUN | VmcbIntercept2.VMMCALL | VmcbIntercept2.VMLOAD | VmcbIntercept2.VMSAVE | VmcbIntercept2.STGI
            | VmcbIntercept2.CLGI | VmcbIntercept2.SKINIT | VmcbIntercept2.MONITOR | VmcbIntercept2.MWAIT | VmcbIntercept2.XSETBV | VmcbIntercept2.RDPRU
            | (vp->Partition->IsRoot ? 0 : VmcbIntercept2.WBINVD);
        control->InterceptDrWrite = DebugAddressWrites;
        control->IOPM_BASE_PA = Shared.IoPermissions;
        control->MSRPM_BASE_PA = Shared.MsrPermissions;
        control->NP_ENABLE = NestedPagingControl.NP_ENABLE;
        control->N_CR3 = vp->Partition->SecondStageRoot;
        control->V_INTR = new VirtualInterruptControl(0).WithV_INTR_MASKING(true);
        control->TSC_OFFSET = vp->TscOffset;
        ResetVp(vp);
        UpdateExceptionIntercepts(vp);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    // The processor keeps nothing of a VMCB that it is not told to trust (clean bits are not used).
    public static void DestroyVp(VirtualProcessor* vp) => vp->Partition->Account.Add(vp->BackendStatePhysical);

    public static void Run(VirtualProcessor* first)
    {
        if (first != null)
        {
            Enter(first);
            PrepareAddressSpace(first);
        }
        EnterLoop(first);
    }

    public static void OpenInterruptWindow() => InterruptWindow();

    public static void Idle()
    {
        if (Shared.IsTcg)
            PhysicalApic.Reassess();
        IdleProcessor();
    }

    /// <summary>An address space identifier that no stale translation is tagged with: a new one after every change of the second stage.</summary>
    // A new identifier is as good as a flush and needs no support for flushing by identifier; when they run out, one flush covers all.
    private static void RenewAsid(VirtualProcessor* vp, LogicalProcessor* processor)
    {
        if (processor->Backend.NextTag >= Shared.AsidCount)
        {
            processor->Backend.NextTag = 1;
            processor->Backend.TagGeneration++;
            StateOf(vp)->Control.TLB_CONTROL = TlbControl.FlushEntireTlb;
        }
        vp->AddressSpaceTag = processor->Backend.NextTag++;
        vp->AddressSpaceGeneration = processor->Backend.TagGeneration;
        vp->SecondStageGeneration = vp->Partition->SecondStageGeneration;
        StateOf(vp)->Control.GuestAsid = vp->AddressSpaceTag;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrepareAddressSpace(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        StateOf(vp)->Control.TLB_CONTROL = TlbControl.DoNothing;
        if (vp->AddressSpaceGeneration != processor->Backend.TagGeneration || vp->SecondStageGeneration != vp->Partition->SecondStageGeneration)
            RenewAsid(vp, processor);
    }

    // The control block is memory, and the processor keeps nothing of it (clean bits are not used); identifiers are each processor's own.
    public static void Depart(VirtualProcessor* vp) => vp->AddressSpaceGeneration = 0;
    public static void Arrive(VirtualProcessor* vp) => vp->AddressSpaceGeneration = 0;

    public static void Leave(VirtualProcessor* vp) => DebugAddresses.Leave(vp);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Enter(VirtualProcessor* vp)
    {
        DebugAddresses.Enter(vp);
        if (CpuidPolicy.HasTscAux)
            LogicalProcessor.Current->LoadTscAux((uint)vp->TscAux);
        if (Shared.IsBochs)
            Instructions.WriteCr2(StateOf(vp)->Save.CR2);
    }
}
