// Opening an image: its file, its format, its metadata, its parent. Closing: everything durable, and as others expect it.
using System;
using System.Runtime.CompilerServices;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Store;

public unsafe partial struct ImageDisk
{
    /// <summary>UTF-8, without the volume's name.</summary>
    public const int PathCapacity = 256;

    /// <summary>Parents of parents and so on; a ring of images would have no end.</summary>
    private const int MaximumDepth = 16;

    private enum Stage : byte { Path, Probe, Image, Parent, Open, ClosingImage, ClosingFile, Closed }

    private ReadOnlySpan<byte> Path => new(Unsafe.AsPointer(ref path), pathLength);

    /// <summary>
    /// Begins to open a file of a mounted volume. <paramref name="opened"/> is called later with the disk, or with null and why not; a disk
    /// is closed by <see cref="BeginClose"/>. False: no memory, or the path is too long; nothing is called then.
    /// </summary>
    internal static bool TryBeginOpen(StoreHost* host, StoreVolume* volume, ReadOnlySpan<byte> path, bool writable, int depth,
        delegate*<void*, ImageDisk*, ImageStatus, void> opened, void* context)
    {
        ulong bytes = OwnBytes;
        byte* own = path.Length > PathCapacity || depth > MaximumDepth ? null : host->TryAllocate(bytes);
        if (own == null) return false;
        ImageDisk* disk = (ImageDisk*)own;
        disk->ownBytes = bytes;
        disk->host = host;
        disk->volume = volume;
        disk->isWritable = writable;
        disk->depth = depth;
        disk->opened = opened;
        disk->context = context;
        disk->works = (Work*)(disk + 1);
        disk->runs = (ExFatRun*)(disk->works + Slots);
        disk->workspace = (byte*)(((ulong)(disk->runs + RunCapacity) + 4095) & ~4095UL);
        for (uint tag = 0; tag < Slots; tag++)
        {
            Work* work = disk->works + tag;
            work->Disk = disk;
            work->Tag = tag;
            work->File.Task.Finished = &OnStepFinished;
            work->File.Task.Context = work;
        }
        disk->pathLength = path.Length;
        path.CopyTo(new Span<byte>(Unsafe.AsPointer(ref disk->path), PathCapacity));
        disk->open = new ExFatOpen(volume->FileSystem, &disk->file, disk->runs, RunCapacity, (byte*)Unsafe.AsPointer(ref disk->path), (uint)path.Length, writable);
        disk->opener = new StepTask { Advance = &AdvanceOpenFile, Planner = disk, Finished = &OnFileOpened, Context = disk };
        disk->reader.Task.Finished = &OnReaderFinished;
        disk->reader.Task.Context = disk;
        disk->ending = new WorkItem { Handler = &OnEnding, Context = disk };
        volume->OpenFiles++;
        volume->Runner.Start(&disk->opener);
        return true;
    }

    private const uint WorkspaceBytes = VhdxImage.WorkspaceBytes;

    private static ulong OwnBytes => (ulong)sizeof(ImageDisk) + Slots * (ulong)sizeof(Work) + RunCapacity * (ulong)sizeof(ExFatRun) + 4096 + WorkspaceBytes;

    private static BlockStep AdvanceOpenFile(void* planner, bool success, byte* memory) => ((ImageDisk*)planner)->open.Advance(success);

    private static void OnFileOpened(void* context, ImageStatus status)
    {
        ImageDisk* disk = (ImageDisk*)context;
        if (status != ImageStatus.Success)
        {
            Fail(disk, status);
            return;
        }
        disk->stage = Stage.Probe;
        disk->probe = new ImageProbe(disk->workspace, disk->file.DataLength);
        Advance(disk, true, null);
    }

    private static void OnReaderFinished(void* context, ImageStatus status) => Advance((ImageDisk*)context, status == ImageStatus.Success, null);

    /// <summary>Goes on with the planner of the present stage until a step takes time.</summary>
    private static void Advance(ImageDisk* disk, bool success, byte* given)
    {
        while (true)
        {
            BlockStep step = disk->NextStep(success, given);
            given = null;
            success = true;
            switch (step.Kind)
            {
                case StepKind.Finished:
                    if (disk->stage == Stage.ClosingFile) EndLater(disk);   // nobody could do anything about a failure
                    else if (step.Status != ImageStatus.Success) Fail(disk, step.Status);
                    else if (disk->stage == Stage.Probe && disk->TryBeginImage()) continue;
                    else if (disk->stage == Stage.Image) FindParent(disk);
                    else if (disk->stage == Stage.Probe) Fail(disk, ImageStatus.NoMemory);
                    return;
                case StepKind.NeedMemory:
                    given = disk->memory.TryAllocate(disk->host, step.Length);
                    continue;
                default:
                    FileTask.Begin(&disk->reader, &disk->volume->Runner, &disk->file, in step, null, 0);
                    return;
            }
        }
    }

    private BlockStep NextStep(bool success, byte* given) => stage switch
    {
        Stage.Probe => probe.Advance(success),
        Stage.Image when format == ImageFormat.Vhdx => ((ImageEngine<VhdxImage, VhdxRequest>*)engine)->Image.AdvanceOpen(success, given),
        Stage.Image when format == ImageFormat.Vhd => ((ImageEngine<VhdImage, VhdRequest>*)engine)->Image.AdvanceOpen(success, given),
        _ => BlockStep.Finish(success ? ImageStatus.Success : ImageStatus.InputOutputError),
    };

    /// <summary>The format is known: makes the image. False: no memory.</summary>
    private bool TryBeginImage()
    {
        stage = Stage.Image;
        format = ForceRaw() ? ImageFormat.Unknown : probe.Format;
        ulong bytes = format switch
        {
            ImageFormat.Vhdx => ImageEngine<VhdxImage, VhdxRequest>.Bytes(Slots),
            ImageFormat.Vhd => ImageEngine<VhdImage, VhdRequest>.Bytes(Slots),
            _ => ImageEngine<RawImage, RawRequest>.Bytes(Slots),
        };
        engine = memory.TryAllocate(host, bytes);
        if (engine == null)
        {
            stage = Stage.Probe;
            return false;
        }
        if (format == ImageFormat.Vhdx)
        {
            byte* guids = stackalloc byte[(int)VhdxImage.NewGuidBytes];
            host->FillRandom(guids, VhdxImage.NewGuidBytes);
            ((ImageEngine<VhdxImage, VhdxRequest>*)engine)->Image = new VhdxImage(workspace, file.DataLength, isWritable, guids);
        }
        else if (format == ImageFormat.Vhd) ((ImageEngine<VhdImage, VhdRequest>*)engine)->Image = new VhdImage(workspace, file.DataLength, isWritable);
        else ((ImageEngine<RawImage, RawRequest>*)engine)->Image = new RawImage(file.DataLength, isWritable);
        return true;
    }

    // The content of a raw disk is its guest's: only the name can say that it is one, whatever it looks like.
    private bool ForceRaw() => !EndsWith(Path, ".vhd"u8) && !EndsWith(Path, ".vhdx"u8) && !EndsWith(Path, ".avhd"u8) && !EndsWith(Path, ".avhdx"u8);

    private static bool EndsWith(ReadOnlySpan<byte> text, ReadOnlySpan<byte> lowerCase)
    {
        if (text.Length < lowerCase.Length) return false;
        text = text.Slice(text.Length - lowerCase.Length);
        for (int i = 0; i < text.Length; i++)
            if ((text[i] is >= (byte)'A' and <= (byte)'Z' ? text[i] | 0x20 : text[i]) != lowerCase[i]) return false;
        return true;
    }

    private static void FindParent(ImageDisk* disk)
    {
        if (disk->format == ImageFormat.Unknown && !disk->ForceRaw())
        {
            Fail(disk, ImageStatus.Invalid);
            return;
        }
        bool hasParent = disk->format switch
        {
            ImageFormat.Vhdx => ((ImageEngine<VhdxImage, VhdxRequest>*)disk->engine)->Image.HasParent,
            ImageFormat.Vhd => ((ImageEngine<VhdImage, VhdRequest>*)disk->engine)->Image.Type == VhdType.Differencing,
            _ => false,
        };
        if (!hasParent)
        {
            FinishOpen(disk);
            return;
        }
        disk->stage = Stage.Parent;
        byte* name = stackalloc byte[PathCapacity];
        int length = disk->WriteParentPath(name);
        if (length == 0 || !TryBeginOpen(disk->host, disk->volume, new ReadOnlySpan<byte>(name, length), false, disk->depth + 1, &OnParentOpened, disk))
            Fail(disk, length == 0 ? ImageStatus.BadName : ImageStatus.NoMemory);
    }

    private int WriteParentPath(byte* target)
    {
        if (format == ImageFormat.Vhd)
            return ParentPath.Write(Path, VhdDynamicHeader.ParentName(((ImageEngine<VhdImage, VhdRequest>*)engine)->Image.HeaderData), 512, isBigEndian: true, target, PathCapacity);
        VhdxParentLocator locator = ((ImageEngine<VhdxImage, VhdxRequest>*)engine)->Image.ParentLocator;
        if (!locator.TryFind("relative_path"u8, out byte* value, out uint bytes) && !locator.TryFind("absolute_win32_path"u8, out value, out bytes)) return 0;
        return ParentPath.Write(Path, value, bytes, isBigEndian: false, target, PathCapacity);
    }

    private static void OnParentOpened(void* context, ImageDisk* parent, ImageStatus status)
    {
        ImageDisk* disk = (ImageDisk*)context;
        disk->parent = parent;
        if (status != ImageStatus.Success) Fail(disk, status);
        else if (!disk->IsParentOf()) Fail(disk, ImageStatus.WrongParent);
        else FinishOpen(disk);
    }

    /// <summary>Whether the parent is the image that this one was made from, unchanged since, and can be read by its sectors.</summary>
    private readonly bool IsParentOf()
    {
        if (format != parent->format) return false;
        if (format == ImageFormat.Vhdx)
        {
            VhdxImage* own = &((ImageEngine<VhdxImage, VhdxRequest>*)engine)->Image, from = &((ImageEngine<VhdxImage, VhdxRequest>*)parent->engine)->Image;
            // Of sectors larger than ours it could not be read where ours begin.
            return own->ParentLocator.IsParent(from->DataWriteGuid) && from->SectorBytes <= own->SectorBytes;
        }
        byte* wanted = VhdDynamicHeader.ParentUniqueId(((ImageEngine<VhdImage, VhdRequest>*)engine)->Image.HeaderData);
        byte* has = VhdFooter.UniqueId(((ImageEngine<VhdImage, VhdRequest>*)parent->engine)->Image.FooterData);
        return new ReadOnlySpan<byte>(wanted, 16).SequenceEqual(new ReadOnlySpan<byte>(has, 16));
    }

    private static void FinishOpen(ImageDisk* disk)
    {
        disk->stage = Stage.Open;
        disk->free = uint.MaxValue;
        BlockLimits below = disk->volume->Device->Limits;
        disk->device.Limits = new BlockLimits
        {
            BlockBytes = 512, PhysicalBlockBytes = 4096, MaximumTransferBytes = BlockLimits.LeastTransferBytes, MaximumSegments = BlockLimits.LeastSegments,
            SegmentAlignment = below.SegmentAlignment, NeedsPageSegments = below.NeedsPageSegments, HasWriteCache = true, MaximumInFlight = Slots,
            MaximumDiscardBytes = 1 << 30, IsReadOnly = !disk->isWritable,
        };
        disk->MakeEngine(ref disk->device.Limits);
        disk->device.QueueCount = 1;
        disk->device.Context = disk;
        disk->device.SubmitFunction = &Submit;
        disk->device.KickFunction = &Kick;
        disk->opened(disk->context, disk, ImageStatus.Success);
    }

    private void MakeEngine(ref BlockLimits limits)
    {
        fixed (ImageDisk* self = &this)
            switch (format)
            {
                case ImageFormat.Vhdx:
                    var vhdx = (ImageEngine<VhdxImage, VhdxRequest>*)engine;
                    functions = ImageEngine<VhdxImage, VhdxRequest>.Initialize(vhdx, Slots, self);
                    limits.Bytes = vhdx->Image.VirtualBytes;
                    limits.BlockBytes = vhdx->Image.SectorBytes;
                    limits.PhysicalBlockBytes = vhdx->Image.PhysicalSectorBytes;
                    limits.CanDiscard = !vhdx->Image.IsFixed;
                    limits.CanWriteZeros = true;
                    break;
                case ImageFormat.Vhd:
                    var vhd = (ImageEngine<VhdImage, VhdRequest>*)engine;
                    functions = ImageEngine<VhdImage, VhdRequest>.Initialize(vhd, Slots, self);
                    limits.Bytes = vhd->Image.VirtualBytes;
                    break;
                default:
                    var raw = (ImageEngine<RawImage, RawRequest>*)engine;
                    functions = ImageEngine<RawImage, RawRequest>.Initialize(raw, Slots, self);
                    limits.Bytes = raw->Image.VirtualBytes;
                    limits.CanWriteZeros = true;
                    break;
            }
    }

    private static void Fail(ImageDisk* disk, ImageStatus why)
    {
        disk->failure = why;
        disk->Abandon();
    }

    /// <summary>Begins to close; no request is in flight. <paramref name="closed"/> is called when the disk is gone, not from within this call.</summary>
    public static void BeginClose(ImageDisk* disk, delegate*<void*, void> closed, void* context)
    {
        disk->closed = closed;
        disk->context = context;
        if (!disk->isWritable)
        {
            EndLater(disk);
            return;
        }
        disk->stage = Stage.ClosingImage;
        disk->free = uint.MaxValue & ~1u;
        disk->works[0].Owner = null;
        disk->functions.TryStart(disk->engine, 0, ImageOperation.Close, 0, 0);
    }

    /// <summary>The image has nothing more to write; what its file has in memory follows.</summary>
    private void ImageClosed()
    {
        if (stage != Stage.ClosingImage) return;
        stage = Stage.ClosingFile;
        volume->TellTime();
        file.StampWithNextFlush();
        BlockStep flush = BlockStep.Of(StepKind.Flush);
        fixed (ImageDisk* self = &this) FileTask.Begin(&self->reader, &volume->Runner, &self->file, in flush, null, 0);
    }

    // A completion may be what has it closed, and the disk is at work further up then: its memory goes when that is over.
    private static void EndLater(ImageDisk* disk) => disk->host->Queue(&disk->ending);

    private static void OnEnding(void* context) => ((ImageDisk*)context)->Abandon();

    /// <summary>Lets go of file, parent and memory, in this order, and tells whoever waits for it.</summary>
    private void Abandon()
    {
        bool isOpening = stage < Stage.Open;
        stage = Stage.Closed;
        if (file.IsOpen && !file.TryClose()) file.Abandon();
        fixed (ImageDisk* self = &this)
        {
            if (parent == null) Vanish(self, isOpening);
            else if (isOpening) BeginClose(parent, &OnParentClosedUnopened, self);
            else BeginClose(parent, &OnParentClosed, self);
        }
    }

    private static void OnParentClosedUnopened(void* context) => Vanish((ImageDisk*)context, true);
    private static void OnParentClosed(void* context) => Vanish((ImageDisk*)context, false);

    private static void Vanish(ImageDisk* disk, bool isOpening)
    {
        StoreHost* host = disk->host;
        StoreVolume* volume = disk->volume;
        ImageStatus why = disk->failure;
        void* context = disk->context;
        delegate*<void*, ImageDisk*, ImageStatus, void> opened = disk->opened;
        delegate*<void*, void> closed = disk->closed;
        bool wrote = disk->isWritable;
        disk->memory.FreeAll(host);
        host->Free((byte*)disk, disk->ownBytes);
        StoreVolume.FileClosed(volume, wrote);
        if (isOpening) opened(context, null, why);
        else closed(context);
    }
}
