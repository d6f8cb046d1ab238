// Ports and connections of one partition, by number. TLFS, "Inter-Partition Communication".
using System.Threading;
using Lamina.Hypervisor.Memory;

namespace Lamina.Hypervisor.Hypercalls;

public enum PortKind : byte
{
    None,
    MessagePort,
    EventPort,
    MessageConnection,
    EventConnection,
}

/// <summary>A port: where something arrives; or a connection: which port of which partition something sent goes to.</summary>
public unsafe struct PortEntry
{
    /// <summary>Port or connection number, 24 bits.</summary>
    public uint Id;
    public PortKind Kind;

    // Of a port
    public byte Sint;
    /// <summary>First flag of an event port, and how many it has.</summary>
    public ushort BaseFlag;
    public ushort FlagCount;
    /// <summary>Of a connection: the port's number.</summary>
    public uint PortId;
    /// <summary>Of a port: the receiving virtual processor; HV_ANY_VP lets the core choose.</summary>
    public uint TargetVp;
    /// <summary>Of a port: the only partition that may connect. Of a connection: the port's partition.</summary>
    public ulong PartitionId;
    /// <summary>Of a message port: physical addresses of the page with its buffers' nodes and of the page with the messages.</summary>
    public ulong Nodes, Messages;

    public readonly bool IsPort => Kind is PortKind.MessagePort or PortKind.EventPort;
    public readonly bool IsConnection => Kind is PortKind.MessageConnection or PortKind.EventConnection;
}

/// <summary>
/// Pages of entries, linked. An entry is kept where its number says if that place is free when it comes, so that finding it
/// rarely takes more than one look. Pages are taken one by one and given back when the partition ends.
/// </summary>
public unsafe struct PortTable<TMap> where TMap : struct, IPhysicalMap
{
    /// <summary>Entries of 48 bytes behind the link of 16.</summary>
    public const int EntriesPerPage = (4096 - 16) / 48;

    private ulong first;

    private static PortEntry* Entries(ulong page) => (PortEntry*)(TMap.ToPointer(page) + 16);
    private static ref ulong Next(ulong page) => ref *(ulong*)TMap.ToPointer(page);

    /// <summary>Finds a port, or a connection, by its number; null when there is none.</summary>
    public readonly PortEntry* Find(uint id, bool port)
    {
        for (ulong page = first; page != 0; page = Next(page))
        {
            PortEntry* entries = Entries(page);
            PortEntry* likely = entries + id % EntriesPerPage;
            if (Is(likely, id, port))
                return likely;
            for (int i = 0; i < EntriesPerPage; i++)
                if (Is(entries + i, id, port)) return entries + i;
        }
        return null;
    }

    private static bool Is(PortEntry* entry, uint id, bool port) => entry->Id == id && (port ? entry->IsPort : entry->IsConnection);

    /// <summary>A free place for a number; null: no place and no page for more. The entry is all zero.</summary>
    public PortEntry* Take(uint id, ref PagePool<TMap> pool)
    {
        for (ulong page = first; page != 0; page = Next(page))
        {
            PortEntry* entries = Entries(page);
            for (int i = 0; i < EntriesPerPage; i++)
            {
                PortEntry* entry = entries + (id + (uint)i) % EntriesPerPage;
                if (entry->Kind == PortKind.None) return entry;
            }
        }
        if (!pool.TryTake(out ulong added))
            return null;
        Next(added) = first;
        // Others look for ports meanwhile: a page is found when it is whole.
        Volatile.Write(ref first, added);
        return Entries(added) + id % EntriesPerPage;
    }

    /// <summary>Puts an entry where <see cref="Take"/> found room: it is found when all of it is there.</summary>
    public static void Publish(PortEntry* place, in PortEntry entry)
    {
        PortKind kind = entry.Kind;
        *place = entry with { Kind = PortKind.None };
        Volatile.Write(ref *(byte*)&place->Kind, (byte)kind);
    }

    /// <summary>Nobody finds the entry any more. What it holds stays for those who have found it, until <see cref="Release"/>.</summary>
    public static void Hide(PortEntry* entry) => Volatile.Write(ref *(byte*)&entry->Kind, (byte)PortKind.None);

    public static void Release(PortEntry* entry) => *entry = default;

    /// <summary>The first entry in use, or null: to take all of them out one after another.</summary>
    public readonly PortEntry* Any()
    {
        for (ulong page = first; page != 0; page = Next(page))
            for (int i = 0; i < EntriesPerPage; i++)
                if (Entries(page)[i].Kind != PortKind.None) return Entries(page) + i;
        return null;
    }

    /// <summary>Gives the pages back; no entry may be in use.</summary>
    public void ReturnPages(ref PagePool<TMap> pool)
    {
        while (first != 0)
        {
            ulong page = first;
            first = Next(page);
            pool.Add(page);
        }
    }
}
