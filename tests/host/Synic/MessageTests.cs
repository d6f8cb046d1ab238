// Messages and event flags: nothing lost, order kept, the pending flag set whenever somebody waits.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Synic;
using Xunit;

namespace Lamina.Tests.Host.Synic;

public unsafe class MessageTests
{
    [Fact]
    public void PostFillsTheSlotAndSecondIsBusy()
    {
        using var fixture = new SynicFixture();
        using var message = new TestMessage(0xABCD, 5);
        fixture.Slot(2)->Payload[1] = 0x1111;
        Assert.Equal(PostResult.Posted, fixture.State->TryPostMessage(2, message.Message, out byte vector));
        Assert.Equal(0x32, vector);
        Assert.Equal((5u, (byte)8, (byte)0, 0x77ul, 0xABCDul, 0x1111ul), (fixture.Slot(2)->Header.MessageType, fixture.Slot(2)->Header.PayloadSize,
            fixture.Slot(2)->Header.MessageFlags, fixture.Slot(2)->Header.SenderOrPort, fixture.Slot(2)->Payload[0], fixture.Slot(2)->Payload[1]));
        Assert.Equal(PostResult.Busy, fixture.State->TryPostMessage(2, message.Message, out vector));
        Assert.Equal(0, vector);
        Assert.Equal(1, fixture.Slot(2)->Header.MessageFlags);
        Assert.True(fixture.Take(2, out _, out bool eom) && eom);
        Assert.Equal(PostResult.Posted, fixture.State->TryPostMessage(2, message.Message, out _));
        Assert.Equal(0, fixture.Slot(2)->Header.MessageFlags);
    }

    [Fact]
    public void FullPayloadArrives()
    {
        using var fixture = new SynicFixture();
        using var message = new TestMessage(0);
        for (ulong i = 0; i < 30; i++) message.Message->Payload[i] = i * 0x0101010101010101;
        message.Message->Header.PayloadSize = 255;
        fixture.State->TryPostMessage(15, message.Message, out _);
        Assert.Equal(240, fixture.Slot(15)->Header.PayloadSize);
        for (ulong i = 0; i < 30; i++) Assert.Equal(i * 0x0101010101010101, fixture.Slot(15)->Payload[i]);
    }

    [Theory]
    [InlineData(0x10040ul, true, 0)] [InlineData(0x40040ul, true, 0)] [InlineData(0x20040ul, true, 0x40)] [InlineData(0x40ul, true, 0x40)]
    public void MaskedAndPolledReceiveWithoutInterrupt(ulong sint, bool posted, byte expected)
    {
        using var fixture = new SynicFixture();
        using var message = new TestMessage(1);
        fixture.Write(HvMsr.HV_X64_MSR_SINT0 + 3, sint);
        Assert.Equal(posted, fixture.State->TryPostMessage(3, message.Message, out byte vector) == PostResult.Posted);
        Assert.Equal(expected, vector);
    }

    [Fact]
    public void DisabledIsUnavailableButInterceptsWait()
    {
        using var fixture = new SynicFixture();
        using var first = new TestMessage(1);
        using var second = new TestMessage(2);
        fixture.Write(HvMsr.HV_X64_MSR_SCONTROL, 0);
        Assert.False(fixture.State->AcceptsMessages);
        Assert.Equal(PostResult.Unavailable, fixture.State->TryPostMessage(0, first.Message, out _));
        Assert.Equal(0, fixture.State->Enqueue(0, first.Node));
        Assert.Equal(0, fixture.State->Enqueue(0, second.Node));
        Assert.Equal(0u, fixture.State->Redeliver());
        fixture.Write(HvMsr.HV_X64_MSR_SCONTROL, 1);
        Assert.Equal(1u, fixture.State->Redeliver());
        Assert.True(fixture.Take(0, out ulong payload, out bool eom) && payload == 1 && eom);
        Assert.True(second.Node->IsQueued && !first.Node->IsQueued);
        Assert.True(fixture.State->Withdraw(0, second.Node));
        Assert.False(fixture.State->Withdraw(0, second.Node));
        Assert.Equal(0u, fixture.State->QueuedSints);
    }

    // Random posts, guest takes and EOMs: per SINT everything arrives once and in order, and the guest is always told.
    [Fact]
    public void QueuesKeepOrderAndNobodyIsForgotten() => Gen.Select(Gen.Int[0, 3], Gen.Int[0, 2]).Array[1, 150].Sample(steps =>
    {
        using var fixture = new SynicFixture();
        using var pages = new Pages(1);
        var pool = (MessageBufferPool*)NativeMemory.AlignedAlloc((nuint)sizeof(MessageBufferPool), 64);
        MessageBufferPool.Initialize(pool, (HvMessage*)pages.Address);
        var expected = new Queue<ulong>[3] { new(), new(), new() };
        ulong serial = 0;
        int outstanding = 0;
        foreach ((int op, int sint) in steps)
        {
            if (op < 2)
            {
                int queued = expected.Sum(q => q.Count) - Enumerable.Range(0, 3).Count(i => fixture.Slot(i)->Header.MessageType != 0);
                bool taken = MessageBufferPool.TryTake(pool, out PendingMessage* node);
                Assert.Equal(queued < 16, taken);
                if (!taken) continue;
                node->Message->Header.MessageType = 1;
                node->Message->Header.PayloadSize = 8;
                node->Message->Payload[0] = ++serial;
                bool free = expected[sint].Count == 0;
                byte vector = fixture.State->Enqueue(sint, node);
                expected[sint].Enqueue(serial);
                outstanding++;
                Assert.Equal(free ? 0x30 + sint : 0, vector);
            }
            else if (fixture.Take(sint, out ulong payload, out bool eom))
            {
                Assert.Equal(expected[sint].Dequeue(), payload);
                outstanding--;
                Assert.Equal(expected[sint].Count > 0, eom);
                if (eom) Assert.Equal(1u << sint, fixture.State->Redeliver() & 1u << sint);
            }
            for (int i = 0; i < 3; i++)
            {
                bool full = fixture.Slot(i)->Header.MessageType != 0;
                Assert.Equal(expected[i].Count > 0, full);
                Assert.Equal(expected[i].Count > 1, (fixture.State->QueuedSints >> i & 1) != 0);
            }
        }
        fixture.State->Reset();
        Assert.True(pool->IsIdle);
        NativeMemory.AlignedFree(pool);
    }, iter: 500);

    [Fact]
    public void PoolHasSixteenAndPortDeletionTakesThemBack()
    {
        using var fixture = new SynicFixture();
        using var pages = new Pages(1);
        var pool = (MessageBufferPool*)NativeMemory.AlignedAlloc((nuint)sizeof(MessageBufferPool), 64);
        MessageBufferPool.Initialize(pool, (HvMessage*)pages.Address);
        using var other = new TestMessage(0xEE);
        for (int i = 0; i < 16; i++)
        {
            Assert.True(MessageBufferPool.TryTake(pool, out PendingMessage* node));
            node->Message->Header.MessageType = 1;
            fixture.State->Enqueue(1, node);
            if (i == 8) fixture.State->Enqueue(1, other.Node);
        }
        // One went straight into the slot.
        Assert.True(MessageBufferPool.TryTake(pool, out PendingMessage* spare));
        Assert.False(MessageBufferPool.TryTake(pool, out _));
        MessageBufferPool.Return(spare);
        MessageBufferPool.Withdraw(pool, ref *fixture.State, 1);
        Assert.True(pool->IsIdle);
        fixture.Take(1, out _, out _);
        Assert.Equal(2u, fixture.State->Redeliver());
        Assert.True(fixture.Take(1, out ulong payload, out bool eom) && payload == 0xEE && !eom);
        NativeMemory.AlignedFree(pool);
    }

    // A guest on another thread that writes EOM only when the flag says so must never be left waiting.
    [Fact]
    public void PendingFlagRaceLosesNothing()
    {
        const int count = 20000;
        using var fixture = new SynicFixture();
        int eoms = 0;
        bool wrong = false, stop = false;
        var address = (nint)fixture.Slot(4);
        var guest = new Thread(() =>
        {
            var slot = (HvMessage*)address;
            ulong next = 1;
            while (next <= count && !Volatile.Read(ref stop))
            {
                if (Volatile.Read(ref slot->Header.MessageType) == 0) { Thread.SpinWait(1); continue; }
                wrong |= slot->Payload[0] != next++;
                Volatile.Write(ref slot->Header.MessageType, 0u);
                Interlocked.MemoryBarrier();
                if ((Volatile.Read(ref slot->Header.MessageFlags) & 1) != 0) Interlocked.Increment(ref eoms);
            }
        });
        guest.Start();
        using var message = new TestMessage(0);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        bool stuck = false;
        for (ulong i = 1; i <= count && !stuck; i++)
        {
            message.Message->Payload[0] = i;
            int seen = Volatile.Read(ref eoms);
            while (fixture.State->TryPostMessage(4, message.Message, out _) == PostResult.Busy)
            {
                // Only an EOM wakes the host up again.
                while (Volatile.Read(ref eoms) == seen && !stuck) stuck = clock.ElapsedMilliseconds > 20000;
                if (stuck) break;
                seen = Volatile.Read(ref eoms);
            }
        }
        Volatile.Write(ref stop, stuck);
        guest.Join();
        Assert.False(stuck);
        Assert.False(wrong);
    }

    [Fact]
    public void EventFlags() => Gen.Select(Gen.Int[0, 15], Gen.UInt[0, 2047]).Array[1, 50].Sample(signals =>
    {
        using var fixture = new SynicFixture();
        var set = new HashSet<(int, uint)>();
        foreach ((int sint, uint flag) in signals)
        {
            bool fresh = set.Add((sint, flag));
            Assert.Equal(fresh ? SignalResult.Signaled : SignalResult.AlreadySet, fixture.State->TrySignalEvent(sint, flag, out byte vector));
            Assert.Equal(fresh ? 0x30 + sint : 0, vector);
        }
        for (int sint = 0; sint < 16; sint++)
            for (uint flag = 0; flag < 2048; flag++)
                Assert.Equal(set.Contains((sint, flag)), (fixture.Flags(sint)[flag / 64] >> (int)(flag % 64) & 1) != 0);
    }, iter: 50);

    [Fact]
    public void EventsNeedAnEnabledUnmaskedSint()
    {
        using var fixture = new SynicFixture();
        fixture.Write(HvMsr.HV_X64_MSR_SINT0 + 5, 0x10050);
        Assert.Equal(SignalResult.Unavailable, fixture.State->TrySignalEvent(5, 1, out _));
        fixture.Write(HvMsr.HV_X64_MSR_SINT0 + 5, 0x40050);
        Assert.Equal(SignalResult.Signaled, fixture.State->TrySignalEvent(5, 1, out byte vector));
        Assert.Equal(0, vector);
        fixture.Write(HvMsr.HV_X64_MSR_SCONTROL, 0);
        Assert.Equal(SignalResult.Unavailable, fixture.State->TrySignalEvent(6, 1, out _));
        fixture.Write(HvMsr.HV_X64_MSR_SCONTROL, 1);
        fixture.State->SetEventPage(null);
        Assert.Equal(SignalResult.Unavailable, fixture.State->TrySignalEvent(6, 1, out _));
    }

    private sealed class Pages : IDisposable
    {
        public readonly byte* Address;
        public Pages(int count)
        {
            Address = (byte*)NativeMemory.AlignedAlloc((nuint)count * 4096, 4096);
            new Span<byte>(Address, count * 4096).Clear();
        }
        public void Dispose() => NativeMemory.AlignedFree(Address);
    }
}
