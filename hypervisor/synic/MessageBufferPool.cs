// The sixteen message buffers of a port.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;

namespace Lamina.Hypervisor.Synic;

/// <summary>
/// Message buffers of one port. TLFS, "Guest Message Buffers": sixteen per port, from the port owner's memory.
/// Lock-free: any processor may take one, delivery gives it back. Must not move once initialised.
/// </summary>
public unsafe struct MessageBufferPool
{
    public const int BufferCount = 16;
    private const uint AllFree = (1u << BufferCount) - 1;

    [InlineArray(BufferCount)]
    private struct Nodes { private PendingMessage _first; }

    private Nodes _nodes;
    private uint _free;

    /// <param name="pool">Where the pool lies.</param>
    /// <param name="messages">Memory for <see cref="BufferCount"/> messages: one page.</param>
    public static void Initialize(MessageBufferPool* pool, HvMessage* messages)
    {
        for (int i = 0; i < BufferCount; i++) Node(pool, i)->InitializePooled(messages + i, &pool->_free, 1u << i);
        Volatile.Write(ref pool->_free, AllFree);
    }

    /// <summary>Takes a free buffer to fill and enqueue. False: HV_STATUS_INSUFFICIENT_BUFFERS.</summary>
    public static bool TryTake(MessageBufferPool* pool, out PendingMessage* node)
    {
        node = null;
        uint free = Volatile.Read(ref pool->_free);
        while (free != 0)
        {
            uint seen = Interlocked.CompareExchange(ref pool->_free, free & (free - 1), free);
            if (seen == free)
            {
                node = Node(pool, BitOperations.TrailingZeroCount(free));
                return true;
            }
            free = seen;
        }
        return false;
    }

    /// <summary>Gives back a buffer that was taken but not enqueued.</summary>
    public static void Return(PendingMessage* node) => node->Release();

    /// <summary>Takes every queued message of the port out of a SINT's queue, for the port's deletion.</summary>
    public static void Withdraw(MessageBufferPool* pool, ref SynicState synic, int sint)
    {
        for (int i = 0; i < BufferCount; i++)
            if (Node(pool, i)->IsQueued) synic.Withdraw(sint, Node(pool, i));
    }

    /// <summary>Whether no buffer is in use.</summary>
    public bool IsIdle => Volatile.Read(ref _free) == AllFree;

    private static PendingMessage* Node(MessageBufferPool* pool, int index) => (PendingMessage*)&pool->_nodes + index;
}
