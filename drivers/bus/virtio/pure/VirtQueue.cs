// A split virtqueue as its driver sees it: descriptors out, used elements back, each told the other's wish for quiet.
// Virtio 1.2, "Split Virtqueues".
using System.Runtime.InteropServices;
using System.Threading;

namespace Lamina.Drivers.Bus.Virtio;

/// <summary>A chain that is being written; from <see cref="VirtQueue.TryBegin"/> to <see cref="VirtQueue.End"/>.</summary>
public unsafe struct VirtChain
{
    internal VirtqDesc* Next;
    internal uint Left;
    internal ushort Head;
    internal ushort Index; // of Next, in the ring's table or in an indirect one
    internal bool IsIndirect;
}

/// <summary>
/// Lives in its owner's memory and is used by one thread. What the device writes is read once and checked: a used index or an id that
/// cannot be makes the queue broken for good, and nothing is taken from it any more. What the driver has to remember lies apart from
/// what the device can write.
/// </summary>
public unsafe struct VirtQueue
{
    public const ushort MaximumSize = 1024;
    private const ulong DescBytes = 16;
    private const ushort VIRTQ_AVAIL_F_NO_INTERRUPT = 1, VIRTQ_USED_F_NO_NOTIFY = 1;
    private const ushort None = ushort.MaxValue;

    /// <summary>The driver's own knowledge of a descriptor.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Link
    {
        /// <summary>Whose chain begins here.</summary>
        public uint Owner;
        /// <summary>Descriptors of the chain that begins here and is the device's; else 0.</summary>
        public ushort Count;
        /// <summary>The next free one, or the next of the chain.</summary>
        public ushort Next;
    }

    private VirtqDesc* descriptors;
    private VirtqDesc* tables; // one indirect table a descriptor
    private ulong tablesPhysical;
    private Link* links;
    private ushort* avail; // flags, idx, ring…, used_event
    private ushort* used;  // flags, idx, ring of id and len, 32 bits each…, avail_event
    private uint tableCapacity;
    private bool hasEventIndex;
    private ushort free, freeCount;
    private ushort nextAvail, exposed, nextUsed; // counts, they wrap

    /// <summary>Entries; a power of two.</summary>
    public ushort Size { get; private set; }

    /// <summary>The device broke the rules, or has been given up: nothing goes in or out until the queue is initialised again.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>Where the parts are for the device.</summary>
    public ulong DescPhysical { get; private set; }
    public readonly ulong DriverPhysical => DescPhysical + Size * DescBytes;
    public readonly ulong DevicePhysical => DescPhysical + UsedOffset(Size);

    /// <summary>Chains that are the device's.</summary>
    public readonly uint Outstanding => (ushort)(nextAvail - nextUsed);

    /// <summary>Bytes of memory, 16-byte aligned, for a queue whose indirect tables have <paramref name="tableCapacity"/> entries (0: none).</summary>
    public static ulong SharedBytes(ushort size, uint tableCapacity) => TablesOffset(size) + size * tableCapacity * DescBytes;

    /// <summary>Bytes of memory for what the driver remembers.</summary>
    public static ulong PrivateBytes(ushort size) => (ulong)(size * sizeof(Link));

    /// <summary>
    /// Begins with an empty ring. <paramref name="shared"/> is zeroed memory of <see cref="SharedBytes"/> at <paramref name="physical"/> for the
    /// device, <paramref name="own"/> memory of <see cref="PrivateBytes"/>. The size is a power of two, at most <see cref="MaximumSize"/>.
    /// </summary>
    public void Initialize(ushort size, uint capacityOfTables, bool eventIndex, byte* shared, ulong physical, byte* own)
    {
        this = default;
        Size = size;
        DescPhysical = physical;
        tableCapacity = capacityOfTables;
        hasEventIndex = eventIndex;
        descriptors = (VirtqDesc*)shared;
        avail = (ushort*)(shared + size * DescBytes);
        used = (ushort*)(shared + UsedOffset(size));
        tables = (VirtqDesc*)(shared + TablesOffset(size));
        tablesPhysical = physical + TablesOffset(size);
        links = (Link*)own;
        for (ushort i = 0; i < size; i++) links[i] = new Link { Next = (ushort)(i + 1 < size ? i + 1 : None) };
        freeCount = size;
    }

    /// <summary>Begins a chain of exactly <paramref name="count"/> descriptors; false while there is no room.</summary>
    public bool TryBegin(uint count, uint owner, out VirtChain chain)
    {
        chain = new VirtChain { Left = count, Head = free, Index = free };
        bool indirect = count > 1 && count <= tableCapacity;
        if (count == 0 || freeCount < (indirect ? 1 : count)) return false;
        links[free].Owner = owner;
        links[free].Count = (ushort)(indirect ? 1 : count);
        chain.Next = descriptors + free;
        if (!indirect) return true;
        ulong table = free * (ulong)tableCapacity;
        descriptors[free] = new VirtqDesc { Addr = tablesPhysical + table * DescBytes, Len = count * (uint)DescBytes, Flags = VirtqDesc.VIRTQ_DESC_F_INDIRECT };
        chain.IsIndirect = true;
        chain.Index = 0;
        chain.Next = tables + table;
        free = links[free].Next;
        freeCount--;
        return true;
    }

    /// <summary>The next piece of memory: for the device to read, or to write. Those to read come first.</summary>
    public void Append(ref VirtChain chain, ulong physical, uint length, bool deviceWrites)
    {
        ushort flags = deviceWrites ? VirtqDesc.VIRTQ_DESC_F_WRITE : (ushort)0;
        VirtqDesc* at = chain.Next;
        ushort next;
        if (chain.IsIndirect)
        {
            next = (ushort)(chain.Index + 1);
            chain.Next = at + 1;
        }
        else
        {
            next = links[chain.Index].Next;
            free = next;
            freeCount--;
            chain.Next = descriptors + next;
        }
        chain.Index = next;
        if (--chain.Left != 0) flags |= VirtqDesc.VIRTQ_DESC_F_NEXT;
        *at = new VirtqDesc { Addr = physical, Len = length, Flags = flags, Next = chain.Left != 0 ? next : (ushort)0 };
    }

    /// <summary>Puts a chain into the ring; the device sees it after <see cref="Expose"/>.</summary>
    public void End(ref VirtChain chain)
    {
        avail[2 + (nextAvail & (Size - 1))] = chain.Head;
        nextAvail++;
    }

    /// <summary>The device has been reset: what it had is not taken back from it any more.</summary>
    public void Close() => IsBroken = true;

    /// <summary>Shows the device what has been put into the ring; true: it asks to be notified of that.</summary>
    public bool Expose()
    {
        if (exposed == nextAvail || IsBroken) return false;
        ushort before = exposed;
        exposed = nextAvail;
        Volatile.Write(ref avail[1], nextAvail);
        // The index must be visible before the device's wish is read, or both sides may wait for the other.
        Interlocked.MemoryBarrier();
        if (!hasEventIndex) return (Volatile.Read(ref used[0]) & VIRTQ_USED_F_NO_NOTIFY) == 0;
        ushort availEvent = Volatile.Read(ref used[2 + 4 * Size]);
        return (ushort)(nextAvail - availEvent - 1) < (ushort)(nextAvail - before);
    }

    /// <summary>The next chain that the device is done with; <paramref name="written"/> as the device says it, unchecked.</summary>
    public bool TryTake(out uint owner, out uint written)
    {
        owner = written = 0;
        if (IsBroken) return false;
        ushort ready = (ushort)(Volatile.Read(ref used[1]) - nextUsed);
        if (ready == 0) return false;
        uint* element = (uint*)(used + 2) + 2 * (nextUsed & (Size - 1));
        uint id = Volatile.Read(ref element[0]);
        written = Volatile.Read(ref element[1]);
        if (ready > (ushort)(exposed - nextUsed) || id >= Size || links[id].Count == 0)
        {
            IsBroken = true;
            return false;
        }
        owner = links[id].Owner;
        Release((ushort)id);
        nextUsed++;
        return true;
    }

    /// <summary>No interrupts, please: completions are being taken. With an event index that is so by itself, as it is not moved.</summary>
    public readonly void Quiet()
    {
        if (!hasEventIndex) Volatile.Write(ref avail[0], VIRTQ_AVAIL_F_NO_INTERRUPT);
    }

    /// <summary>An interrupt at the next completion, please. False: there is something to take already.</summary>
    public readonly bool TryRest()
    {
        if (hasEventIndex) Volatile.Write(ref avail[2 + Size], nextUsed);
        else Volatile.Write(ref avail[0], (ushort)0);
        Interlocked.MemoryBarrier();
        return IsBroken || Volatile.Read(ref used[1]) == nextUsed;
    }

    private void Release(ushort head)
    {
        ushort count = links[head].Count, last = head;
        links[head].Count = 0;
        for (int i = 1; i < count; i++) last = links[last].Next;
        links[last].Next = free;
        free = head;
        freeCount += count;
    }

    // The available ring has two words before its entries and one after, the used ring is 4-byte aligned.
    private static ulong UsedOffset(ushort size) => (size * DescBytes + 2UL * (3u + size) + 3) & ~3UL;
    private static ulong TablesOffset(ushort size) => (UsedOffset(size) + 2UL * 3 + 8UL * size + 15) & ~15UL;
}
