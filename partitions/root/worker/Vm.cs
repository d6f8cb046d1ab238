// One virtual machine: what is remembered of it always, and what exists only while it runs.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Root.Config;
using Lamina.Root.Devices;
using Lamina.Root.Hypercalls;

namespace Lamina.Root.Worker;

/// <summary>A VM of the configuration. Lives as long as the root; its machine comes and goes.</summary>
public unsafe struct Vm
{
    public const int LastWordsCapacity = 2048;

    public VmConfig* Config;
    public int Number;
    public VmState State;

    /// <summary>Null while the VM is off.</summary>
    public VmMachine* Machine;

    /// <summary>When it was started, 100 ns.</summary>
    public ulong StartedAt;

    /// <summary>Its start is told on the console; that of a guest which restarts itself is not.</summary>
    internal bool AnnouncesStart;

    /// <summary>Of a VM that is Stopping: it has run, so that its end is told.</summary>
    internal bool EndsAfterRun;

    /// <summary>How the last run ended.</summary>
    public VmEnd LastEnd;

    /// <summary>The debug-exit port's result, for <see cref="VmEnd.Exited"/>.</summary>
    public ulong ExitCode;

    /// <summary>Where its processor stood, for <see cref="VmEnd.TripleFault"/>.</summary>
    public ulong FaultRip;

    /// <summary>Runs since the root came up.</summary>
    public ulong Runs;
    public int LastWordsLength;
    private WordsBuffer _lastWords;
    private PlaceSlots _places;

    [InlineArray(LastWordsCapacity)] private struct WordsBuffer { private byte _first; }
    [InlineArray(VmDisks.Capacity)] private struct PlaceSlots { private DiskPlace _first; }

    public readonly ReadOnlySpan<byte> Name => Config->Name.Span;
    public readonly bool IsActive { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => Machine != null && State is VmState.Running or VmState.Paused; }

    /// <summary>Where the disk of a LUN is: the configuration's disks first, then those that the console added.</summary>
    public DiskPlace* DiskPlace(int lun) => (DiskPlace*)Unsafe.AsPointer(ref _places) + lun;

    /// <summary>Text of the guest's last crash, filtered; <see cref="LastWordsLength"/> bytes of it are in use.</summary>
    public byte* LastWords => (byte*)Unsafe.AsPointer(ref _lastWords);
}

/// <summary>One contiguous piece of a guest's RAM.</summary>
public struct RamPiece
{
    public ulong Physical;
    public ulong PageCount;
}

/// <summary>Everything that a running VM holds, in pages of its own; what is listed here is what stopping gives back.</summary>
public unsafe struct VmMachine
{
    /// <summary>GuestMemory has room for one more range than pieces: the hole below 4 GiB may split one.</summary>
    public const int MaximumPieces = GuestMemory.MaxRanges - 1;

    public PartitionAccount Account;

    /// <summary>Whether <see cref="Account"/> names a partition of the core.</summary>
    public bool IsCreated;
    public bool IsInitialized;

    /// <summary>Processors 0..n-1 exist.</summary>
    public uint ProcessorCount;

    public int PieceCount;
    private PieceSlots _pieces;

    /// <summary>What its processors had used when "top" began, and which "top" that was.</summary>
    private UsageSlots _usage;
    internal uint UsageOf;
    public GuestMemory Memory;
    public VmDevices Devices;

    /// <summary>VMbus, in pages of its own; null: the VM has none.</summary>
    public VmBus* Bus;
    public VmIntegration* Integration;

    /// <summary>The disks' controller, in memory of its own.</summary>
    internal StorageController<VspHost>* Storage;
    internal ulong StorageMemory, StoragePages;
    public VmDisks Disks;
    public LineAssembler Output;

    /// <summary>When an unfinished line is printed, 100 ns; 0: there is none.</summary>
    public ulong OutputDeadline;

    /// <summary>Something was printed after <see cref="OutputDeadline"/> was set.</summary>
    public bool OutputSinceDeadline;

    /// <summary>When the ACPI timer interrupts next, 100 ns; ulong.MaxValue: never.</summary>
    public ulong PowerDeadline;
    public ByteRing Input;

    /// <summary>When a VM that reported a crash is ended, 100 ns; 0: it did not.</summary>
    public ulong CrashDeadline;
    public InterceptCounters Counters;
    public VmReading Reading;
    public UnmappedRegions Unmapped;

    [InlineArray(MaximumPieces)] private struct PieceSlots { private RamPiece _first; }
    [InlineArray(VmConfig.MaxProcessors)] private struct UsageSlots { private ProcessorUsage _first; }

    internal ProcessorUsage* Usage(uint processor) => (ProcessorUsage*)Unsafe.AsPointer(ref _usage) + processor;
    public RamPiece* Piece(int index) => (RamPiece*)Unsafe.AsPointer(ref _pieces) + index;
}

/// <summary>Intercepts handled, by kind.</summary>
public struct InterceptCounters
{
    public ulong Port;
    public ulong Memory;
    public ulong Msr;
    public ulong Eoi;
    public ulong Other;

    public readonly ulong Total => Port + Memory + Msr + Eoi + Other;
}
