// What requests of all image formats have in common, so that one queue runs any of them.

namespace Lamina.Drivers.Storage.Images;

public enum ImageOperation : byte
{
    Read,
    Write,
    /// <summary>What was completed before is on stable storage when this completes.</summary>
    Flush,
    /// <summary>The range's content is not needed any more: whole blocks are given up where the format can, the rest stays as it is.</summary>
    Discard,
    /// <summary>The range reads zero afterwards. No data.</summary>
    WriteZeros,
    /// <summary>Flushes and leaves the file as one that needs no repair; writes that have not finished are refused, as are later ones.</summary>
    Close,
}

/// <summary>One request of an image of type <typeparamref name="TImage"/>; lives at a fixed address until it is finished.</summary>
public unsafe interface IImageRequest<TImage> where TImage : unmanaged
{
    /// <summary>Makes this a new request; what was here before has finished.</summary>
    /// <param name="length">Of reads, writes, discards and zeros: bytes, at most 4 GiB less one sector.</param>
    void Begin(TImage* image, ImageOperation operation, ulong offset, uint length);

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before (true at first and after a wait).</summary>
    BlockStep Advance(bool success);
}
