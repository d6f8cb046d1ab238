// A volume on which images are kept: mounted, put right if need be, and left clean when nobody writes to it.
using System;
using System.Runtime.CompilerServices;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Registry;

namespace Lamina.Drivers.Storage.Store;

public enum StoreVolumeState : byte
{
    Free,
    Mounting,
    Recovering,
    Mounted,
    /// <summary>No exFAT, or what there is cannot be used.</summary>
    Unusable,
}

/// <summary>In a place of the store's, while it is looked at or in use.</summary>
public unsafe struct StoreVolume
{
    private const int LabelCapacity = 11 * 3;

    internal StoreVolumeState State;
    internal StepRunner Runner;
    internal DiskEntry* Entry;
    internal DiskClaim* Claim;

    /// <summary>Files that are open, being opened or being closed.</summary>
    internal uint OpenFiles;

    /// <summary>It was not left properly, and what was found cannot be put right here: nothing is written to it.</summary>
    internal bool IsDamaged;
    private ImageStore* store;
    private ExFatVolume fileSystem;
    private ExFatMount mount;
    private ExFatRecovery recovery;
    private ExFatUnmount unmount;
    private StepTask task;
    private StoreMemory memory, recoveryMemory;
    private LabelBuffer label;
    private int labelLength;
    private bool mustClean;

    [InlineArray(LabelCapacity)] private struct LabelBuffer { private byte first; }

    public readonly BlockDevice* Device => Entry->Device;
    public readonly ReadOnlySpan<byte> Name => Entry->Name;
    public readonly ulong FreeBytes => fileSystem.FreeBytes;
    public readonly bool IsMounted => State == StoreVolumeState.Mounted;

    /// <summary>UTF-8; what people call it.</summary>
    public ReadOnlySpan<byte> Label => new(Unsafe.AsPointer(ref label), labelLength);

    internal ExFatVolume* FileSystem => (ExFatVolume*)Unsafe.AsPointer(ref fileSystem);

    /// <summary>Begins to look at a disk or partition; the store is told what came of it. False: no memory.</summary>
    internal static bool TryBeginMount(StoreVolume* volume, ImageStore* store, DiskEntry* entry)
    {
        DiskClaim* claim = volume->Claim;
        *volume = default;
        volume->Claim = claim;
        volume->store = store;
        byte* workspace = volume->memory.TryAllocate(store->Host, ExFatVolume.WorkspaceBytes + 4096);
        if (workspace == null) return false;
        volume->Entry = entry;
        StepRunner.Initialize(&volume->Runner, store->Host, entry->Device, workspace + ((ExFatVolume.WorkspaceBytes + 7) & ~7u));
        volume->fileSystem = new ExFatVolume(workspace, entry->Device->Limits.Bytes, !entry->Device->Limits.IsReadOnly);
        volume->mount = new ExFatMount(volume->FileSystem);
        volume->task = new StepTask { Advance = &AdvanceMount, Planner = volume, Finished = &OnMounted, Context = volume, Memory = &volume->memory };
        volume->State = StoreVolumeState.Mounting;
        volume->Runner.Start(&volume->task);
        return true;
    }

    /// <summary>
    /// Claims the volume and mounts it anew: what was read before the claim, others may have changed since. False: somebody else uses it, or
    /// there is no memory. The store is told when it is ready.
    /// </summary>
    internal static bool TryClaim(StoreVolume* volume)
    {
        ImageStore* store = volume->store;
        DiskEntry* entry = volume->Entry;
        if (!store->Disks->TryClaim(entry, !entry->Device->Limits.IsReadOnly, "the root"u8, out DiskClaim* claim, out _)) return false;
        volume->Runner.Stop();
        volume->memory.FreeAll(store->Host);
        volume->Claim = claim;
        if (TryBeginMount(volume, store, entry)) return true;
        store->Disks->Release(claim);
        *volume = default;
        return false;
    }

    /// <summary>What is written to directories from here on is of now.</summary>
    internal void TellTime() => fileSystem.Timestamp = ExFatTimestamp.FromUnix(store->Host->ReadClock());

    private static BlockStep AdvanceMount(void* planner, bool success, byte* memory) => ((StoreVolume*)planner)->mount.Advance(success, memory);

    private static void OnMounted(void* context, ImageStatus status)
    {
        StoreVolume* volume = (StoreVolume*)context;
        ImageStore* store = volume->store;
        if (status != ImageStatus.Success)
        {
            volume->State = StoreVolumeState.Unusable;
            store->VolumeSettled();
            return;
        }
        volume->TakeLabel();
        if (volume->Claim == null || !volume->fileSystem.WasDirty || !volume->fileSystem.IsWritable)
        {
            volume->State = StoreVolumeState.Mounted;
            store->VolumeSettled();
            return;
        }
        volume->State = StoreVolumeState.Recovering;
        volume->recovery = new ExFatRecovery(volume->FileSystem);
        volume->task = new StepTask { Advance = &AdvanceRecovery, Planner = volume, Finished = &OnRecovered, Context = volume, Memory = &volume->recoveryMemory };
        volume->Runner.Start(&volume->task);
    }

    private static BlockStep AdvanceRecovery(void* planner, bool success, byte* memory) => ((StoreVolume*)planner)->recovery.Advance(success, memory);

    private static void OnRecovered(void* context, ImageStatus status)
    {
        StoreVolume* volume = (StoreVolume*)context;
        volume->recoveryMemory.FreeAll(volume->store->Host);
        volume->IsDamaged = status != ImageStatus.Success;
        volume->State = StoreVolumeState.Mounted;
        volume->store->VolumeSettled();
    }

    /// <summary>Forgets the volume; no file is open and no task at work.</summary>
    internal static void Release(StoreVolume* volume)
    {
        volume->Runner.Stop();
        volume->memory.FreeAll(volume->store->Host);
        volume->store->Disks->Release(volume->Claim);
        *volume = default;
    }

    private void TakeLabel()
    {
        labelLength = 0;
        for (uint i = 0; i < fileSystem.LabelLength; i++)
        {
            char unit = fileSystem.Label(i);
            label[labelLength++] = unit is >= ' ' and < (char)0x7F ? (byte)unit : (byte)'?';
        }
    }

    /// <summary>A file is gone; after the last one the store lets go of the volume.</summary>
    internal static void FileClosed(StoreVolume* volume, bool wrote)
    {
        volume->OpenFiles--;
        volume->mustClean |= wrote;
        volume->store->LookSoon();
    }

    /// <summary>If nobody uses the volume: marks it as in order, if it was written to, and then lets go of it.</summary>
    internal static void LetGoIfUnused(StoreVolume* volume)
    {
        if (volume->OpenFiles != 0 || volume->task.State != StepTask.Phase.Idle) return;
        if (!volume->mustClean)
        {
            Release(volume);
            return;
        }
        volume->mustClean = false;
        volume->unmount = new ExFatUnmount(volume->FileSystem);
        volume->task = new StepTask { Advance = &AdvanceUnmount, Planner = volume, Finished = &OnCleaned, Context = volume };
        volume->Runner.Start(&volume->task);
    }

    private static BlockStep AdvanceUnmount(void* planner, bool success, byte* memory) => ((StoreVolume*)planner)->unmount.Advance(success);

    // Busy: a file was opened meanwhile, and its end comes here again. A failure leaves the mark, which says what is so.
    private static void OnCleaned(void* context, ImageStatus status)
    {
        StoreVolume* volume = (StoreVolume*)context;
        volume->mustClean |= status == ImageStatus.Busy;
        volume->store->LookSoon();
    }
}
