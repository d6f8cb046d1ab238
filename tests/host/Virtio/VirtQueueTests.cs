// The split virtqueue against a device that keeps the rules, and against one that does not.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Drivers.Bus.Virtio;
using Lamina.Tests.Host.Storage;
using Xunit;

namespace Lamina.Tests.Host.Virtio;

public unsafe class VirtQueueTests
{
    private static Gen<T> One<T>(params T[] of) => Gen.Int[0, of.Length - 1].Select(i => of[i]);

    private static readonly Gen<(ushort Size, uint Tables, bool EventIndex)> Shape =
        Gen.Select(One<ushort>(4, 8, 16, 64), One(0u, 4u, 9u), Gen.Bool);

    [Fact]
    public void What_goes_in_comes_out_once_and_nothing_leaks() =>
        Gen.Select(Shape, Gen.Int[0, 9].Array[1, 300], Gen.Int).Sample((shape, steps, seed) =>
        {
            using RingDevice device = new(shape.Size, shape.Tables, shape.EventIndex);
            Random random = new(seed);
            var sent = new Dictionary<uint, Chain>(); // by owner, as it was built
            var held = new List<Chain>();
            uint nextOwner = 1;
            ushort before = 0, now = 0, wish = 0;
            bool quiet = false, resting = false;
            foreach (int step in steps)
            {
                switch (step)
                {
                    case <= 3:
                        uint count = (uint)random.Next(1, Math.Min(shape.Size, (ushort)12) + 1);
                        if (!device.Queue->TryBegin(count, nextOwner, out VirtChain chain)) break;
                        var built = new Chain(0, []);
                        int reads = random.Next((int)count + 1);
                        for (int i = 0; i < count; i++)
                        {
                            built.Pieces.Add(((ulong)random.NextInt64(), (uint)random.Next(), i >= reads));
                            device.Queue->Append(ref chain, built.Pieces[i].Address, built.Pieces[i].Length, i >= reads);
                        }
                        device.Queue->End(ref chain);
                        sent.Add(nextOwner++, built);
                        now++;
                        break;
                    case 4:
                        bool told = device.Queue->Expose();
                        bool expected = before != now && (shape.EventIndex ? (ushort)(now - wish - 1) < (ushort)(now - before) : !quiet);
                        Assert.Equal(expected, told);
                        before = now;
                        break;
                    case 5:
                        while (device.Waiting != 0) held.Add(device.Take());
                        ushort more = (ushort)random.Next(4);
                        quiet = random.Next(2) == 0;
                        if (quiet) device.WishQuiet(more);
                        else device.WishNotice();
                        wish = (ushort)(before + (quiet ? more : 0));
                        break;
                    case 6 or 7:
                        if (held.Count == 0) break;
                        Chain done = held[random.Next(held.Count)];
                        held.Remove(done);
                        int interrupts = device.Interrupts;
                        device.Give(done.Head, 77);
                        // A driver that rests is woken by the first completion.
                        if (resting) Assert.Equal(interrupts + 1, device.Interrupts);
                        resting = false;
                        break;
                    case 8:
                        device.Queue->Quiet();
                        while (device.Queue->TryTake(out uint owner, out uint written))
                        {
                            Assert.Equal(77u, written);
                            Assert.True(sent.Remove(owner));
                        }
                        Assert.Equal(sent.Count, (int)device.Queue->Outstanding);
                        Assert.True(resting = device.Queue->TryRest());
                        break;
                }
            }
            DrainAndCount(device, shape.Size, sent, held);
        }, iter: 300 * Fuzz.Factor);

    private static void DrainAndCount(RingDevice device, ushort size, Dictionary<uint, Chain> sent, List<Chain> held)
    {
        device.Queue->Expose();
        while (device.Waiting != 0) held.Add(device.Take());
        foreach (Chain chain in held) device.Give(chain.Head, 0);
        while (device.Queue->TryTake(out uint owner, out _)) Assert.True(sent.Remove(owner));
        Assert.Empty(sent);
        Assert.False(device.Queue->IsBroken);
        for (int i = 0; i < size; i++) Assert.True(device.Queue->TryBegin(1, 0, out VirtChain one) && Ended(device.Queue, ref one));
        Assert.False(device.Queue->TryBegin(1, 0, out _));
        device.CheckGuards();
    }

    private static bool Ended(VirtQueue* queue, ref VirtChain chain)
    {
        queue->Append(ref chain, 1, 1, true);
        queue->End(ref chain);
        return true;
    }

    [Fact]
    public void A_chain_arrives_as_it_was_built() =>
        Gen.Select(Shape, Gen.Select(Gen.ULong, Gen.UInt, Gen.Bool).Array[1, 12].Array[1, 40]).Sample((shape, chains) =>
        {
            using RingDevice device = new(shape.Size, shape.Tables, shape.EventIndex);
            foreach (var pieces in chains.Where(c => c.Length <= shape.Size))
            {
                var sorted = pieces.OrderBy(p => p.Item3).ToArray();
                Assert.True(device.Queue->TryBegin((uint)sorted.Length, 5, out VirtChain chain));
                foreach (var (address, length, writes) in sorted) device.Queue->Append(ref chain, address, length, writes);
                device.Queue->End(ref chain);
                device.Queue->Expose();
                Chain taken = device.Take();
                Assert.Equal(sorted, taken.Pieces);
                device.Give(taken.Head, 0);
                Assert.True(device.Queue->TryTake(out uint owner, out _) && owner == 5);
            }
            device.CheckGuards();
        }, iter: 200 * Fuzz.Factor);

    [Fact]
    public void A_wild_device_breaks_its_queue_and_nothing_else() =>
        Gen.Select(Shape, Gen.Select(Gen.Int[0, 6], Gen.Int, Gen.UInt).Array[1, 120]).Sample((shape, steps) =>
        {
            using RingDevice device = new(shape.Size, shape.Tables, shape.EventIndex);
            var owners = new HashSet<uint>();
            uint next = 1;
            foreach (var (kind, where, value) in steps)
            {
                if (kind <= 1 && device.Queue->TryBegin(2, next, out VirtChain chain))
                {
                    device.Queue->Append(ref chain, 0x1000, 16, false);
                    device.Queue->Append(ref chain, 0x2000, 16, true);
                    device.Queue->End(ref chain);
                    device.Queue->Expose();
                    owners.Add(next++);
                }
                else if (kind == 2) device.UsedIndex += (ushort)(value % 5);
                else if (kind == 3) device.UsedId(where) = value % (2u * shape.Size);
                else if (kind == 4) device.Memory[(int)((uint)where % (uint)device.Memory.Length)] = (byte)value;
                else
                {
                    bool broken = device.Queue->IsBroken;
                    while (device.Queue->TryTake(out uint owner, out _))
                    {
                        Assert.False(broken);
                        Assert.True(owners.Remove(owner), "what is given back was outstanding");
                    }
                    device.Queue->TryRest();
                }
            }
            device.CheckGuards();
        }, iter: 1000 * Fuzz.Factor);

    [Theory]
    [InlineData(4u, 0u)] // more than was exposed
    [InlineData(1u, 3u)] // a free descriptor
    [InlineData(1u, 8u)] // none
    [InlineData(1u, 0xFFFF_FFFFu)]
    public void Each_lie_is_noticed(uint index, uint id)
    {
        using RingDevice device = new(8, 0, true);
        Assert.True(device.Queue->TryBegin(1, 9, out VirtChain chain));
        Ended(device.Queue, ref chain);
        device.Queue->Expose();
        device.UsedId(0) = id;
        device.UsedIndex = (ushort)index;
        Assert.False(device.Queue->TryTake(out _, out _));
        Assert.True(device.Queue->IsBroken);
        Assert.True(device.Queue->TryRest());
        Assert.False(device.Queue->Expose());
    }
}
