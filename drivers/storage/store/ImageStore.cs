// The images of the machine's volumes, by "VOLUME:/path": finds the volume, mounts it when it is first wanted, opens the file.
using System;
using System.Runtime.CompilerServices;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Registry;

namespace Lamina.Drivers.Storage.Store;

/// <summary>Lives at a fixed address, zeroed. All of it runs in the executor.</summary>
public unsafe struct ImageStore
{
    // Requests: as many as all LUNs of all VMs.
    public const int VolumeCapacity = 16, RequestCapacity = 256, NameCapacity = ImageDisk.PathCapacity;

    private struct Request
    {
        public delegate*<void*, ImageDisk*, ImageStatus, void> Opened;
        public void* Context;
        public bool IsUsed, IsWritable, HasLooked;
        public int NameLength;
        public NameBuffer Name;
    }

    [InlineArray(NameCapacity)] private struct NameBuffer { private byte first; }
    [InlineArray(VolumeCapacity)] private struct VolumeSlots { private StoreVolume first; }
    [InlineArray(RequestCapacity)] private struct RequestSlots { private Request first; }

    internal StoreHost* Host;
    internal BlockRegistry* Disks;
    private VolumeSlots volumes;
    private RequestSlots requests;
    private int busy;           // volumes that are being mounted
    private int nextToLook;     // of the registry's disks
    private bool isLooking;
    private WorkItem work;

    public void Initialize(StoreHost* host, BlockRegistry* disks)
    {
        Host = host;
        Disks = disks;
        fixed (ImageStore* self = &this) work = new WorkItem { Handler = &OnWork, Context = self };
    }

    public StoreVolume* Volume(int index) => (StoreVolume*)Unsafe.AsPointer(ref volumes) + index;
    private Request* At(int index) => (Request*)Unsafe.AsPointer(ref requests) + index;

    /// <summary>
    /// Opens an image. <paramref name="opened"/> is called later, with the disk or with null and why not. False: too many are waiting, or the name
    /// is too long.
    /// </summary>
    /// <param name="name">VOLUME:/path; the volume by its label, or by the name of its disk or partition.</param>
    public bool TryOpen(ReadOnlySpan<byte> name, bool writable, delegate*<void*, ImageDisk*, ImageStatus, void> opened, void* context)
    {
        if (name.Length > NameCapacity) return false;
        int place = 0;
        while (place < RequestCapacity && At(place)->IsUsed) place++;
        if (place == RequestCapacity) return false;
        Request* request = At(place);
        *request = new Request { Opened = opened, Context = context, IsUsed = true, IsWritable = writable, NameLength = name.Length };
        name.CopyTo(new Span<byte>(Unsafe.AsPointer(ref request->Name), NameCapacity));
        LookSoon();
        return true;
    }

    // Not at once: whoever calls may be at work in a volume that this lets go of.
    internal void LookSoon()
    {
        fixed (WorkItem* item = &work) Host->Queue(item);
    }

    private static void OnWork(void* context)
    {
        ImageStore* store = (ImageStore*)context;
        bool isMissing = false;
        for (int i = 0; i < VolumeCapacity; i++)
            if (store->Volume(i)->State == StoreVolumeState.Unusable) StoreVolume.Release(store->Volume(i));
        // Once for each request: what was no volume then is none for it.
        for (int i = 0; i < RequestCapacity; i++)
        {
            isMissing |= store->At(i)->IsUsed && !store->At(i)->HasLooked && !store->IsHeld(store->At(i));
            store->At(i)->HasLooked = true;
        }
        if (isMissing)
        {
            store->isLooking = true;
            store->nextToLook = 0;
        }
        if (store->isLooking) store->LookAround();
        store->Proceed();
    }

    private bool IsHeld(Request* request)
    {
        StoreVolume* volume = FindFor(in *request, out _);
        return volume != null && volume->Claim != null;
    }

    /// <summary>
    /// Looks at all disks and partitions that nobody uses; what is no exFAT is let go at once, what is not wanted afterwards. Where there
    /// are more of them than places, it goes on when those before have settled.
    /// </summary>
    private void LookAround()
    {
        for (; nextToLook < Disks->Count; nextToLook++)
        {
            DiskEntry* entry = Disks->At(nextToLook);
            // A file system's first sector ends as an MBR does: what has no partitions may be a volume as a whole.
            bool mayHold = entry->IsReady && (entry->IsPartition || entry->PartitionCount == 0);
            // 4 KiB sectors would want reads before writes: formats write single sectors of 512 bytes.
            if (!mayHold || entry->Device->Limits.BlockBytes != 512 || Disks->IsClaimed(entry) || IsBeingLookedAt(entry)) continue;
            if (!TryPlace(out StoreVolume* volume))
            {
                if (busy != 0) return;
                break;
            }
            fixed (ImageStore* self = &this)
                if (StoreVolume.TryBeginMount(volume, self, entry)) busy++;
        }
        isLooking = false;
    }

    private bool IsBeingLookedAt(DiskEntry* entry)
    {
        for (int i = 0; i < VolumeCapacity; i++) if (Volume(i)->State != StoreVolumeState.Free && Volume(i)->Entry == entry) return true;
        return false;
    }

    /// <summary>A place that is free, or that of a volume which nobody has asked for.</summary>
    private bool TryPlace(out StoreVolume* volume)
    {
        for (int i = 0; i < VolumeCapacity; i++)
        {
            volume = Volume(i);
            if (volume->State == StoreVolumeState.Free) return true;
        }
        for (int i = 0; i < VolumeCapacity; i++)
        {
            volume = Volume(i);
            if (!volume->IsMounted || volume->Claim != null || IsWanted(volume)) continue;
            StoreVolume.Release(volume);
            return true;
        }
        volume = null;
        return false;
    }

    private bool IsWanted(StoreVolume* volume)
    {
        for (int i = 0; i < RequestCapacity; i++)
        {
            if (!At(i)->IsUsed) continue;
            ReadOnlySpan<byte> name = new(Unsafe.AsPointer(ref At(i)->Name), At(i)->NameLength);
            name = name.Slice(0, Math.Max(name.IndexOf((byte)':'), 0));
            if (volume->Name.SequenceEqual(name) || IsSame(volume->Label, name)) return true;
        }
        return false;
    }

    internal void VolumeSettled()
    {
        busy--;
        LookSoon();
    }

    /// <summary>When no volume is being mounted any more, nor to be looked at, what waits can be found, or cannot.</summary>
    private void Proceed()
    {
        for (int i = 0; busy == 0 && i < RequestCapacity; i++)
            if (At(i)->IsUsed) Proceed(At(i));
        for (int i = 0; busy == 0 && i < VolumeCapacity; i++)
            if (Volume(i)->IsMounted) StoreVolume.LetGoIfUnused(Volume(i));
    }

    private void Proceed(Request* request)
    {
        StoreVolume* volume = FindFor(in *request, out ReadOnlySpan<byte> path);
        if (volume == null)
        {
            Answer(request, ImageStatus.NoVolume);
            return;
        }
        if (volume->Claim == null)
        {
            if (StoreVolume.TryClaim(volume)) busy++;
            else Answer(request, ImageStatus.Busy);
            return;
        }
        if (request->IsWritable && volume->IsDamaged)
        {
            Answer(request, ImageStatus.ReadOnly);
            return;
        }
        if (ImageDisk.TryBeginOpen(Host, volume, path, request->IsWritable, 0, request->Opened, request->Context)) request->IsUsed = false;
        else Answer(request, ImageStatus.NoMemory);
    }

    private static void Answer(Request* request, ImageStatus why)
    {
        request->IsUsed = false;
        request->Opened(request->Context, null, why);
    }

    private StoreVolume* FindFor(in Request request, out ReadOnlySpan<byte> path)
    {
        fixed (NameBuffer* buffer = &request.Name)
        {
            ReadOnlySpan<byte> name = new(buffer, request.NameLength);
            int colon = name.IndexOf((byte)':');
            path = name.Slice(colon + 1);
            return colon < 0 ? null : Find(name.Slice(0, colon), out _);
        }
    }

    /// <summary>A mounted volume by its label, without regard to the case of ASCII letters, or by its disk's or partition's name; null: none, or several.</summary>
    public StoreVolume* Find(ReadOnlySpan<byte> name, out bool isAmbiguous)
    {
        StoreVolume* found = null;
        isAmbiguous = false;
        for (int i = 0; i < VolumeCapacity; i++)
        {
            StoreVolume* volume = Volume(i);
            if (!volume->IsMounted) continue;
            if (volume->Name.SequenceEqual(name)) return volume;
            if (!IsSame(volume->Label, name)) continue;
            isAmbiguous |= found != null;
            found = volume;
        }
        return isAmbiguous ? null : found;
    }

    private static bool IsSame(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length != right.Length) return false;
        for (int i = 0; i < left.Length; i++) if (Lower(left[i]) != Lower(right[i])) return false;
        return true;
    }

    private static byte Lower(byte letter) => letter is >= (byte)'A' and <= (byte)'Z' ? (byte)(letter | 0x20) : letter;
}

public static class ImageStatusText
{
    /// <summary>Why an image could not be opened, as the end of a sentence.</summary>
    public static ReadOnlySpan<byte> Text(this ImageStatus status) => status switch
    {
        ImageStatus.Success => "is open"u8,
        ImageStatus.InputOutputError => "cannot be read"u8,
        ImageStatus.Invalid => "is damaged, or no disk image"u8,
        ImageStatus.Unsupported => "is of a kind that is not supported"u8,
        ImageStatus.OutOfRange => "ends before its content does"u8,
        ImageStatus.ReadOnly => "cannot be written to"u8,
        ImageStatus.NoMemory => "needs more memory than there is, or lies in too many pieces"u8,
        ImageStatus.NeedsReplay => "was not closed and must be opened for writing once"u8,
        ImageStatus.WrongParent => "has a parent that is not the image that it was made from"u8,
        ImageStatus.NoVolume => "is on a volume that was not found"u8,
        ImageStatus.NotFound => "was not found, or its parent was not"u8,
        ImageStatus.NoSpace => "does not fit on its volume"u8,
        ImageStatus.BadName => "has no name that can be used, or its parent has none"u8,
        ImageStatus.WrongKind => "is a folder"u8,
        ImageStatus.Busy => "is in use"u8,
        _ => "cannot be opened"u8,
    };
}
