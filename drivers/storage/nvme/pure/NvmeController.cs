// An NVMe controller: its memory, its phases, and how it comes up. Requests are in NvmeController.Requests, trouble in NvmeController.Failure.
// NVM Express Base Specification 2.0, "Memory-based Controller Initialization (PCIe)", "Controller Reset".
using System;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Registry;
using Lamina.Text;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>What the driver waits for.</summary>
public enum NvmePhase : byte
{
    /// <summary>CSTS.RDY to become 0, after CC.EN was cleared.</summary>
    Stopping,
    /// <summary>CSTS.RDY to become 1, after CC.EN was set.</summary>
    Starting,
    /// <summary>Admin commands, one after the other.</summary>
    Configuring,
    Running,
    /// <summary>Given up for good: every request is answered with an error.</summary>
    Failed,
}

/// <summary>A message's work item; messages are shared when there are fewer of them than queues.</summary>
public unsafe struct NvmeVector
{
    public WorkItem Item;
    public void* Controller;
    public uint Index;
}

/// <summary>
/// Lives in one piece of its host's memory, where it stays. Everything but <see cref="OnInterrupt"/> runs in the executor. Namespaces share
/// the controller's I/O queues, of which a user of any namespace may take any.
/// </summary>
public unsafe partial struct NvmeController<THost, TFunction> where THost : struct, IDriverHost where TFunction : struct, INvmeFunction
{
    public const uint MaximumIoQueues = 4, MaximumVectors = MaximumIoQueues + 1, MaximumNamespaces = 16;
    private const uint IoEntries = 128, AdminEntries = 16, IdentifyBytes = NvmeControllerIdentity.DataBytes;
    private const ulong TicksPerMillisecond = 10_000, PollInterval = 5 * TicksPerMillisecond, AdminPatience = 10_000 * TicksPerMillisecond;
    private const int LabelCapacity = 24;
    private const uint Version20 = 0x20000;

    private enum Step : byte { IdentifyController, IdentifyCommandSet, SetQueues, CreateCompletionQueue, CreateSubmissionQueue, ListNamespaces, IdentifyNamespace }

    [System.Runtime.CompilerServices.InlineArray((int)MaximumVectors)]
    private struct VectorSlots { private NvmeVector first; }

    [System.Runtime.CompilerServices.InlineArray((int)MaximumIoQueues)]
    private struct QueueSlots { private NvmeIoQueue first; }

    private TFunction function;
    private NvmeCapabilities capabilities;
    private BlockRegistry* registry;
    private int registration;
    private NvmePhase phase;
    private Step step;
    private bool isRestart, isFinished, isBroken;
    private uint age, resets;
    private uint vectorCount, queuesWanted, queueCount, queueInHand, namespaceCount, namespaceInHand;
    private ulong deadline;
    private DeadlineTimer stepTimer, ageTimer;
    private NvmeControllerIdentity identity;
    private NvmeQueue admin;
    private NvmeSlot* adminSlots;
    private DmaMemory memory;
    private byte* identifyBuffer, identifyCopy;
    private NvmeNamespace* namespaces;
    private QueueSlots queues;
    private VectorSlots vectors;
    private fixed byte label[LabelCapacity], serial[BlockDevice.SerialCapacity];
    private int labelLength, serialLength;

    /// <summary>Where the controller is in its life.</summary>
    public readonly NvmePhase Phase => phase;

    /// <summary>Bytes of zeroed memory for <see cref="Start"/>.</summary>
    public static ulong ControllerBytes => (ulong)sizeof(NvmeController<THost, TFunction>);

    /// <summary>The context of message <paramref name="index"/>'s handler.</summary>
    public static NvmeVector* Vector(NvmeController<THost, TFunction>* controller, uint index) => (NvmeVector*)&controller->vectors + index;

    private NvmeIoQueue* Queue(uint index)
    {
        fixed (QueueSlots* slots = &queues) return (NvmeIoQueue*)slots + index;
    }

    /// <summary>
    /// Brings the controller up; its namespaces appear in the registry, which is told of the controller before this returns.
    /// </summary>
    /// <param name="controller">Zeroed.</param>
    /// <param name="label">What log lines call it, 24 characters at most.</param>
    /// <param name="registerBytes">Of registers behind the first base address.</param>
    /// <param name="vectorCount">Messages whose handler is <see cref="OnInterrupt"/> with the context <see cref="Vector"/>, from 0 on.</param>
    public static void Start(NvmeController<THost, TFunction>* controller, TFunction function, ReadOnlySpan<byte> label, ulong registerBytes, uint vectorCount, BlockRegistry* registry)
    {
        controller->function = function;
        controller->registry = registry;
        controller->registration = registry->AddController("nvme"u8, 1);
        controller->vectorCount = Math.Min(vectorCount, MaximumVectors);
        controller->labelLength = Math.Min(label.Length, LabelCapacity);
        label.Slice(0, controller->labelLength).CopyTo(new Span<byte>(controller->label, LabelCapacity));
        controller->stepTimer = new DeadlineTimer { Handler = &OnStep, Context = controller };
        controller->ageTimer = new DeadlineTimer { Handler = &OnAge, Context = controller };
        for (uint i = 0; i < MaximumVectors; i++)
            *Vector(controller, i) = new NvmeVector { Item = new WorkItem { Handler = &OnVector, Context = Vector(controller, i) }, Controller = controller, Index = i };
        if (!controller->TryPrepare(registerBytes)) return;
        registry->OnShutDown(controller->registration, &OnShutDown, controller);
        controller->Stop();
    }

    /// <summary>For the handler of message <paramref name="vector"/>, a <see cref="NvmeVector"/>: the rest is done in the executor.</summary>
    public static void OnInterrupt(void* vector) => THost.Queue(&((NvmeVector*)vector)->Item);

    /// <summary>What must be so before the controller is touched, and the memory for everything it will ever need.</summary>
    private bool TryPrepare(ulong registerBytes)
    {
        uint low = function.Read32(NvmeRegister.CAP);
        capabilities = new NvmeCapabilities(low | (ulong)function.Read32(NvmeRegister.CAP + 4) << 32);
        queuesWanted = MaximumIoQueues;
        if (low == NvmeRegister.Absent) return Refuse("does not answer"u8);
        if (!capabilities.HasNvmCommandSet) return Refuse("has no NVM command set"u8);
        if (capabilities.MPSMIN != 0) return Refuse("has no pages of 4 KiB"u8);
        if (capabilities.MQES < 1) return Refuse("has queues of one entry"u8);
        if (vectorCount == 0) return Refuse("has no message-signalled interrupts"u8);
        while (queuesWanted > 1 && !DoorbellsFit(registerBytes)) queuesWanted--;
        if (!DoorbellsFit(registerBytes)) return Refuse("has no room for its doorbells"u8);
        return TryAllocate() || Refuse("no memory"u8);
    }

    private readonly bool DoorbellsFit(ulong registerBytes) => capabilities.Doorbell(queuesWanted, true) + sizeof(uint) <= registerBytes;

    private readonly uint Entries(uint wanted) => Math.Min(wanted, capabilities.MQES + 1);

    /// <summary>Pages first, then lists of 2 KiB, then what has no alignment worth naming.</summary>
    private bool TryAllocate()
    {
        uint entries = Entries(IoEntries), slots = entries - 1;
        const ulong page = PrpList.PageBytes;
        ulong ring = (ulong)entries * NvmeCommand.Bytes + page - 1 & ~(page - 1), completions = (ulong)entries * NvmeCompletion.Bytes + page - 1 & ~(page - 1);
        ulong lists = ((ulong)slots * PrpList.Bytes + page - 1) & ~(page - 1);
        ulong tables = (MaximumIoQueues * slots + AdminEntries) * (ulong)sizeof(NvmeSlot) + MaximumNamespaces * (ulong)sizeof(NvmeNamespace);
        if (!THost.TryAllocateDma(4 * page + queuesWanted * (ring + completions + lists) + tables, out memory)) return false;
        byte* at = memory.Address;
        identifyBuffer = at;
        identifyCopy = at + page;
        at += 4 * page; // and the admin queue's rings, a page each
        for (uint i = 0; i < queuesWanted; i++)
        {
            NvmeIoQueue* queue = Queue(i);
            *queue = new NvmeIoQueue { Commands = (NvmeCommand*)at, Completions = (ulong*)(at + ring), Lists = at + ring + completions };
            at += ring + completions + lists;
        }
        for (uint i = 0; i < queuesWanted; i++, at += slots * (uint)sizeof(NvmeSlot)) Queue(i)->Slots = (NvmeSlot*)at;
        adminSlots = (NvmeSlot*)at;
        namespaces = (NvmeNamespace*)(at + AdminEntries * (uint)sizeof(NvmeSlot));
        return true;
    }

    private readonly ulong Physical(void* address) => memory.Physical + (ulong)((byte*)address - memory.Address);

    private bool Refuse(ReadOnlySpan<byte> why)
    {
        phase = NvmePhase.Failed;
        Report(why);
        Finish();
        return false;
    }

    /// <summary>Tells the registry that no more namespaces are to be waited for.</summary>
    private void Finish()
    {
        if (isFinished) return;
        isFinished = true;
        registry->FinishController(registration);
    }

    private void Report(ReadOnlySpan<byte> what, uint value = 0, bool hasValue = false)
    {
        byte* buffer = stackalloc byte[128];
        TextWriter line = new(buffer, 128);
        fixed (byte* text = label) line.Text("nvme "u8).Text(new ReadOnlySpan<byte>(text, labelLength)).Text(": "u8).Text(what);
        if (hasValue) line.Char((byte)' ').Hex(value);
        THost.Report(line.Written);
    }

    private static void OnStep(void* context) => ((NvmeController<THost, TFunction>*)context)->Look();

    private void WaitUntil(ulong limit)
    {
        deadline = limit;
        ArmStep();
    }

    private void ArmStep()
    {
        ulong next = phase == NvmePhase.Configuring ? deadline : THost.Now + PollInterval;
        fixed (DeadlineTimer* timer = &stepTimer) THost.Arm(timer, next);
    }

    /// <summary>The time for becoming ready or ceasing to be; zero in the register means half a second here.</summary>
    private readonly ulong ReadyPatience => Math.Max(capabilities.TO, 1) * 500 * TicksPerMillisecond;

    /// <summary>Looks whether the controller has become what is waited for.</summary>
    private void Look()
    {
        bool late = THost.Now >= deadline;
        NvmeControllerStatus status = new(phase < NvmePhase.Configuring ? function.Read32(NvmeRegister.CSTS) : 0);
        switch (phase)
        {
            case NvmePhase.Stopping when status.Value == NvmeRegister.Absent: Stopped(false); break;
            case NvmePhase.Stopping when !status.RDY: Stopped(true); break;
            case NvmePhase.Stopping when late: Stopped(false); break;
            case NvmePhase.Starting when status.Value == NvmeRegister.Absent: Break("is gone"u8); break;
            case NvmePhase.Starting when status.CFS: Break("has a fatal status"u8); break;
            case NvmePhase.Starting when status.RDY: Configure(); break;
            case NvmePhase.Starting when late: Break("does not become ready"u8); break;
            case NvmePhase.Configuring when late:
                ReapAdmin(); // its interrupt may have been lost
                if (phase == NvmePhase.Configuring && THost.Now >= deadline) Break("does not answer an admin command"u8);
                break;
            case NvmePhase.Stopping or NvmePhase.Starting or NvmePhase.Configuring: ArmStep(); break;
        }
    }

    private void Enable()
    {
        byte* rings = identifyBuffer + 2 * PrpList.PageBytes;
        uint entries = Entries(AdminEntries);
        admin.Initialize(0, (NvmeCommand*)rings, (ulong*)(rings + PrpList.PageBytes), adminSlots, entries, entries - 1);
        ulong commands = Physical(rings), completions = commands + PrpList.PageBytes;
        phase = NvmePhase.Starting;
        function.SetBusMaster(true);
        function.Write32(NvmeRegister.AQA, entries - 1 | entries - 1 << 16);
        function.Write32(NvmeRegister.ASQ, (uint)commands);
        function.Write32(NvmeRegister.ASQ + 4, (uint)(commands >> 32));
        function.Write32(NvmeRegister.ACQ, (uint)completions);
        function.Write32(NvmeRegister.ACQ + 4, (uint)(completions >> 32));
        function.Write32(NvmeRegister.CC, NvmeConfiguration.Enabled.Value);
        deadline = THost.Now + ReadyPatience;
        Look();
    }
}
