// Messages on their way to a SynIC: an intrusive queue whose nodes the senders own, so that queueing never allocates.
using System.Threading;
using Lamina.Abi;

namespace Lamina.Hypervisor.Synic;

/// <summary>
/// One message waiting for its slot. Whoever embeds the node owns it: a port's pool, or a virtual processor for its
/// intercept message. From <see cref="SynicState.Enqueue"/> until <see cref="IsQueued"/> is false the owner leaves
/// the node and the message alone.
/// </summary>
public unsafe struct PendingMessage
{
    internal PendingMessage* _next;
    private uint* _freeMask;
    private uint _freeBit;
    private uint _queued;
    /// <summary>The message, in memory that no partition can write.</summary>
    public HvMessage* Message;

    /// <summary>A node that belongs to no pool.</summary>
    public void Initialize(HvMessage* message)
    {
        this = default;
        Message = message;
    }

    internal void InitializePooled(HvMessage* message, uint* freeMask, uint freeBit)
    {
        Initialize(message);
        _freeMask = freeMask;
        _freeBit = freeBit;
    }

    /// <summary>Whether the node is still in a queue. May be asked from any processor.</summary>
    public bool IsQueued => Volatile.Read(ref _queued) != 0;

    internal void MarkQueued() => Volatile.Write(ref _queued, 1);

    // The node may be reused by another processor the moment this is visible.
    internal void Release()
    {
        uint* mask = _freeMask;
        uint bit = _freeBit;
        Volatile.Write(ref _queued, 0);
        if (mask != null) Interlocked.Or(ref *mask, bit);
    }
}

/// <summary>First in, first out, linked through the nodes.</summary>
public unsafe struct PendingMessageQueue
{
    private PendingMessage* _head;
    private PendingMessage* _tail;

    public readonly bool IsEmpty => _head == null;
    public readonly PendingMessage* Head => _head;

    /// <summary>Appends a node that is in no queue.</summary>
    public void Append(PendingMessage* node)
    {
        node->_next = null;
        node->MarkQueued();
        if (_head == null) _head = node; else _tail->_next = node;
        _tail = node;
    }

    /// <summary>Takes the first node out; the queue must not be empty. The caller releases it.</summary>
    internal PendingMessage* RemoveHead()
    {
        PendingMessage* node = _head;
        _head = node->_next;
        return node;
    }

    /// <summary>Takes a node out wherever it stands. False: it is not in this queue.</summary>
    public bool Remove(PendingMessage* node)
    {
        PendingMessage* previous = null;
        PendingMessage* current = _head;
        while (current != node)
        {
            if (current == null) return false;
            previous = current;
            current = current->_next;
        }
        if (previous == null) _head = node->_next; else previous->_next = node->_next;
        if (_tail == node) _tail = previous;
        node->Release();
        return true;
    }
}
