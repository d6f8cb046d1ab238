// A VM's disks: from the places that its configuration and the console name to the block devices under its controller.
using System;
using System.Runtime.CompilerServices;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Registry;
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
    internal MemoryDisk Memory;
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

    internal static bool TryOpen(Vm* vm, int lun)
    {
        VmDisk* disk = vm->Machine->Disks[lun];
        *disk = default;
        bool found = vm->DiskPlace(lun)->Source switch
        {
            DiskSource.BootModule => TryOpenModule(vm, lun, disk),
            DiskSource.Device => TryOpenDevice(vm, lun, disk),
            _ => Fail(vm, lun, "images on volumes cannot be opened yet"u8),
        };
        return found && TryAttach(vm, lun, disk);
    }

    private static bool TryAttach(Vm* vm, int lun, VmDisk* disk)
    {
        disk->State = VmDiskState.Open;
        if (VmStorage.TryAttach(vm, lun, disk->Device, vm->DiskPlace(lun)->IsReadOnly)) return true;
        Close(disk);
        return Fail(vm, lun, "the controller does not take it"u8);
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

    /// <summary>Gives a disk back whose requests have all ended.</summary>
    internal static void Close(VmDisk* disk)
    {
        if (disk->State == VmDiskState.Closed) return;
        if (disk->Claim != null) StorageDrivers.Disks->Release(disk->Claim);
        *disk = default;
    }

    /// <summary>At the VM's end, its bus closed: nothing is in flight.</summary>
    internal static void CloseAll(Vm* vm)
    {
        for (int lun = 0; lun < Capacity; lun++)
        {
            VmDisk* disk = vm->Machine->Disks[lun];
            if (disk->State == VmDiskState.Open) VmStorage.TryDetach(vm, lun);
            Close(disk);
        }
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
        if (vm->IsActive && !TryOpen(vm, lun)) *vm->DiskPlace(lun) = default;
        else Tell(vm, lun, " added"u8);
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
        if (!vm->IsActive || VmStorage.TryDetach(vm, (int)lun)) Detached(vm, (int)lun);
        else vm->Machine->Disks[(int)lun]->State = VmDiskState.Closing;
    }

    /// <summary>The last request of a disk that was taken away has ended.</summary>
    internal static void Detached(Vm* vm, int lun)
    {
        if (vm->Machine != null) Close(vm->Machine->Disks[lun]);
        Tell(vm, lun, " removed"u8);
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
