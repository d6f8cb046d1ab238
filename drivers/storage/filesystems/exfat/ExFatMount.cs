// Mounts a volume: boot region, root directory, allocation bitmap, up-case table. exFAT specification 1.00, "Volume Structure".
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// Lives at a fixed address until it is finished. Call <see cref="Advance"/>, do the step, call it with the outcome. Finishes with Success, or
/// Invalid (no exFAT, or damaged beyond what this may guess), Unsupported (TexFAT, a later revision, an unknown critical entry in the root
/// directory, an allocation bitmap in pieces), NoMemory, InputOutputError.
/// </summary>
public unsafe struct ExFatMount
{
    private enum State : byte { Start, Boot, Checksum, Root, BitmapChain, Memory, Bitmap, UpCase, Finished }

    private const uint ReadBytes = 1 << 20, ProbeBytes = 4096;
    private const int FirstProbe = 9, LastProbe = 12;
    private const ulong SmallestVolume = 1 << 20;

    private readonly ExFatVolume* volume;
    private State state;
    private int probe;                  // sector shift of the backup that is tried; 0: the main region
    private uint checksum, sector, index, cluster;
    private ExFatCursor cursor;
    private ExFatTableEntry bitmap, upCase;
    private ulong done;

    public ExFatMount(ExFatVolume* volume)
    {
        this = default;
        this.volume = volume;
    }

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before, <paramref name="memory"/> what
    /// <see cref="StepKind.NeedMemory"/> asked for (zeroed, or null when there is none): a bit for each cluster, one for each sector of those, and 128 KiB.</summary>
    public BlockStep Advance(bool success, byte* memory)
    {
        if (!success && state is not (State.Boot or State.Checksum)) return Finish(ImageStatus.InputOutputError);
        switch (state)
        {
            case State.Start:
                if (volume->IsMounted || volume->VolumeBytes < SmallestVolume) return Finish(ImageStatus.Invalid);
                return Then(State.Boot, BlockStep.Metadata(StepKind.Read, 0, volume->BootData, ProbeBytes));
            case State.Boot: return AfterBoot(success);
            case State.Checksum: return AfterChecksumSector(success);
            case State.Root: return Root();
            case State.BitmapChain: return BitmapChain();
            case State.Memory:
                if (memory == null) return Finish(ImageStatus.NoMemory);
                volume->UpCase = new ExFatUpCase((char*)memory);
                volume->Bitmap.Attach(memory + ExFatUpCase.Bytes, volume->ClusterCount, volume->SectorShift);
                return ReadBitmap();
            case State.Bitmap: return ReadBitmap();
            case State.UpCase: return ReadUpCase();
            default: return BlockStep.Finish(volume->IsMounted ? ImageStatus.Success : ImageStatus.Invalid);
        }
    }

    private readonly ulong RegionStart => probe == 0 ? 0 : (ulong)ExFatBootSector.RegionSectors << probe;

    private BlockStep AfterBoot(bool success)
    {
        ImageStatus status = success ? volume->Boot->Check(volume->VolumeBytes) : ImageStatus.InputOutputError;
        if (status == ImageStatus.Success && probe != 0 && probe != volume->Boot->BytesPerSectorShift) status = ImageStatus.Invalid;
        if (status != ImageStatus.Success) return NextProbe(status);
        checksum = ExFatBootSector.AddToChecksum(0, volume->BootData, 1u << volume->Boot->BytesPerSectorShift, true);
        sector = 0;
        return NextChecksumSector();
    }

    private BlockStep NextProbe(ImageStatus status)
    {
        probe = probe == 0 ? FirstProbe : probe + 1;
        if (probe > LastProbe || status == ImageStatus.Unsupported) return Finish(status);
        return Then(State.Boot, BlockStep.Metadata(StepKind.Read, RegionStart, volume->BootData, ProbeBytes));
    }

    private BlockStep NextChecksumSector()
    {
        sector++;
        int shift = volume->Boot->BytesPerSectorShift;
        return Then(State.Checksum, volume->Fat.Load(RegionStart + ((ulong)sector << shift), 1u << shift));
    }

    private BlockStep AfterChecksumSector(bool success)
    {
        if (!success) return NextProbe(ImageStatus.InputOutputError);
        int shift = volume->Boot->BytesPerSectorShift;
        byte* data = volume->Fat.At(RegionStart + ((ulong)sector << shift));
        if (sector < ExFatBootSector.ChecksumSector)
        {
            checksum = ExFatBootSector.AddToChecksum(checksum, data, 1u << shift, false);
            return NextChecksumSector();
        }
        for (uint i = 0; i < 1u << shift; i += sizeof(uint))
            if (*(uint*)(data + i) != checksum) return NextProbe(ImageStatus.Invalid);
        return TakeGeometry();
    }

    private BlockStep TakeGeometry()
    {
        ExFatBootSector* boot = volume->Boot;
        volume->Fat.Forget();
        volume->FromBackup = probe != 0;
        if (volume->FromBackup) volume->IsWritable = false;
        volume->SectorShift = boot->BytesPerSectorShift;
        volume->ClusterShift = boot->BytesPerSectorShift + boot->SectorsPerClusterShift;
        volume->FatAt = (ulong)boot->FatOffset << volume->SectorShift;
        volume->FatBytes = (ulong)boot->FatLength << volume->SectorShift;
        volume->HeapAt = (ulong)boot->ClusterHeapOffset << volume->SectorShift;
        volume->RootCluster = boot->FirstClusterOfRootDirectory;
        volume->Bitmap.Attach(null, boot->ClusterCount, volume->SectorShift);
        volume->TakeDirtyFlag();
        cursor = ExFatCursor.AtRoot(volume);
        return Root();
    }

    private BlockStep Root()
    {
        state = State.Root;
        for (; ; )
            switch (cursor.TryEntry(volume, out byte* entry, out _, out BlockStep read))
            {
                case CursorOutcome.Load: return read;
                case CursorOutcome.Damaged: return Finish(ImageStatus.Invalid);
                case CursorOutcome.End: return AfterRoot();
                default:
                    if (*entry == ExFatEntryType.EndOfDirectory) return AfterRoot();
                    ImageStatus status = Take(entry);
                    if (status != ImageStatus.Success) return Finish(status);
                    cursor.MoveNext();
                    break;
            }
    }

    private ImageStatus Take(byte* entry)
    {
        const byte Ignorable = ExFatEntryType.Secondary | ExFatEntryType.Benign;
        switch (*entry)
        {
            case ExFatEntryType.AllocationBitmap:
                if (bitmap.EntryType != 0 || (entry[1] & 1) != 0) return ImageStatus.Invalid;
                bitmap = *(ExFatTableEntry*)entry;
                return ImageStatus.Success;
            case ExFatEntryType.UpCaseTable:
                if (upCase.EntryType != 0) return ImageStatus.Invalid;
                upCase = *(ExFatTableEntry*)entry;
                return ImageStatus.Success;
            case ExFatEntryType.VolumeLabel:
                volume->SetLabel(entry);
                return ImageStatus.Success;
            case ExFatEntryType.File: return ImageStatus.Success;
            default: return (*entry & ExFatEntryType.InUse) != 0 && (*entry & Ignorable) == 0 ? ImageStatus.Unsupported : ImageStatus.Success;
        }
    }

    private BlockStep AfterRoot()
    {
        if (bitmap.EntryType == 0 || upCase.EntryType == 0 || bitmap.DataLength < BitmapBytes) return Finish(ImageStatus.Invalid);
        if (upCase.DataLength is 0 or > ExFatUpCase.Bytes || upCase.DataLength % 2 != 0 || !volume->IsCluster(upCase.FirstCluster)) return Finish(ImageStatus.Invalid);
        if (!volume->IsCluster(bitmap.FirstCluster) || volume->Bitmap.End - bitmap.FirstCluster < volume->ClustersFor(BitmapBytes)) return Finish(ImageStatus.Invalid);
        index = 0;
        return BitmapChain();
    }

    private readonly ulong BitmapBytes => ((ulong)volume->ClusterCount + 7) / 8;

    /// <summary>Formatters lay the bitmap out in one piece; one in several is refused, as writing it would need its chain at hand.</summary>
    private BlockStep BitmapChain()
    {
        state = State.BitmapChain;
        for (; index + 1 < volume->ClustersFor(BitmapBytes); index++)
        {
            if (!volume->TryFatEntry(bitmap.FirstCluster + index, out uint* next, out BlockStep read)) return read;
            if (*next != bitmap.FirstCluster + index + 1) return Finish(volume->IsCluster(*next) ? ImageStatus.Unsupported : ImageStatus.Invalid);
        }
        ulong need = ExFatUpCase.Bytes + ExFatBitmap.MemoryBytes(volume->ClusterCount, volume->SectorShift);
        return Then(State.Memory, new BlockStep { Kind = StepKind.NeedMemory, Length = (uint)need });
    }

    private BlockStep ReadBitmap()
    {
        state = State.Bitmap;
        ulong bytes = ExFatBitmap.BytesOnDisk(volume->ClusterCount, volume->SectorShift);
        if (done == bytes) return AfterBitmap();
        ulong at = done;
        uint length = (uint)Math.Min(ReadBytes, bytes - at);
        done += length;
        return BlockStep.Metadata(StepKind.Read, volume->ClusterOffset(bitmap.FirstCluster) + at, volume->Bitmap.Memory + at, length);
    }

    private BlockStep AfterBitmap()
    {
        volume->Bitmap.FirstClusterOnDisk = bitmap.FirstCluster;
        volume->Bitmap.OffsetOnDisk = volume->ClusterOffset(bitmap.FirstCluster);
        volume->UpCaseFirstCluster = upCase.FirstCluster;
        volume->UpCaseClusters = volume->ClustersFor(upCase.DataLength);
        volume->Bitmap.CountFree();
        cluster = upCase.FirstCluster;
        done = 0;
        return ReadUpCase();
    }

    private BlockStep ReadUpCase()
    {
        state = State.UpCase;
        while (done < upCase.DataLength)
        {
            uint inCluster = (uint)(done & volume->ClusterBytes - 1);
            if (!volume->TryHeap(volume->ClusterOffset(cluster) + inCluster, out byte* data, out BlockStep read)) return read;
            uint window = Math.Min(ExFatWindow.Bytes, volume->ClusterBytes), length = (uint)Math.Min(window - inCluster % window, upCase.DataLength - done);
            bool atEnd = done + length == upCase.DataLength, crosses = inCluster + length == volume->ClusterBytes;
            uint next = cluster;
            if (!atEnd && crosses)
            {
                if (!volume->TryFatEntry(cluster, out uint* link, out read)) return read;
                next = *link;
                if (!volume->IsCluster(next)) return Finish(ImageStatus.Invalid);
            }
            if (!volume->UpCase.Add(data, length)) return Finish(ImageStatus.Invalid);
            cluster = next;
            done += length;
        }
        if (!volume->UpCase.IsSound(upCase.TableChecksum)) return Finish(ImageStatus.Invalid);
        if (!HasOwnClusters()) volume->IsWritable = false;
        volume->IsMounted = true;
        return Finish(ImageStatus.Success);
    }

    private readonly bool HasOwnClusters() => volume->Bitmap.AreUsed(bitmap.FirstCluster, volume->ClustersFor(BitmapBytes))
        && volume->Bitmap.IsUsed(upCase.FirstCluster) && volume->Bitmap.IsUsed(volume->RootCluster);

    private BlockStep Finish(ImageStatus status) => Then(State.Finished, BlockStep.Finish(status));

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}
