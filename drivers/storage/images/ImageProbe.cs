// Tells by content which format a file is of.
using System;

namespace Lamina.Drivers.Storage.Images;

public enum ImageFormat : byte { Unknown, Vhd, Vhdx }

/// <summary>
/// Do the steps of <see cref="Advance"/>, then look at <see cref="Format"/>. Only for files that are known to be images: the first sector of
/// a raw disk and of a fixed VHD is its guest's, as the last of a VHDX may be. A file that looks like both is refused for that reason;
/// whoever may say which it is should.
/// </summary>
public unsafe struct ImageProbe
{
    public const uint WorkspaceBytes = 512;

    private enum State : byte { Start, First, Last, Finished }

    private readonly byte* sector;
    private readonly ulong fileBytes;
    private State state;
    private bool beginsAsVhdx, beginsAsVhd;

    /// <param name="workspace"><see cref="WorkspaceBytes"/>, 8-byte aligned.</param>
    /// <param name="fileBytes">The file's present length.</param>
    public ImageProbe(byte* workspace, ulong fileBytes)
    {
        this = default;
        sector = workspace;
        this.fileBytes = fileBytes;
    }

    public ImageFormat Format { get; private set; }

    public BlockStep Advance(bool success)
    {
        if (!success) return Finish(ImageStatus.InputOutputError);
        switch (state)
        {
            case State.Start:
                if (fileBytes < 512 || fileBytes > long.MaxValue) return Finish(ImageStatus.Success);
                state = State.First;
                return BlockStep.Metadata(StepKind.Read, 0, sector, 512);
            case State.First:
                beginsAsVhdx = new ReadOnlySpan<byte>(sector, 8).SequenceEqual(VhdxLayout.Signature);
                beginsAsVhd = VhdFooter.IsValid(sector) && VhdFooter.Type(sector) != VhdType.Fixed;
                state = State.Last;
                return BlockStep.Metadata(StepKind.Read, (fileBytes & ~511UL) - 512, sector, 512);
            case State.Last:
                bool endsAsVhd = fileBytes % 512 == 0 && VhdFooter.IsValid(sector);
                if (beginsAsVhdx && endsAsVhd) return Finish(ImageStatus.Invalid);
                Format = beginsAsVhdx ? ImageFormat.Vhdx : beginsAsVhd || endsAsVhd ? ImageFormat.Vhd : ImageFormat.Unknown;
                return Finish(ImageStatus.Success);
            default:
                return Finish(ImageStatus.Invalid);
        }
    }

    private BlockStep Finish(ImageStatus status)
    {
        state = State.Finished;
        return BlockStep.Finish(status);
    }
}
