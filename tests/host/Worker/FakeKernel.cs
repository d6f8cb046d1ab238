// What the worker needs of the root kernel, over ordinary memory: a physical address is a pointer.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Registry;
using Lamina.Drivers.Storage.Store;
using Lamina.Root.Hypercalls;
using Lamina.Root.Worker;
using Lamina.Tests.Host.Worker;

namespace Lamina.Root.Kernel
{
    public static unsafe class PhysicalMemory
    {
        private static readonly Dictionary<ulong, ulong> Allocated = [];
        private static ulong _used;

        /// <summary>Pages that there are in all.</summary>
        public static ulong Limit = 1 << 16;

        public static ulong FreePageCount => Limit - _used;

        public static bool TryAllocate(ulong pageCount, ulong alignmentInPages, out ulong physical)
        {
            physical = 0;
            if (pageCount > FreePageCount) return false;
            nuint bytes = (nuint)pageCount * 4096;
            physical = (ulong)NativeMemory.AlignedAlloc(bytes, (nuint)Math.Max(alignmentInPages, 1) * 4096);
            NativeMemory.Clear((void*)physical, bytes);
            Allocated.Add(physical, pageCount);
            _used += pageCount;
            return true;
        }

        public static void Free(ulong physical, ulong pageCount)
        {
            if (!Allocated.Remove(physical, out ulong allocated) || allocated != pageCount) throw new InvalidOperationException("freed what was not allocated");
            foreach (ulong page in FakeCore.PagesOfCore)
                if (page >= physical >> 12 && page < (physical >> 12) + pageCount) throw new InvalidOperationException("freed what the core still has");
            foreach (FakePartition partition in FakeCore.Partitions.Values)
                if (partition.State == 2 && partition.Maps(physical, pageCount)) throw new InvalidOperationException("freed what a partition can still reach");
            NativeMemory.AlignedFree((void*)physical);
            _used -= pageCount;
        }
    }

    public static class ConsoleOutput
    {
        public static readonly List<string> Lines = [];
        public static readonly StringBuilder RawText = new();
        public static void Line(ReadOnlySpan<byte> text) => Lines.Add(Encoding.UTF8.GetString(text));
        public static void Raw(ReadOnlySpan<byte> bytes) => RawText.Append(Encoding.Latin1.GetString(bytes));
    }

    public static class ReferenceClock
    {
        public const ulong TicksPerSecond = 10_000_000;
        public static ulong Now { get; set; } = 1;
    }

    public static unsafe class Executor
    {
        private static WorkQueue _queue;

        public static void Queue(WorkItem* item) => _queue.Add(item);
        public static void Cancel(WorkItem* item) => _queue.Remove(item);

        /// <summary>Runs what is queued, and what that queues.</summary>
        public static void RunQueued()
        {
            while (_queue.TryTake(out WorkItem* item)) item->Handler(item->Context);
        }
    }

    public static unsafe class StorageDrivers
    {
        /// <summary>A machine whose only disks are those that a test adds.</summary>
        public static BlockRegistry* Disks { get; private set; }

        public static void Reset()
        {
            Disks = BlockRegistry.Create((byte*)NativeMemory.AllocZeroed((nuint)BlockRegistry.MemoryBytes + 4096));
            Disks->Complete();
        }
    }

    public static unsafe class ImageVolumes
    {
        public static ImageStore* Store { get; private set; }

        /// <summary>A store over the disks that a test adds; memory is the fake kernel's.</summary>
        public static void Reset()
        {
            var host = (StoreHost*)NativeMemory.AllocZeroed((nuint)sizeof(StoreHost));
            Store = (ImageStore*)NativeMemory.AllocZeroed((nuint)sizeof(ImageStore));
            host->TryAllocate = &TryAllocate;
            host->Free = &Free;
            host->Queue = &Executor.Queue;
            host->Cancel = &Executor.Cancel;
            host->FillRandom = &FillRandom;
            host->ReadClock = &ReadClock;
            Store->Initialize(host, StorageDrivers.Disks);
        }

        private static byte* TryAllocate(ulong bytes) => PhysicalMemory.TryAllocate((bytes + 4095) / 4096, 1, out ulong physical) ? (byte*)physical : null;
        private static void Free(byte* memory, ulong bytes) => PhysicalMemory.Free((ulong)memory, (bytes + 4095) / 4096);
        private static ulong ReadClock() => (ulong)WallClock.UnixSeconds;
        private static void FillRandom(byte* target, uint bytes) => Random.Shared.NextBytes(new Span<byte>(target, (int)bytes));
    }

    public static class RootCounters
    {
        public static bool TryAdd(ref VpStats stats) => true;
    }

    /// <summary>Two processors: one that is busy all the time, and one that sleeps half of it.</summary>
    public static class ProcessorCounters
    {
        public const uint Maximum = 64;

        public static bool TryRead(uint index, out ProcessorReading reading)
        {
            ulong now = ReferenceClock.Now;
            reading = new() { Time = now, Run = index == 0 ? now : now / 2, Switches = 3, Halts = 4, Interrupts = 5 };
            return index < 2;
        }
    }

    public static class WallClock
    {
        public static long UnixSeconds => 1_700_000_000;
    }

    public static unsafe class BootModules
    {
        public static readonly Dictionary<string, byte[]> Files = [];

        public static bool TryFind(ReadOnlySpan<byte> name, out byte* data, out ulong size)
        {
            data = null;
            size = 0;
            if (!Files.TryGetValue(Encoding.UTF8.GetString(name), out byte[] file)) return false;
            size = (ulong)file.Length;
            data = (byte*)NativeMemory.Alloc((nuint)Math.Max(file.Length, 1));
            Marshal.Copy(file, 0, (nint)data, file.Length);
            return true;
        }
    }

    public static class Hypercall
    {
        public static ulong Call(ulong control, ulong inputGpa, ulong outputGpa) => FakeCore.Call(control, inputGpa, outputGpa);
    }
}
