// The part of an open image that knows its format: the image, and the queue of its requests.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Store;

/// <summary>What an image disk calls of its format.</summary>
internal unsafe struct ImageFunctions
{
    /// <summary>Engine, tag, operation, offset, length.</summary>
    public delegate*<void*, uint, ImageOperation, ulong, uint, bool> TryStart;
    /// <summary>Engine, tag, outcome of the step.</summary>
    public delegate*<void*, uint, bool, bool> Complete;
}

internal unsafe struct ImageEngine<TImage, TRequest>
    where TImage : unmanaged
    where TRequest : unmanaged, IImageRequest<TImage>
{
    public TImage Image;
    private ImageQueue<TImage, TRequest, ImageFile> queue;

    /// <summary>Bytes of an engine and its slots.</summary>
    public static ulong Bytes(uint slots) => (ulong)sizeof(ImageEngine<TImage, TRequest>) + slots * (ulong)sizeof(ImageSlot<TRequest>);

    /// <summary>The image is open: requests may come. The slots lie behind the engine.</summary>
    public static ImageFunctions Initialize(ImageEngine<TImage, TRequest>* engine, uint slots, ImageDisk* disk)
    {
        engine->queue = new ImageQueue<TImage, TRequest, ImageFile>(&engine->Image, (ImageSlot<TRequest>*)(engine + 1), slots, new ImageFile(disk));
        return new ImageFunctions { TryStart = &TryStart, Complete = &Complete };
    }

    private static bool TryStart(void* engine, uint tag, ImageOperation operation, ulong offset, uint length) =>
        ((ImageEngine<TImage, TRequest>*)engine)->queue.TryStart(tag, operation, offset, length);

    private static bool Complete(void* engine, uint tag, bool success) => ((ImageEngine<TImage, TRequest>*)engine)->queue.Complete(tag, success);
}

/// <summary>The file under an image, as its queue sees it.</summary>
internal readonly unsafe struct ImageFile(ImageDisk* disk) : IBlockFile
{
    private readonly ImageDisk* disk = disk;

    public void Submit(uint tag, in BlockStep step) => ImageDisk.Perform(disk, tag, in step);
    public void Finished(uint tag, ImageStatus status) => ImageDisk.Finished(disk, tag, status);
}
