// Ports that go away take the messages with them that nobody has received yet.
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Synic;

namespace Lamina.Hypervisor.Hypercalls;

public static unsafe class Ports
{
    /// <summary>Buffers of a message port: 16, as TLFS, "Guest Message Buffers" has them. False: not enough memory in the account; nothing was taken.</summary>
    internal static bool TryTakeBuffers(Partition* owner, out ulong nodes, out ulong messages)
    {
        messages = 0;
        if (!owner->Account.TryTake(out nodes))
            return false;
        if (!owner->Account.TryTake(out messages))
        {
            owner->Account.AddZeroed(nodes);
            nodes = 0;
            return false;
        }
        MessageBufferPool.Initialize((MessageBufferPool*)PhysicalMap.ToPointer(nodes), (HvMessage*)PhysicalMap.ToPointer(messages));
        return true;
    }

    /// <summary>The virtual processor that a port delivers to, or null while it does not exist.</summary>
    internal static VirtualProcessor* TargetOf(Partition* owner, PortEntry* port)
    {
        if (!new VpIndex(port->TargetVp).IsAny)
            return owner->GetVp(port->TargetVp);
        for (uint i = 0; i < Partition.MaximumVps; i++)
            if (owner->GetVp(i) != null) return owner->GetVp(i);
        return null;
    }

    /// <summary>Removes a port or a connection. Connections to a port that is gone stay, and lead nowhere.</summary>
    internal static void Delete(Partition* owner, PortEntry* entry)
    {
        bool hasBuffers = entry->Kind == PortKind.MessagePort;
        PortTable<PhysicalMap>.Hide(entry);
        Quiescence.LeaveAll();
        if (hasBuffers)
        {
            // Its messages wait at whichever processor was the target when they came.
            MessageBufferPool* buffers = (MessageBufferPool*)PhysicalMap.ToPointer(entry->Nodes);
            for (uint i = 0; i < Partition.MaximumVps && !buffers->IsIdle; i++)
            {
                VirtualProcessor* vp = owner->GetVp(i);
                if (vp == null)
                    continue;
                vp->SynicLock.Acquire(LockRank.Synic);
                MessageBufferPool.Withdraw(buffers, ref vp->Synic, entry->Sint);
                vp->SynicLock.Release(LockRank.Synic);
            }
            owner->Account.Add(entry->Nodes);
            owner->Account.Add(entry->Messages);
        }
        PortTable<PhysicalMap>.Release(entry);
    }

    /// <summary>At the partition's end. Its virtual processors are gone already.</summary>
    public static void DeleteAll(Partition* owner)
    {
        PortEntry* entry;
        while ((entry = owner->Ports.Any()) != null)
            Delete(owner, entry);
        Quiescence.LeaveAll();
        owner->Ports.ReturnPages(ref owner->Account);
    }
}
