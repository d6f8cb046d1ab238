// A VM's disks: from the places that its configuration and the console name to the block devices under its controller.
using System;
using System.Runtime.CompilerServices;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Registry;
using Lamina.Drivers.Storage.Store;
using Lamina.Root.Config;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

public enum VmDiskState : byte
{
    Closed,
    /// <summary>Its image is being opened.</summary>
    Opening,
    Open,
    /// <summary>Its image is being closed, or its requests are coming to their end.</summary>
    Closing,
}

/// <summary>One disk of a running VM. Stays where it is while it is not Closed.</summary>
public unsafe struct VmDisk
{
    internal VmDiskState State;

    /// <summary>The disk as the controller sees it, while it is Open.</summary>
    internal BlockDevice* Device;
    internal DiskClaim* Claim;
    internal ImageDisk* Image;
    internal MemoryDisk Memory;

    // For what ends later.
    internal Vm* Owner;
    internal int Lun;
}

public unsafe struct VmDisks
{
    /// <summary>LUNs of a VM's controller.</summary>
    public const int Capacity = 16;

    private DiskSlots _disks;

    [InlineArray(Capacity)] private struct DiskSlots { private VmDisk _first; }

    internal VmDisk* this[int lun] => (VmDisk*)Unsafe.AsPointer(ref _disks) + lun;

    /// <summary>Opens what the VM's places name. False (reported): one of them cannot be, and the VM does not start.</summary>
    internal static bool TryOpenAll(Vm* vm)
    {
        for (int lun = 0; lun < Capacity; lun++)
            if (vm->DiskPlace(lun)->IsUsed && !TryOpen(vm, lun)) return false;
        return true;
    }

    /// <summary>Whether a VM has disks that are there only when the machine's disks are.</summary>
    internal static bool NeedsMachineDisks(Vm* vm)
    {
        for (int lun = 0; lun < Capacity; lun++)
            if (vm->DiskPlace(lun)->IsUsed && vm->DiskPlace(lun)->Source != DiskSource.BootModule) return true;
        return false;
    }

    /// <summary>Whether one is being opened or closed.</summary>
    internal static bool IsAnyPending(Vm* vm)
    {
        for (int lun = 0; lun < Capacity; lun++)
            if (vm->Machine->Disks[lun]->State is VmDiskState.Opening or VmDiskState.Closing) return true;
        return false;
    }

    /// <summary>Opens what a place names; an image is Opening at first. False: reported.</summary>
    internal static bool TryOpen(Vm* vm, int lun)
    {
        VmDisk* disk = vm->Machine->Disks[lun];
        *disk = new VmDisk { Owner = vm, Lun = lun };
        switch (vm->DiskPlace(lun)->Source)
        {
            case DiskSource.BootModule: return TryOpenModule(vm, lun, disk) && TryAttach(vm, lun, disk);
            case DiskSource.Device: return TryOpenDevice(vm, lun, disk) && TryAttach(vm, lun, disk);
            default:
                disk->State = VmDiskState.Opening;
                if (ImageVolumes.Store->TryOpen(vm->DiskPlace(lun)->Name, !vm->DiskPlace(lun)->IsReadOnly, &OnImageOpened, disk)) return true;
                disk->State = VmDiskState.Closed;
                return Fail(vm, lun, "cannot be opened now: too many are being opened, or its name is too long"u8);
        }
    }

    /// <summary>False (reported): the disk is Open, and nobody's.</summary>
    private static bool TryAttach(Vm* vm, int lun, VmDisk* disk)
    {
        disk->State = VmDiskState.Open;
        return VmStorage.TryAttach(vm, lun, disk->Device, vm->DiskPlace(lun)->IsReadOnly) || Fail(vm, lun, "is nothing that the controller takes"u8);
    }

    private static void OnImageOpened(void* context, ImageDisk* image, ImageStatus status)
    {
        VmDisk* disk = (VmDisk*)context;
        Vm* vm = disk->Owner;
        disk->Image = image;
        // Meanwhile the disk may have been taken away again, or its VM be on its way out.
        bool isWanted = vm->State != VmState.Stopping && vm->DiskPlace(disk->Lun)->IsUsed;
        if (image != null && !isWanted)
        {
            BeginClose(disk);
            return;
        }
        if (image == null)
        {
            disk->State = VmDiskState.Closed;
            if (isWanted) Fail(vm, disk->Lun, status.Text());
        }
        else disk->Device = image->Device;
        bool isThere = image != null && TryAttach(vm, disk->Lun, disk);
        switch (vm->State)
        {
            case VmState.Stopping: VmWorker.OnMemoryReleased(vm); break;
            case VmState.Starting when isThere || !isWanted: VmWorker.OnDiskOpened(vm); break;
            case VmState.Starting: VmWorker.End(vm, VmEnd.Failed); break;
            default:
                if (isThere) Tell(vm, disk->Lun, " added"u8);
                else Abandon(vm, disk);
                break;
        }
    }

    /// <summary>What was to be added to a running VM is not added after all.</summary>
    private static void Abandon(Vm* vm, VmDisk* disk)
    {
        *vm->DiskPlace(disk->Lun) = default;
        if (disk->State == VmDiskState.Open) BeginClose(disk);
    }

    private static bool TryOpenModule(Vm* vm, int lun, VmDisk* disk)
    {
        DiskPlace* place = vm->DiskPlace(lun);
        if (!BootModules.TryFind(place->Name, out byte* data, out ulong size)) return Fail(vm, lun, "was not found on the boot volume"u8);
        if (size < 512) return Fail(vm, lun, "is smaller than a sector"u8);
        Vm* other = FindUser(data, !place->IsReadOnly);
        if (other != null) return Fail(vm, lun, "is in use by VM "u8, other->Name);
        disk->Device = MemoryDisk.Create(&disk->Memory, data, size & ~511UL, place->IsReadOnly);
        return true;
    }

    /// <summary>A VM that has the module open in a way that excludes another user.</summary>
    private static Vm* FindUser(byte* module, bool writes)
    {
        for (int i = 0; i < VmWorker.Count; i++)
        {
            Vm* vm = VmWorker.Get(i);
            if (vm->Machine == null) continue;
            for (int lun = 0; lun < Capacity; lun++)
            {
                VmDisk* disk = vm->Machine->Disks[lun];
                if (disk->State != VmDiskState.Closed && disk->Memory.Start == module && (writes || !disk->Device->Limits.IsReadOnly)) return vm;
            }
        }
        return null;
    }

    private static bool TryOpenDevice(Vm* vm, int lun, VmDisk* disk)
    {
        DiskPlace* place = vm->DiskPlace(lun);
        BlockRegistry* registry = StorageDrivers.Disks;
        switch (registry->Find(place->Name, out DiskEntry* entry))
        {
            case DiskSearch.NotFound: return Fail(vm, lun, "was not found; the console's \"disks\" lists what there is"u8);
            case DiskSearch.Ambiguous: return Fail(vm, lun, "is the name of more than one"u8);
            case DiskSearch.Malformed: return Fail(vm, lun, "must have a GUID behind partuuid:"u8);
        }
        bool writes = !place->IsReadOnly && !entry->Device->Limits.IsReadOnly;
        byte* buffer = stackalloc byte[VmConfig.MaxNameLength + 8];
        var owner = new TextWriter(buffer, VmConfig.MaxNameLength + 8);
        owner.Text("VM "u8).Text(vm->Name);
        if (!registry->TryClaim(entry, writes, owner.Written, out disk->Claim, out DiskClaim* conflict))
            return conflict == null ? Fail(vm, lun, "too many disks are in use"u8) : Fail(vm, lun, "is in use by "u8, conflict->Owner);
        disk->Device = entry->Device;
        return true;
    }

    /// <summary>Gives a disk back whose requests have all ended; an image is Closing for a while, then <see cref="OnImageClosed"/>.</summary>
    private static void BeginClose(VmDisk* disk)
    {
        if (disk->Claim != null) StorageDrivers.Disks->Release(disk->Claim);
        if (disk->Image != null)
        {
            disk->State = VmDiskState.Closing;
            ImageDisk.BeginClose(disk->Image, &OnImageClosed, disk);
        }
        else disk->State = VmDiskState.Closed;
    }

    private static void OnImageClosed(void* context)
    {
        VmDisk* disk = (VmDisk*)context;
        Vm* vm = disk->Owner;
        disk->State = VmDiskState.Closed;
        disk->Image = null;
        if (vm->State == VmState.Starting) VmWorker.OnDiskOpened(vm);
        else if (vm->State != VmState.Stopping) Tell(vm, disk->Lun, " removed"u8);
        else VmWorker.OnMemoryReleased(vm);
    }

    /// <summary>At the VM's end, its bus closed, so that nothing is in flight. False: images are still being opened or closed.</summary>
    internal static bool TryCloseAll(Vm* vm)
    {
        for (int lun = 0; lun < Capacity; lun++)
        {
            VmDisk* disk = vm->Machine->Disks[lun];
            if (disk->State != VmDiskState.Open) continue;
            VmStorage.TryDetach(vm, lun);
            BeginClose(disk);
        }
        return !IsAnyPending(vm);
    }

    /// <summary>"vm adddisk": at the next free LUN, at once if the VM runs, and at each of its starts from now on.</summary>
    internal static void Add(Vm* vm, ReadOnlySpan<byte> text, bool isReadOnly)
    {
        if (!DiskPlace.TryParse(text, out DiskSource source, out ReadOnlySpan<byte> name))
        {
            VmLog.Line(vm, "a disk is device:NAME, image:VOLUME:/PATH or path:FILE"u8);
            return;
        }
        int lun = 0;
        while (lun < Capacity && (vm->DiskPlace(lun)->IsUsed || vm->IsActive && vm->Machine->Disks[lun]->State != VmDiskState.Closed)) lun++;
        if (lun == Capacity || !vm->DiskPlace(lun)->TrySet(source, name, isReadOnly))
        {
            VmLog.Line(vm, lun == Capacity ? "all its LUNs are taken"u8 : "that name is too long"u8);
            return;
        }
        if (!vm->IsActive) Tell(vm, lun, " added"u8);
        else if (!TryOpen(vm, lun)) Abandon(vm, vm->Machine->Disks[lun]);
        else if (source != DiskSource.Image) Tell(vm, lun, " added"u8);
    }

    /// <summary>"vm removedisk": at once for the guest, and for good.</summary>
    internal static void Remove(Vm* vm, uint lun)
    {
        if (lun >= Capacity || !vm->DiskPlace((int)lun)->IsUsed)
        {
            VmLog.Line(vm, "there is no such disk; vm show lists them"u8);
            return;
        }
        *vm->DiskPlace((int)lun) = default;
        VmDisk* disk = vm->IsActive ? vm->Machine->Disks[(int)lun] : null;
        if (disk == null) Tell(vm, (int)lun, " removed"u8);
        else if (disk->State == VmDiskState.Open)
        {
            disk->State = VmDiskState.Closing;
            if (VmStorage.TryDetach(vm, (int)lun)) Detached(vm, (int)lun);
        }
    }

    /// <summary>The last request of a disk that was taken away has ended.</summary>
    internal static void Detached(Vm* vm, int lun)
    {
        VmDisk* disk = vm->Machine->Disks[lun];
        bool isImage = disk->Image != null;
        BeginClose(disk);
        if (isImage) return;
        // The controller is at work further up: a VM that is ending goes on by its bus.
        if (vm->State == VmState.Stopping) VmBus.Postpone(vm->Machine->Bus);
        else Tell(vm, lun, " removed"u8);
    }

    private static void Tell(Vm* vm, int lun, ReadOnlySpan<byte> what)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("disk "u8).Decimal((ulong)lun).Text(what);
        ConsoleOutput.Line(line.Written);
    }

    private static bool Fail(Vm* vm, int lun, ReadOnlySpan<byte> why, ReadOnlySpan<byte> detail = default)
    {
        DiskPlace* place = vm->DiskPlace(lun);
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("disk "u8).Decimal((ulong)lun).Text(": "u8).Text(DiskPlace.Word(place->Source)).Text(" \""u8).Printable(place->Name).Text("\" "u8).Text(why).Printable(detail);
        ConsoleOutput.Line(line.Written);
        return false;
    }
}
