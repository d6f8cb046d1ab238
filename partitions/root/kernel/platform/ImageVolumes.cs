// The images on the machine's volumes, for whoever wants one as a disk.
using System;
using Lamina.Abi;
using Lamina.Drivers.Storage.Store;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class ImageVolumes
{
    private static ImageStore* store;
    private static StoreHost* host;
    private static ulong state;

    public static ImageStore* Store => store;

    /// <summary>After the disks' registry exists. Nothing is read before someone opens an image.</summary>
    public static void Initialize()
    {
        ulong bytes = (ulong)(sizeof(StoreHost) + sizeof(ImageStore));
        host = (StoreHost*)PhysicalMemory.RequirePages(PageCount.ForBytes(bytes).Value);
        store = (ImageStore*)(host + 1);
        host->TryAllocate = &TryAllocate;
        host->Free = &Free;
        host->Queue = &Executor.Queue;
        host->Cancel = &Executor.Cancel;
        host->FillRandom = &FillRandom;
        host->ReadClock = &ReadClock;
        store->Initialize(host, StorageDrivers.Disks);
    }

    private static byte* TryAllocate(ulong bytes) => PhysicalMemory.TryAllocate(PageCount.ForBytes(bytes).Value, 1, out ulong physical) ? (byte*)physical : null;

    private static void Free(byte* memory, ulong bytes) => PhysicalMemory.Free((ulong)memory, PageCount.ForBytes(bytes).Value);

    private static ulong ReadClock() => (ulong)WallClock.UnixSeconds;

    // GUIDs must differ from all others, not be secret: clock, date and counter, mixed by SplitMix64.
    private static void FillRandom(byte* target, uint bytes)
    {
        for (uint i = 0; i < bytes; i++)
        {
            state += 0x9E3779B97F4A7C15 ^ Instructions.RdTsc() ^ (ulong)WallClock.UnixSeconds << 32;
            ulong mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9;
            mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
            target[i] = (byte)(mixed ^ mixed >> 31);
        }
    }
}
