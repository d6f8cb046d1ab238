// Leaves a volume as other systems expect it: nothing pending, and not marked dirty.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// Lives at a fixed address until it is finished. Busy when an open file has requests running or needs a flush. The volume stays mounted and may
/// be used on: call this before power goes, and best whenever nothing has been written for a while.
/// </summary>
public unsafe struct ExFatUnmount
{
    private enum State : byte { Start, Bitmap, Flush, Boot, LastFlush, Finished }

    private readonly ExFatVolume* volume;
    private State state;

    public ExFatUnmount(ExFatVolume* volume)
    {
        this = default;
        this.volume = volume;
    }

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before (true at first and after a wait).</summary>
    public BlockStep Advance(bool success)
    {
        fixed (ExFatUnmount* self = &this)
        {
            if (!success)
            {
                volume->StepFailed(self);
                return Finish(ImageStatus.InputOutputError);
            }
            switch (state)
            {
                case State.Start:
                    if (!volume->IsMounted) return Finish(ImageStatus.Invalid);
                    if (!volume->TryHold(self)) return BlockStep.Of(StepKind.Wait);
                    for (ExFatFile* file = volume->FirstOpen; file != null; file = file->NextOpen)
                        if (file->Running != 0 || file->NeedsFlush) return Finish(ImageStatus.Busy);
                    if (!volume->IsDirtyOnDisk) return Finish(ImageStatus.Success);
                    goto case State.Bitmap;
                case State.Bitmap:
                    state = State.Bitmap;
                    if (!volume->IsBitmapWritten(out BlockStep step)) return step;
                    return Then(State.Flush, BlockStep.Of(StepKind.Flush));
                case State.Flush: return Then(State.Boot, volume->WriteClean());
                case State.Boot: return Then(State.LastFlush, BlockStep.Of(StepKind.Flush));
                default: return Finish(state == State.LastFlush ? ImageStatus.Success : ImageStatus.Invalid);
            }
        }
    }

    private BlockStep Finish(ImageStatus status)
    {
        fixed (ExFatUnmount* self = &this) volume->Release(self);
        return Then(State.Finished, BlockStep.Finish(status));
    }

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}
