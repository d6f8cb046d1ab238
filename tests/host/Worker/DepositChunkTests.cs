// Accounts of deposited pages: none is given twice, none is taken back that was not given.
using System.Collections.Generic;
using CsCheck;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Text;
using Xunit;

namespace Lamina.Tests.Host.Worker;

public unsafe class DepositChunkTests
{
    private static List<ulong> Take(ref DepositChunk chunk, uint limit)
    {
        ulong* pages = stackalloc ulong[1024];
        uint count = chunk.Take(pages, limit);
        var list = new List<ulong>();
        for (uint i = 0; i < count; i++) list.Add(pages[i]);
        return list;
    }

    [Fact]
    public void All_pages_go_out_once_and_come_back_once()
    {
        DepositChunk chunk = default;
        Assert.False(chunk.IsInUse);
        Assert.False(chunk.TryReturn(0));
        chunk.Begin(0x800);
        List<ulong> first = Take(ref chunk, 64), rest = Take(ref chunk, 1000);
        Assert.Equal((64, 448), (first.Count, rest.Count));
        Assert.Empty(Take(ref chunk, 1));
        foreach (ulong page in first) Assert.True(chunk.TryReturn(page));
        Assert.False(chunk.TryReturn(first[0]));
        Assert.False(chunk.TryReturn(0x7FF));
        Assert.False(chunk.TryReturn(0xA00));
        Assert.Equal(448u, chunk.DepositedCount);
        Assert.Equal(first, Take(ref chunk, 64));
    }

    [Fact]
    public void Any_order_keeps_the_count() => Gen.Int[0, 600].Array[1, 60].Sample(steps =>
    {
        DepositChunk chunk = default;
        chunk.Begin(512);
        var outside = new HashSet<ulong>();
        foreach (int step in steps)
        {
            if (step % 3 == 0) foreach (ulong page in Take(ref chunk, (uint)step / 4)) Assert.True(outside.Add(page));
            else Assert.Equal(outside.Remove(512 + (ulong)step), chunk.TryReturn(512 + (ulong)step));
            Assert.Equal((uint)outside.Count, chunk.DepositedCount);
        }
    }, iter: 200);

    [Fact]
    public void Status_values_have_their_names()
    {
        byte* buffer = stackalloc byte[64];
        var writer = new TextWriter(buffer, 64);
        writer.Status(HvStatus.HV_STATUS_INSUFFICIENT_MEMORY).Char((byte)' ').Status(new HvStatus(0x1234));
        Assert.Equal("HV_STATUS_INSUFFICIENT_MEMORY status 0x1234", System.Text.Encoding.ASCII.GetString(writer.Written));
        foreach (var property in typeof(HvStatus).GetProperties())
            if (property.PropertyType == typeof(HvStatus))
                Assert.Equal(property.Name, System.Text.Encoding.ASCII.GetString(HvStatusName.Of((HvStatus)property.GetValue(null))));
    }
}
