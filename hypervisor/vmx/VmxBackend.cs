// The VMX backend: preflight, the processor's part, a virtual processor's VMCS. SDM 3C, "Introduction to Virtual Machine Extensions".
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend : IBackend
{
    private const ulong Cr4Vmxe = 1 << 13;

    /// <summary>What all virtual processors of this backend share; zero until <see cref="InitializeMachine"/>.</summary>
    private static class Shared
    {
        internal static ulong MsrBitmap;
        /// <summary>The same for guests whose interrupts the processor delivers; 0 where it cannot.</summary>
        internal static ulong X2ApicMsrBitmap;
    }

    /// <summary>Physical address of the executing processor's current VMCS; 0 for none.</summary>
    private static ref ulong CurrentPointer
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref LogicalProcessor.Current->Backend.CurrentState;
    }

    [RuntimeImport("*", "vmx_run"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void EnterLoop(VirtualProcessor* first);
    [RuntimeImport("*", "vmx_interrupt_window"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void InterruptWindow();
    [RuntimeImport("*", "vmx_idle"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void IdleProcessor();
    [RuntimeImport("*", "vmx_take_nmi"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void TakeNmi();
    [RuntimeImport("*", "vmx_set_extended_components"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void SetExtendedComponents(ulong components);
    /// <summary>Not 0: VMXON failed.</summary>
    [RuntimeImport("*", "vmx_on"), MethodImpl(MethodImplOptions.InternalCall)] private static extern uint VmxOn(ulong region);
    [RuntimeImport("*", "vmx_clear"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void VmClear(ulong vmcs);
    [RuntimeImport("*", "vmx_load"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void VmPtrLd(ulong vmcs);
    [RuntimeImport("*", "vmx_read"), MethodImpl(MethodImplOptions.InternalCall)] private static extern ulong VmRead(ulong encoding);
    [RuntimeImport("*", "vmx_write"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void VmWrite(ulong encoding, ulong value);
    [RuntimeImport("*", "vmx_read_mode"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void ReadMode(VmxState* state);
    [RuntimeImport("*", "vmx_invept"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void InvEpt(ulong type, ulong eptPointer);
    [RuntimeImport("*", "vmx_invvpid"), MethodImpl(MethodImplOptions.InternalCall)] private static extern void InvVpid(ulong type, ulong vpid);

    public static ReadOnlySpan<byte> HypercallInstruction => [0x0F, 0x01, 0xC1]; // VMCALL

    /// <summary>The VMCS, and the page of <see cref="VmxState"/>.</summary>
    public static uint PagesPerVp => 2;

    public static bool Preflight() => VmxFeatures.Check();

    public static void InitializeMachine()
    {
        VmxFeatures.Report();
        SetExtendedComponents(CpuidPolicy.ExtendedComponents);
        Shared.MsrBitmap = MakeMsrBitmap();
        if (VmxFeatures.DeliversInterrupts)
        {
            Shared.X2ApicMsrBitmap = MakeMsrBitmap();
            MakeX2ApicBitmap(PhysicalMap.ToPointer(Shared.X2ApicMsrBitmap));
        }
    }

    public static void InitializeProcessor(LogicalProcessor* processor)
    {
        FeatureControl control = new(Instructions.RdMsr(Msr.IA32_FEATURE_CONTROL));
        if (!control.Lock)
            Instructions.WrMsr(Msr.IA32_FEATURE_CONTROL, control.WithVmxOutsideSmx(true).WithLock(true).Value);
        Instructions.WriteCr0((Instructions.ReadCr0() | Instructions.RdMsr(Msr.IA32_VMX_CR0_FIXED0)) & Instructions.RdMsr(Msr.IA32_VMX_CR0_FIXED1));
        Instructions.WriteCr4((Instructions.ReadCr4() | Instructions.RdMsr(Msr.IA32_VMX_CR4_FIXED0)) & Instructions.RdMsr(Msr.IA32_VMX_CR4_FIXED1));
        ulong region = processor->Backend.Page;
        *(uint*)PhysicalMap.ToPointer(region) = VmxFeatures.RevisionIdentifier;
        if (VmxOn(region) != 0)
            Panic.Stop("vmx: VMXON failed"u8);
        // Nothing that another hypervisor left behind is of any use.
        InvEpt(InvalidationType.AllContexts, 0);
    }

    /// <summary>Every MSR exits but those that are the guest's own all the time: in its VMCS, or exchanged by Leave and Enter.</summary>
    private static ulong MakeMsrBitmap()
    {
        ulong page = CoreMemory.RequireContiguous(1);
        byte* bitmap = PhysicalMap.ToPointer(page);
        for (int i = 0; i < VmxMsrBitmap.Size; i++) bitmap[i] = 0xFF;
        foreach (uint msr in PassedMsrs)
            VmxMsrBitmap.TrySet(bitmap, msr, false, false);
        return page;
    }

    private static ReadOnlySpan<uint> PassedMsrs => [
        Msr.IA32_FS_BASE, Msr.IA32_GS_BASE, Msr.IA32_KERNEL_GS_BASE, Msr.IA32_STAR, Msr.IA32_LSTAR, Msr.IA32_CSTAR, Msr.IA32_FMASK,
        Msr.IA32_SYSENTER_CS, Msr.IA32_SYSENTER_ESP, Msr.IA32_SYSENTER_EIP];

    public static HvStatus InitializeVp(VirtualProcessor* vp)
    {
        if (vp->Partition->Account.Count < PagesPerVp)
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        vp->Partition->Account.TryTake(out ulong vmcs);
        vp->Partition->Account.TryTake(out ulong state);
        vp->BackendStatePhysical = vmcs;
        vp->BackendState = PhysicalMap.ToPointer(state);
        vp->Xcr0 = CpuidPolicy.ExtendedComponents & 1;
        // XRSTOR takes MXCSR from the area even when the rest is in its initial state. SDM 1, "XRSTOR".
        *(ushort*)vp->ExtendedState = 0x37F;
        *(uint*)(vp->ExtendedState + 24) = 0x1F80;

        *(uint*)PhysicalMap.ToPointer(vmcs) = VmxFeatures.RevisionIdentifier;
        VmClear(vmcs);
        MakeCurrent(vp);
        WriteControls(vp);
        WriteHostState();
        ResetVp(vp);
        UpdateExceptionIntercepts(vp);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    public static void DestroyVp(VirtualProcessor* vp)
    {
        if (vp->BackendStatePhysical == 0)
            return;
        // The processor may hold parts of it, and write them to its page later.
        Clear(vp);
        vp->Partition->Account.Add(vp->BackendStatePhysical);
        vp->Partition->Account.Add(PhysicalMap.ToPhysical(vp->BackendState));
        vp->BackendStatePhysical = 0;
    }

    private static void Clear(VirtualProcessor* vp)
    {
        VmClear(vp->BackendStatePhysical);
        if (CurrentPointer == vp->BackendStatePhysical)
            CurrentPointer = 0;
        StateOf(vp)->IsLaunched = 0;
    }

    // The processor may hold parts of the VMCS, and another must not load it before they are in memory. What the copies hold is written there.
    public static void Depart(VirtualProcessor* vp) => Clear(vp);

    public static void Arrive(VirtualProcessor* vp)
    {
        MakeCurrent(vp);
        WriteHostState();
    }

    /// <summary>Fields that stay what they are. Those that change go through the copies.</summary>
    private static void WriteControls(VirtualProcessor* vp)
    {
        bool isRoot = vp->Partition->IsRoot;
        VmWrite(VmcsField.PinBasedVmExecutionControls, VmxFeatures.Pin);
        VmWrite(VmcsField.VmExitControls, VmxFeatures.Exit);
        Write(vp, CachedField.EntryControls, VmxFeatures.Entry);
        Write(vp, CachedField.PrimaryControls, (isRoot ? VmxFeatures.Primary & ~PrimaryControls.UnconditionalIoExiting : VmxFeatures.Primary) | PrimaryControls.MovDrExiting);
        Write(vp, CachedField.SecondaryControls, isRoot ? VmxFeatures.Secondary & ~SecondaryControls.WbinvdExiting : VmxFeatures.Secondary);
        VmWrite(VmcsField.PageFaultErrorCodeMask, 0);
        VmWrite(VmcsField.PageFaultErrorCodeMatch, 0);
        VmWrite(VmcsField.Cr3TargetCount, 0);
        VmWrite(VmcsField.VmExitMsrStoreCount, 0);
        VmWrite(VmcsField.VmExitMsrLoadCount, 0);
        VmWrite(VmcsField.VmEntryMsrLoadCount, 0);
        VmWrite(VmcsField.VmEntryInterruptionInformation, 0);
        VmWrite(VmcsField.AddressOfMsrBitmaps, Shared.MsrBitmap);
        VmWrite(VmcsField.VirtualApicAddress, PhysicalMap.ToPhysical(vp->Apic.RegisterPage));
        VmWrite(VmcsField.EptPointer, EptPointer.Make(vp->Partition->SecondStageRoot));
        // Translations are also tagged with the EPT pointer: partitions may share identifiers. SDM 3C, "Information That May Be Cached".
        if (VmxFeatures.HasVpid)
            VmWrite(VmcsField.VirtualProcessorIdentifier, vp->Index + 1);
        if (VmxFeatures.UsesPreemptionTimer)
            VmWrite(VmcsField.VmxPreemptionTimerValue, VmxFeatures.PreemptionTicks);
        if ((VmxFeatures.Secondary & SecondaryControls.EnableEnclsExiting) != 0)
            VmWrite(VmcsField.EnclsExitingBitmap, ulong.MaxValue);
        VmWrite(VmcsField.Cr0GuestHostMask, Cr0HostBits);
        VmWrite(VmcsField.Cr4GuestHostMask, Cr4HostBits);
        VmWrite(VmcsField.Cr4ReadShadow, 0);
        VmWrite(VmcsField.VmcsLinkPointer, ulong.MaxValue);
        VmWrite(VmcsField.GuestIa32Debugctl, 0);
        VmWrite(VmcsField.GuestActivityState, 0);
        Write(vp, CachedField.TscOffset, vp->TscOffset);
    }

    private static void WriteHostState()
    {
        byte* operand = stackalloc byte[16];
        VmWrite(VmcsField.HostCr0, Instructions.ReadCr0());
        VmWrite(VmcsField.HostCr3, Instructions.ReadCr3());
        VmWrite(VmcsField.HostCr4, Instructions.ReadCr4());
        VmWrite(VmcsField.HostCsSelector, HostTables.CodeSelector);
        VmWrite(VmcsField.HostSsSelector, HostTables.DataSelector);
        VmWrite(VmcsField.HostDsSelector, HostTables.DataSelector);
        VmWrite(VmcsField.HostEsSelector, HostTables.DataSelector);
        VmWrite(VmcsField.HostFsSelector, 0);
        VmWrite(VmcsField.HostGsSelector, 0);
        VmWrite(VmcsField.HostTrSelector, HostTables.TaskSelector);
        VmWrite(VmcsField.HostFsBase, 0);
        VmWrite(VmcsField.HostGsBase, 0);
        VmWrite(VmcsField.HostTrBase, HostTables.TaskBaseOf(&LogicalProcessor.Current->Tables));
        Instructions.Sgdt(operand);
        VmWrite(VmcsField.HostGdtrBase, *(ulong*)(operand + 2));
        Instructions.Sidt(operand);
        VmWrite(VmcsField.HostIdtrBase, *(ulong*)(operand + 2));
        VmWrite(VmcsField.HostIa32SysenterCs, 0);
        VmWrite(VmcsField.HostIa32SysenterEsp, 0);
        VmWrite(VmcsField.HostIa32SysenterEip, 0);
        VmWrite(VmcsField.HostIa32Pat, Instructions.RdMsr(Msr.IA32_PAT));
        VmWrite(VmcsField.HostIa32Efer, Instructions.RdMsr(Msr.IA32_EFER));
    }

    public static void Run(VirtualProcessor* first)
    {
        if (first != null)
        {
            Enter(first);
            PrepareEntry(first);
        }
        EnterLoop(first);
    }

    public static void OpenInterruptWindow() => InterruptWindow();
    public static void Idle() => IdleProcessor();

    private static void UseDebugAddresses(VirtualProcessor* vp)
    {
        SetPrimaryControl(vp, PrimaryControls.MovDrExiting, false);
        DebugAddresses.BeginUse(vp);
    }

    /// <summary>What no VMCS exchanges is in the processor while the virtual processor was the last to run.</summary>
    public static void Leave(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        if (VmxFeatures.LeaksNmiBlocking)
            DropForeignNmiBlocking(vp, state);
        DebugAddresses.Leave(vp);
        state->Dr6 = Instructions.ReadDr6();
        state->Cr2 = Instructions.ReadCr2();
        state->Star = Instructions.RdMsr(Msr.IA32_STAR);
        state->Lstar = Instructions.RdMsr(Msr.IA32_LSTAR);
        state->Cstar = Instructions.RdMsr(Msr.IA32_CSTAR);
        state->Sfmask = Instructions.RdMsr(Msr.IA32_FMASK);
        state->KernelGsBase = Instructions.RdMsr(Msr.IA32_KERNEL_GS_BASE);
    }

    public static void Enter(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        // An NMI that this entry injects is there already.
        InterruptionInformation pending = new(state->PendingEvent);
        state->MayBlockNmis = (Read(vp, CachedField.Interruptibility) & InterruptibilityState.BlockingByNmi) != 0
            || pending.Valid && pending.Type == InterruptionInformation.Nmi;
        DebugAddresses.Enter(vp);
        Instructions.WriteDr6(state->Dr6);
        Instructions.WriteCr2(state->Cr2);
        Instructions.WrMsr(Msr.IA32_STAR, state->Star);
        Instructions.WrMsr(Msr.IA32_LSTAR, state->Lstar);
        Instructions.WrMsr(Msr.IA32_CSTAR, state->Cstar);
        Instructions.WrMsr(Msr.IA32_FMASK, state->Sfmask);
        Instructions.WrMsr(Msr.IA32_KERNEL_GS_BASE, state->KernelGsBase);
        if (CpuidPolicy.HasTscAux)
            LogicalProcessor.Current->LoadTscAux((uint)vp->TscAux);
    }
}
