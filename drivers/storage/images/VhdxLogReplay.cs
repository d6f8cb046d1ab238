// Finds the active sequence of a VHDX file's log and writes to the file what it says. MS-VHDX, "Log Replay".
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// <see cref="TryFind"/> until it returns false, then, if <see cref="Status"/> is success, <see cref="TryReplay"/> in the same way.
/// Reads each sector of the log at most three times whatever it holds: what begins an entry can be in no other's middle.
/// </summary>
internal unsafe struct VhdxLogReplay
{
    public const uint WorkspaceBytes = 2 * Sector, MaximumLogBytes = 256 << 20;

    private const uint Sector = VhdxLogEntryHeader.SectorBytes;
    // A region is at most 4 GiB long: nobody has reason to clear more at once.
    private const ulong MaximumZeroBytes = 4UL << 30;
    private const uint ZeroStepBytes = 1 << 30;

    private enum Phase : byte { Start, Sector, Extend, Entry, Descriptors, Data, Zero, Write, Done }

    private readonly byte* descriptors, data;
    private readonly ulong logOffset, fileBytes;
    private readonly uint logBytes;
    private readonly VhdxGuid guid;
    private Phase phase;

    // The entry that is looked at.
    private VhdxLogEntryHeader entry;
    private uint entryAt, sectorIndex, dataCount, crc, descriptorIndex;

    // The run of entries of consecutive numbers that begins at runStart, and the best one so far.
    private uint scanned, runStart, runBytes, runTail;
    private ulong runSequence, runFlushed, runLast;
    private uint tail;
    private ulong headSequence, headLast;
    private ulong zeroAt, zeroEnd;

    /// <param name="workspace"><see cref="WorkspaceBytes"/>, 8-byte aligned.</param>
    public VhdxLogReplay(byte* workspace, VhdxHeader* header, ulong fileBytes)
    {
        this = default;
        descriptors = workspace;
        data = workspace + Sector;
        logOffset = header->LogOffset;
        logBytes = header->LogLength;
        guid = header->LogGuid;
        this.fileBytes = fileBytes;
    }

    public ImageStatus Status { get; private set; }
    /// <summary>What the file has grown to, or not, after the replay.</summary>
    public readonly ulong FileBytes => Math.Max(fileBytes, headLast);

    private readonly ulong At(uint offset) => logOffset + offset % logBytes;

    /// <summary>The next step of the search; false when it has ended.</summary>
    public bool TryFind(out BlockStep step)
    {
        if (phase == Phase.Sector)
        {
            if (!CheckSector()) EndRun();
            else if (sectorIndex == entry.EntryLength / Sector) EndEntry();
        }
        if (scanned >= logBytes)
        {
            // A log that is said to be there must be: what it changed may be half written.
            if (headSequence == 0) Status = ImageStatus.Invalid;
            phase = Phase.Extend;
            step = default;
            return false;
        }
        phase = Phase.Sector;
        step = BlockStep.Metadata(StepKind.Read, At(entryAt + sectorIndex * Sector), descriptors, Sector);
        return true;
    }

    private bool CheckSector()
    {
        if (sectorIndex == 0)
        {
            entry = *(VhdxLogEntryHeader*)descriptors;
            dataCount = 0;
            if (!IsPlausible(entry) || runBytes + (ulong)entry.EntryLength > logBytes || (runBytes != 0 && entry.SequenceNumber != runSequence + 1)) return false;
            crc = Checksums.BeginCrc32C(descriptors, Sector, 4);
        }
        else crc = Checksums.ContinueCrc32C(crc, descriptors, Sector);

        if (sectorIndex < entry.DescriptorSectors)
        {
            if (!CheckDescriptors()) return false;
            if (sectorIndex == entry.DescriptorSectors - 1 && entry.DescriptorSectors + dataCount != entry.EntryLength / Sector) return false;
        }
        else if (!VhdxLogDataSector.IsValid(descriptors, entry.SequenceNumber)) return false;
        sectorIndex++;
        return sectorIndex != entry.EntryLength / Sector || Checksums.EndCrc32C(crc) == entry.Checksum;
    }

    private readonly bool IsPlausible(in VhdxLogEntryHeader header) =>
        header.Signature == VhdxLogEntryHeader.SignatureValue && header.EntryLength % Sector == 0 && header.EntryLength != 0 && header.EntryLength <= logBytes &&
        header.Tail % Sector == 0 && header.Tail < logBytes && header.SequenceNumber != 0 && header.LogGuid.Equals(guid) &&
        header.DescriptorSectors <= header.EntryLength / Sector;

    private bool CheckDescriptors()
    {
        uint before = sectorIndex == 0 ? 0 : VhdxLogEntryHeader.FirstDescriptors + (sectorIndex - 1) * 128;
        uint count = Math.Min(sectorIndex == 0 ? VhdxLogEntryHeader.FirstDescriptors : 128, entry.DescriptorCount - before);
        VhdxLogDescriptor* descriptor = (VhdxLogDescriptor*)(descriptors + (sectorIndex == 0 ? VhdxLogEntryHeader.Bytes : 0));
        for (uint i = 0; i < count; i++)
        {
            if (descriptor[i].SequenceNumber != entry.SequenceNumber || descriptor[i].FileOffset % Sector != 0) return false;
            if (descriptor[i].Signature == VhdxLogDescriptor.Data) dataCount++;
            else if (descriptor[i].Signature != VhdxLogDescriptor.Zero || descriptor[i].LeadingBytes % Sector != 0) return false;
        }
        return true;
    }

    private void EndEntry()
    {
        runSequence = entry.SequenceNumber;
        runTail = entry.Tail;
        runFlushed = entry.FlushedFileOffset;
        runLast = entry.LastFileOffset;
        runBytes += entry.EntryLength;
        entryAt = (entryAt + entry.EntryLength) % logBytes;
        sectorIndex = 0;
        if (runBytes == logBytes) EndRun();
    }

    private void EndRun()
    {
        if (runBytes != 0 && (runTail + logBytes - runStart) % logBytes < runBytes && runSequence > headSequence)
        {
            headSequence = runSequence;
            tail = runTail;
            headLast = runLast;
            Status = runFlushed > fileBytes || runLast > VhdxLayout.MaximumFileBytes ? ImageStatus.Invalid : ImageStatus.Success;
        }
        // The parts of a run whose tail lies outside of it are none better.
        scanned += runBytes == 0 ? Sector : runBytes;
        runStart = runBytes == 0 ? (runStart + Sector) % logBytes : (runStart + runBytes) % logBytes;
        entryAt = runStart;
        runBytes = 0;
        sectorIndex = 0;
    }

    /// <summary>The next step of the replay; false when it has ended.</summary>
    public bool TryReplay(out BlockStep step)
    {
        step = default;
        switch (phase)
        {
            case Phase.Extend:
                entryAt = tail;
                runBytes = 0;
                runSequence = 0;
                phase = Phase.Entry;
                headLast &= ~511UL;
                if (headLast > fileBytes) step = new BlockStep { Kind = StepKind.WriteZeros, Offset = headLast - 512, Length = 512 };
                else return ReadEntry(out step);
                return true;
            case Phase.Entry:
                return ReadEntry(out step);
            case Phase.Descriptors:
                return sectorIndex == 0 ? BeginEntry(out step) : NextDescriptor(out step);
            case Phase.Data:
                VhdxLogDescriptor* descriptor = Descriptor;
                if (!VhdxLogDataSector.IsValid(data, entry.SequenceNumber)) return End(ImageStatus.Invalid, out step);
                VhdxLogDataSector.Restore(data, descriptor);
                phase = Phase.Write;
                step = BlockStep.Metadata(StepKind.Write, descriptor->FileOffset, data, Sector);
                return true;
            case Phase.Zero:
                if (zeroAt < zeroEnd) return NextZeros(out step);
                goto case Phase.Write;
            case Phase.Write:
                descriptorIndex++;
                return NextDescriptor(out step);
            default:
                return false;
        }
    }

    private bool ReadEntry(out BlockStep step)
    {
        sectorIndex = 0;
        phase = Phase.Descriptors;
        step = BlockStep.Metadata(StepKind.Read, At(entryAt), descriptors, Sector);
        return true;
    }

    private bool BeginEntry(out BlockStep step)
    {
        entry = *(VhdxLogEntryHeader*)descriptors;
        // Found valid a moment ago, but for a tail that points between entries.
        if (!IsPlausible(entry) || runBytes + (ulong)entry.EntryLength > logBytes || entry.SequenceNumber > headSequence || (runSequence != 0 && entry.SequenceNumber != runSequence + 1))
            return End(ImageStatus.Invalid, out step);
        runSequence = entry.SequenceNumber;
        runBytes += entry.EntryLength;
        descriptorIndex = 0;
        dataCount = 0;
        return NextDescriptor(out step);
    }

    private readonly uint DescriptorSector => descriptorIndex < VhdxLogEntryHeader.FirstDescriptors ? 0 : 1 + (descriptorIndex - VhdxLogEntryHeader.FirstDescriptors) / 128;

    private readonly VhdxLogDescriptor* Descriptor => sectorIndex == 0
        ? (VhdxLogDescriptor*)(descriptors + VhdxLogEntryHeader.Bytes) + descriptorIndex
        : (VhdxLogDescriptor*)descriptors + (descriptorIndex - VhdxLogEntryHeader.FirstDescriptors) % 128;

    private bool NextDescriptor(out BlockStep step)
    {
        for (; ; descriptorIndex++)
        {
            if (descriptorIndex == entry.DescriptorCount)
            {
                if (entry.SequenceNumber == headSequence) return End(ImageStatus.Success, out step);
                entryAt = (entryAt + entry.EntryLength) % logBytes;
                return ReadEntry(out step);
            }
            if (DescriptorSector != sectorIndex)
            {
                sectorIndex = DescriptorSector;
                phase = Phase.Descriptors;
                step = BlockStep.Metadata(StepKind.Read, At(entryAt + sectorIndex * Sector), descriptors, Sector);
                return true;
            }
            VhdxLogDescriptor* descriptor = Descriptor;
            bool zeros = descriptor->Signature == VhdxLogDescriptor.Zero;
            ulong length = zeros ? descriptor->LeadingBytes : Sector;
            if (descriptor->SequenceNumber != entry.SequenceNumber || !IsTarget(descriptor->FileOffset, length)) return End(ImageStatus.Invalid, out step);
            if (!zeros)
            {
                phase = Phase.Data;
                step = BlockStep.Metadata(StepKind.Read, At(entryAt + (uint)(entry.DescriptorSectors + dataCount++) * Sector), data, Sector);
                return true;
            }
            zeroAt = descriptor->FileOffset;
            zeroEnd = zeroAt + length;
            phase = Phase.Zero;
            if (length != 0) return NextZeros(out step);
        }
    }

    private bool NextZeros(out BlockStep step)
    {
        uint length = (uint)Math.Min(zeroEnd - zeroAt, ZeroStepBytes);
        step = new BlockStep { Kind = StepKind.WriteZeros, Offset = zeroAt, Length = length };
        zeroAt += length;
        return true;
    }

    /// <summary>Neither the headers nor the log itself, and nothing beyond what the head says is allocated.</summary>
    private readonly bool IsTarget(ulong offset, ulong length)
    {
        ulong end = FileBytes;
        if (offset % Sector != 0 || length % Sector != 0 || length > MaximumZeroBytes || offset < VhdxLayout.RegionTableOffset || offset > end || length > end - offset) return false;
        return offset + length <= logOffset || offset >= logOffset + logBytes;
    }

    private bool End(ImageStatus status, out BlockStep step)
    {
        Status = status;
        phase = Phase.Done;
        step = default;
        return false;
    }
}
