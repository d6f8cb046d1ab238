// Resolves a path from the root directory on.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>Part of the volume. A found set is the search's.</summary>
internal unsafe struct ExFatWalk
{
    private byte* path;
    private uint length, at;
    private bool forCreation, searching;

    /// <summary>The set of the directory that the last component is looked up in; of none: the root directory.</summary>
    public ExFatSet Parent;
    /// <summary>The path has no component: it names the root directory.</summary>
    public bool IsRoot { get; private set; }
    /// <summary>Only the last component is missing.</summary>
    public bool IsLast { get; private set; }

    /// <param name="creation">Finds a place for an entry set of the last component's name, too.</param>
    public void Begin(byte* of, uint bytes, bool creation)
    {
        this = default;
        path = of;
        length = bytes;
        forCreation = creation;
    }

    /// <summary>Again in the same directory, from its start.</summary>
    public readonly void Restart(ExFatVolume* volume) => volume->Search.Begin(Directory(volume), Slots(volume));

    /// <summary>True with a step to perform, false with the outcome: Success, NotFound, BadName, WrongKind or Invalid.</summary>
    public bool Advance(ExFatVolume* volume, out BlockStep step, out ImageStatus status)
    {
        step = default;
        status = ImageStatus.Success;
        for (; ; )
        {
            if (!searching)
            {
                if (!TryBeginComponent(volume, out status)) return false;
                searching = true;
            }
            switch (volume->Search.Advance(volume, out step))
            {
                case SearchOutcome.Load: return true;
                case SearchOutcome.Damaged: return Finish(ImageStatus.Invalid, out status);
                case SearchOutcome.NotFound: return Finish(ImageStatus.NotFound, out status);
            }
            if (IsLast) return false;
            if (!volume->Search.Set.IsDirectory) return Finish(ImageStatus.WrongKind, out status);
            Parent = volume->Search.Set;
            searching = false;
        }
    }

    private bool TryBeginComponent(ExFatVolume* volume, out ImageStatus status)
    {
        status = ImageStatus.Success;
        if (!ExFatName.SkipSeparators(path, length, ref at))
        {
            IsRoot = true;
            return false;
        }
        if (!volume->Search.Name.TryRead(path, length, ref at)) return Finish(ImageStatus.BadName, out status);
        uint ahead = at;
        IsLast = !ExFatName.SkipSeparators(path, length, ref ahead);
        if (IsLast && forCreation && !volume->Search.Name.MayBeCreated) return Finish(ImageStatus.BadName, out status);
        volume->Search.Begin(Directory(volume), Slots(volume));
        return true;
    }

    private readonly uint Slots(ExFatVolume* volume) =>
        IsLast && forCreation ? 2 + (volume->Search.Name.Length + ExFatSet.NameUnitsPerEntry - 1) / ExFatSet.NameUnitsPerEntry : 0;

    private readonly ExFatCursor Directory(ExFatVolume* volume) => Parent.Count == 0 ? ExFatCursor.AtRoot(volume) : ExFatCursor.At(Parent);

    private static bool Finish(ImageStatus with, out ImageStatus status)
    {
        status = with;
        return false;
    }
}
