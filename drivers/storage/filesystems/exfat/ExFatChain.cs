// Follows the clusters of a file from the first on into its run list.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>Part of the volume. A chain that goes round is as long as the file at most.</summary>
internal unsafe struct ExFatChain
{
    private ExFatFile* file;
    private uint cluster, wanted;
    private bool toItsEnd;

    /// <summary>The file's <see cref="ExFatFile.TakeSet"/> was true.</summary>
    public void Begin(ExFatFile* of)
    {
        this = default;
        file = of;
        cluster = of->Set.Stream->FirstCluster;
        wanted = of->DiskClusters;
    }

    /// <summary>The root directory has no length but its chain's.</summary>
    public void BeginRoot(ExFatFile* root)
    {
        this = default;
        file = root;
        cluster = root->Volume->RootCluster;
        wanted = ExFatVolume.MaximumDirectoryBytes >> root->Volume->ClusterShift;
        toItsEnd = true;
    }

    /// <summary>True with a step to perform, false with the outcome.</summary>
    public bool Advance(out BlockStep step, out ImageStatus status)
    {
        step = default;
        status = ImageStatus.Success;
        ExFatVolume* volume = file->Volume;
        if (file->Contiguous && wanted != 0)
        {
            status = wanted > volume->Bitmap.End - cluster ? ImageStatus.Invalid : file->TryAppend(cluster, wanted) ? ImageStatus.Success : ImageStatus.NoMemory;
            return false;
        }
        while (file->ClusterCount < wanted)
        {
            if (!volume->IsCluster(cluster)) return Fail(ImageStatus.Invalid, out status);
            if (file->ClusterCount + 1 == wanted && !toItsEnd)
            {
                status = file->TryAppend(cluster, 1) ? ImageStatus.Success : ImageStatus.NoMemory;
                return false;
            }
            if (!volume->TryFatEntry(cluster, out uint* next, out step)) return true;
            if (!file->TryAppend(cluster, 1)) return Fail(ImageStatus.NoMemory, out status);
            cluster = *next;
            if (cluster == ExFatBootSector.EndOfChain) return toItsEnd ? false : Fail(ImageStatus.Invalid, out status);
        }
        return toItsEnd ? Fail(ImageStatus.Invalid, out status) : false;
    }

    private static bool Fail(ImageStatus with, out ImageStatus status)
    {
        status = with;
        return false;
    }
}
