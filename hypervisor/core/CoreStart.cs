// The core's start: from the boot loader's hand to the root's first instruction.
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Text;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

public static unsafe class CoreEntry
{
    private const ulong TablePages = 512, ContiguousPages = 64;
    private const ulong Cr0Wp = 1 << 16, Cr4Mce = 1 << 6, Cr4Pge = 1 << 7, Cr4Osfxsr = 1 << 9, Cr4Osxmmexcpt = 1 << 10, Cr4Osxsave = 1 << 18, Cr4Smep = 1 << 20, Cr4Smap = 1 << 21;
    private const ulong EferNxe = 1 << 11;
    private const uint IA32_EFER = 0xC0000080;

    [RuntimeImport("*", "core_switch_stack"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void SwitchStack(ulong cr3, ulong stackTop, delegate*<void> then);

    private static ulong handoverPhysical;

    /// <summary>First C# of the core, on the loader's page tables. Physical memory is identity mapped.</summary>
    [RuntimeExport("core_main")]
    private static void Main(BootHandover* handover)
    {
        ulong started = Instructions.RdTsc();
        DebugConsole.Initialize();
        if (handover->Magic != BootHandover.ExpectedMagic || handover->Version != BootHandover.ExpectedVersion)
            Panic.Stop("the boot loader's handover has another version than this core expects"u8);
        ScreenText.Initialize(&handover->Framebuffer);
        SayHello(started);
        if (!Preflight.CheckProcessor())
            Panic.Stop("require: a feature named above is missing"u8);
        handoverPhysical = (ulong)handover;
        EnableProcessorFeatures();
        PhysicalMemoryRanges.Initialize((MemoryRange*)handover->MemoryMapPhysical, handover->MemoryMapCount);

        // Table pages lie right behind the image; CoreMemory hands out what is behind them.
        ulong tables = (handover->CoreImagePhysical + handover->CoreImageSize + 0xFFF) & ~0xFFFUL;
        CoreAddressSpace.Build(handover, tables, TablePages, Preflight.HasPages1G ? PageSize.Page1G : PageSize.Page2M);
        if (!CoreAddressSpace.TryCreateArea(0, out _, out ulong stack))
            Panic.Stop("core: no page for a stack"u8);
        ScreenText.Suspend(true);
        SwitchStack(CoreAddressSpace.Root, stack, &OnOwnTables);
    }

    // The TSC tells what firmware and loader took, wherever it started at 0.
    private static void SayHello(ulong tsc)
    {
        byte* buffer = stackalloc byte[64];
        TextWriter line = new(buffer, 64);
        line.Text("hypervisor: Lamina core, TSC "u8).Decimal(tsc);
        DebugConsole.Line(line.Written);
    }

    internal static void EnableProcessorFeatures()
    {
        ulong cr4 = Instructions.ReadCr4() | Cr4Mce | Cr4Pge | Cr4Osfxsr | Cr4Osxmmexcpt;
        uint leaf7 = Preflight.ReadLeaf(7, 1);
        if (Preflight.HasLeafBit(1, 2, 1 << 26)) cr4 |= Cr4Osxsave;
        // The core touches no user page and runs none: both may be on all the time.
        if ((leaf7 & 1 << 7) != 0) cr4 |= Cr4Smep;
        if ((leaf7 & 1 << 20) != 0) cr4 |= Cr4Smap;
        Instructions.WrMsr(IA32_EFER, Instructions.RdMsr(IA32_EFER) | EferNxe);
        Instructions.WriteCr4(cr4);
        Instructions.WriteCr0(Instructions.ReadCr0() | Cr0Wp);
        Instructions.WrMsr(HostMsr.PAT, LongModeEntry.Pat);
    }

    private static void OnOwnTables()
    {
        CoreAddressSpace.UseWindow();
        LogicalProcessor* processor = LogicalProcessor.Current;
        *processor = default;
        HostTables.InitializeGates();
        HostTables.Load(&processor->Tables);
        BootHandover* handover = (BootHandover*)PhysicalMap.ToPointer(handoverPhysical);
        CoreMemory.Initialize(handover->CoreMemoryPhysical, handover->CoreMemorySize,
            handover->CoreImagePhysical - handover->CoreMemoryPhysical + ((handover->CoreImageSize + 0xFFF) & ~0xFFFUL) + (TablePages << 12), ContiguousPages << 12);
        ScreenText.Remap(&handover->Framebuffer);
        ScreenText.Suspend(false);
        Epitaph.Recover();
        AcpiTables.Initialize(handover->Rsdp);
        CpuidPolicy.Initialize();
        Vendor.Start(handover);
    }
}

/// <summary>What follows once the backend is chosen.</summary>
public static unsafe class CoreStart<TBackend> where TBackend : struct, IBackend
{
    public static void Run(BootHandover* handover)
    {
        PhysicalApic.Initialize();
        Clock.Initialize();
        Clock.Report();
        DeviceInterrupts.Initialize();
        LogicalProcessor* processor = LogicalProcessor.Current;
        processor->ApicId = PhysicalApic.Id;
        if (!LogicalProcessors.TryGivePages(processor))
            Panic.Stop("core: no pages for the first processor"u8);
        TBackend.InitializeMachine();
        Initialize(processor);
        LogicalProcessors.Add(processor);
        ProcessorStart.StartAll(handover);

        VirtualProcessor* root = RootPartition<TBackend>.Create(handover);
        byte* buffer = stackalloc byte[128];
        TextWriter line = new(buffer, 128);
        line.Text("hypervisor: entering the root partition, "u8).Decimal(CoreMemory.FreePages).Text(" pages free in the core"u8);
        DebugConsole.Line(line.Written);

        root->SuspendReasons = 0;
        root->DispatchTsc = Clock.Now;
        processor->Running = root;
        processor->Load.At = long.MaxValue; // the root's time is nobody's virtual time
        processor->Loaded = root;
        processor->Entered = (ulong)root;
        TBackend.Run(root);
    }

    private static void Initialize(LogicalProcessor* processor)
    {
        Scheduler<TBackend>.Initialize(processor);
        PhysicalApic.EnableTimer();
        TBackend.InitializeProcessor(processor);
    }

    /// <summary>A further processor: as the first, but for what is there already. It has nobody to run.</summary>
    public static void RunProcessor()
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        CoreEntry.EnableProcessorFeatures();
        HostTables.Load(&processor->Tables);
        PhysicalApic.InitializeProcessor();
        Initialize(processor);
        ProcessorStart.Join();
        TBackend.Run(null);
    }
}
