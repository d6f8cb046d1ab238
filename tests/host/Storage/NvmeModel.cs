// An NVMe controller as a test has it: registers, queues and namespaces over arrays, obedient or not; and a host with a clock of its own.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.Drivers.Storage.Nvme;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Storage;

/// <summary>Time, timers, work and memory of one test; a test has a thread of its own.</summary>
public unsafe struct NvmeTestHost : IDriverHost
{
    [ThreadStatic] private static ulong now;
    [ThreadStatic] private static DeadlineList timers;
    [ThreadStatic] private static WorkQueue work;
    [ThreadStatic] private static List<DmaMemory> allocated;
    [ThreadStatic] public static List<string> Lines;

    public static void Reset()
    {
        Free();
        now = 1000;
        TickOfALook = 0;
        timers = default;
        work = default;
        allocated = [];
        Lines = [];
    }

    public static void Free()
    {
        foreach (DmaMemory memory in allocated ?? []) NativeMemory.AlignedFree(memory.Address);
        allocated = null;
    }

    public static bool Owns(ulong address, ulong bytes) => allocated.Any(memory => address >= memory.Physical && address + bytes <= memory.Physical + memory.Bytes);

    public static bool TryAllocateDma(ulong bytes, out DmaMemory memory)
    {
        byte* address = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        NativeMemory.Clear(address, (nuint)bytes);
        memory = new DmaMemory { Address = address, Physical = (ulong)address, Bytes = bytes };
        allocated.Add(memory);
        return true;
    }

    public static void FreeDma(DmaMemory memory) => throw new NotSupportedException();
    public static bool TryMapRegisters(ulong physical, ulong bytes, MemoryType type, out ulong address) => throw new NotSupportedException();
    public static bool TryConnectIsaInterrupt(byte number, delegate*<void*, void> handler, void* context) => throw new NotSupportedException();
    public static bool TryConnectMessage(PciAddress function, delegate*<void*, void> handler, void* context, out InterruptMessage message) => throw new NotSupportedException();
    public static void DisconnectMessage(PciAddress function, InterruptMessage message) => throw new NotSupportedException();
    public static void Queue(WorkItem* item) => work.Add(item);
    public static void Arm(DeadlineTimer* timer, ulong deadline) => timers.Arm(timer, deadline);
    public static void Cancel(DeadlineTimer* timer) => timers.Cancel(timer);
    public static ulong Now => now += TickOfALook;

    /// <summary>What a look at the clock costs.</summary>
    [ThreadStatic] public static ulong TickOfALook;
    public static void Report(ReadOnlySpan<byte> line) => Lines.Add(Encoding.UTF8.GetString(line));

    /// <summary>Nothing is armed: the machine would sleep.</summary>
    public static bool IsQuiet => timers.Next == ulong.MaxValue && work.IsEmpty;

    /// <summary>Does what was queued; each item that is queued meanwhile as well, up to a bound that no test may reach.</summary>
    public static void Work()
    {
        for (int i = 0; work.TryTake(out WorkItem* item); i++)
        {
            Assert.True(i < 100_000, "work without end");
            item->Handler(item->Context);
        }
    }

    /// <summary>Goes to the next timer and runs it; false: there is none before the time is over.</summary>
    public static bool Pass(ulong most)
    {
        if (timers.Next == ulong.MaxValue || timers.Next > now + most) return false;
        now = Math.Max(now, timers.Next);
        while (timers.TryTakeDue(now, out DeadlineTimer* timer)) timer->Handler(timer->Context);
        Work();
        return true;
    }
}

/// <summary>What the driver holds of the model.</summary>
public struct NvmeModelFunction : INvmeFunction
{
    public readonly uint Read32(uint offset) => NvmeModel.Current.Read(offset);
    public readonly void Write32(uint offset, uint value) => NvmeModel.Current.Write(offset, value);
    public readonly void SetBusMaster(bool allowed) => NvmeModel.Current.BusMaster = allowed;
}

public sealed unsafe class NvmeModel
{
    [ThreadStatic] public static NvmeModel Current;

    private sealed class Ring
    {
        public ulong Memory;
        public int Entries, Head, Tail, Completions, Vector;
        public bool Phase = true;
    }

    public sealed record Pending(int Queue, NvmeCommand Command);

    private readonly Dictionary<int, Ring> submissions = [], completions = [];
    private ulong asq, acq;
    private uint aqa, cc;

    // What it is like
    public uint Mqes = 63, TimeoutUnits = 2, Stride, Version = 0x10400, Granted = 8;
    public byte Mdts;
    public ushort Oncs = 0xC;
    /// <summary>It also posts what it should not; its own rings need not agree with the driver's any more.</summary>
    public bool IsWild;
    public bool BusMaster = true, Alive = true, BecomesReady = true, Stops = true, ShutsDown = true, Fatal;
    public int Shift = 9, Zeroes, DeallocateBlocks;
    public SortedDictionary<uint, byte[]> Spaces = new() { [1] = new byte[1 << 20] };
    public Func<Pending, ushort> Fate = _ => 0;

    /// <summary>Changes a structure that Identify is about to return.</summary>
    public Action<uint, byte[]> Distort = (_, _) => { };

    /// <summary>Memory that the device may touch at the moment, besides the driver's own.</summary>
    public Func<ulong, ulong, bool> MayTouch = (_, _) => false;

    /// <summary>Completions that the driver may find at any time, before the command even.</summary>
    private readonly HashSet<(int Queue, ushort Id)> forged = [];

    /// <summary>Commands that were fetched and not yet completed.</summary>
    public readonly List<Pending> Fetched = [];
    public readonly List<NvmeCommand> Log = [];
    public readonly HashSet<int> Interrupts = [];
    public int DoorbellWrites, RegisterReads, Flushes;

    public bool IsShuttingDown => (cc >> 14 & 3) == 1;
    public bool IsReady => (cc & 1) != 0 && !IsShuttingDown && BecomesReady && Alive;
    public int QueueCount => submissions.Count - 1;

    public uint Read(uint offset)
    {
        RegisterReads++;
        if (!Alive) return uint.MaxValue;
        return offset switch
        {
            0 => Mqes | 1 << 16 | TimeoutUnits << 24,
            4 => Stride | 1 << 5,
            8 => Version,
            0x14 => cc,
            0x1C => ((cc & 1) != 0 ? BecomesReady ? 1u : 0 : Stops ? 0u : 1) | (Fatal ? 2u : 0) | ((cc >> 14 & 3) == 1 && ShutsDown ? 2u << 2 : 0),
            _ => throw new InvalidOperationException($"read of register {offset:X}"),
        };
    }

    public void Write(uint offset, uint value)
    {
        if (!Alive) return;
        switch (offset)
        {
            case 0x14: Configure(value); break;
            case 0x24: aqa = value; break;
            case 0x28: asq = asq & ~0xFFFFFFFFul | value; break;
            case 0x2C: asq = (uint)asq | (ulong)value << 32; break;
            case 0x30: acq = acq & ~0xFFFFFFFFul | value; break;
            case 0x34: acq = (uint)acq | (ulong)value << 32; break;
            case >= 0x1000: Doorbell((int)(offset - 0x1000 >> 2 + (int)Stride), (int)value); break;
            default: throw new InvalidOperationException($"write of register {offset:X}");
        }
    }

    private void Configure(uint value)
    {
        bool wasEnabled = (cc & 1) != 0;
        cc = value;
        if (wasEnabled && (value >> 14 & 3) == 1) return;
        if ((value & 1) == 0)
        {
            if (!Stops) return;
            submissions.Clear();
            completions.Clear();
            Fetched.Clear();
            return;
        }
        Assert.False(wasEnabled);
        Assert.Equal(1u | 6 << 16 | 4 << 20, value);
        submissions[0] = new Ring { Memory = asq, Entries = (int)(aqa & 0xFFF) + 1 };
        completions[0] = new Ring { Memory = acq, Entries = (int)(aqa >> 16 & 0xFFF) + 1 };
    }

    private void Doorbell(int index, int value)
    {
        DoorbellWrites++;
        if (!IsReady) return;
        if ((index & 1) != 0)
        {
            completions[index / 2].Head = value;
            return;
        }
        Ring ring = submissions[index / 2];
        Assert.True(value < ring.Entries);
        while (ring.Head != value)
        {
            Check(ring.Memory + (ulong)ring.Head * 64, 64);
            NvmeCommand command = ((NvmeCommand*)ring.Memory)[ring.Head];
            ring.Head = (ring.Head + 1) % ring.Entries;
            Assert.DoesNotContain(Fetched, other => other.Queue == index / 2 && other.Command.CommandId == command.CommandId);
            if (!forged.Contains((index / 2, command.CommandId))) Fetched.Add(new Pending(index / 2, command));
            Log.Add(command);
        }
    }

    /// <summary>Performs and completes a command that it has.</summary>
    public void Complete(int index)
    {
        Pending pending = Fetched[index];
        Fetched.RemoveAt(index);
        ushort status = Fate(pending);
        uint result = 0;
        if (status == 0) status = pending.Queue == 0 ? Administer(pending.Command, out result) : Perform(pending.Command);
        Post(pending.Queue, pending.Command.CommandId, status, result);
    }

    public void CompleteAll()
    {
        while (Fetched.Count != 0) Complete(0);
    }

    public void Post(int queue, ushort id, ushort status, uint result)
    {
        Ring submission = submissions[queue], completion = completions[submission.Completions];
        ulong* entry = (ulong*)(completion.Memory + (ulong)completion.Tail * 16);
        Check((ulong)entry, 16);
        entry[0] = result;
        entry[1] = (ulong)submission.Head | (ulong)queue << 16 | (ulong)id << 32 | (completion.Phase ? 1ul << 48 : 0) | (ulong)status << 49;
        completion.Tail++;
        if (completion.Tail == completion.Entries)
        {
            completion.Tail = 0;
            completion.Phase = !completion.Phase;
        }
        Assert.True(IsWild || completion.Tail != completion.Head, "completion queue overrun");
        Interrupts.Add(completion.Vector);
    }

    /// <summary>Garbage where the next completion goes. What it names is no longer worked on: a device that goes on regardless could not be told from memory that changes by itself.</summary>
    public void PostGarbage(int queue, ulong low, ulong high)
    {
        forged.Add((queue, (ushort)(high >> 32)));
        Fetched.RemoveAll(pending => forged.Contains((pending.Queue, pending.Command.CommandId)));
        Ring completion = completions[queue];
        ulong* entry = (ulong*)(completion.Memory + (ulong)completion.Tail * 16);
        entry[0] = low;
        entry[1] = high;
        Interrupts.Add(completion.Vector);
    }

    /// <summary>The device touches memory: it must be allowed to, and the memory must be somebody's who expects it.</summary>
    private void Check(ulong address, ulong bytes)
    {
        Assert.True(BusMaster, "memory touched without being bus master");
        Assert.True(NvmeTestHost.Owns(address, bytes) || MayTouch(address, bytes), "memory touched that nobody has lent");
    }

    private ushort Administer(in NvmeCommand command, out uint result)
    {
        result = 0;
        switch (command.Opcode)
        {
            case NvmeOpcode.Identify:
                byte[] data = Identify(command.Dword10, command.NamespaceId);
                if (data == null) return 0x0B;
                Distort(command.Dword10, data);
                Check(command.Prp1, 4096);
                data.CopyTo(new Span<byte>((void*)command.Prp1, 4096));
                return 0;
            case NvmeOpcode.SetFeatures:
                Assert.Equal(7u, command.Dword10);
                result = Granted - 1 | Granted - 1 << 16;
                return 0;
            case NvmeOpcode.CreateIoCompletionQueue:
                Assert.Equal(3u, command.Dword11 & 0xFFFF);
                completions[(int)(command.Dword10 & 0xFFFF)] = new Ring { Memory = command.Prp1, Entries = (int)(command.Dword10 >> 16) + 1, Vector = (int)(command.Dword11 >> 16) };
                Assert.True(command.Dword10 >> 16 <= Mqes);
                return 0;
            case NvmeOpcode.CreateIoSubmissionQueue:
                Assert.Equal(1u, command.Dword11 & 0xFFFF);
                submissions[(int)(command.Dword10 & 0xFFFF)] = new Ring { Memory = command.Prp1, Entries = (int)(command.Dword10 >> 16) + 1, Completions = (int)(command.Dword11 >> 16) };
                Assert.True(command.Dword10 >> 16 <= Mqes && completions.ContainsKey((int)(command.Dword11 >> 16)));
                return 0;
            default: return 1;
        }
    }

    private byte[] Identify(uint cns, uint id)
    {
        byte[] data = new byte[4096];
        void Set32(int at, uint value) => BitConverter.TryWriteBytes(data.AsSpan(at), value);
        switch (cns)
        {
            case 1:
                Encoding.ASCII.GetBytes("MODEL-7             ").CopyTo(data, 4);
                data[77] = Mdts;
                data[512] = 0x66;
                data[513] = 0x44;
                Set32(516, Spaces.Keys.LastOrDefault());
                Set32(520, Oncs);
                data[525] = 1;
                return data;
            case 2:
                int at = 0;
                foreach (uint known in Spaces.Keys.Take(1024)) Set32(4 * at++, known);
                return Version >= 0x10100 ? data : null;
            case 6:
                data[1] = (byte)Zeroes;
                Set32(4, (uint)DeallocateBlocks);
                return Version >= 0x20000 ? data : null;
            default:
                if (!Spaces.TryGetValue(id, out byte[] content)) return null;
                BitConverter.TryWriteBytes(data.AsSpan(0), (ulong)content.Length >> Shift);
                data[25] = 3;
                data[26] = 2;
                Set32(128 + 8, (uint)Shift << 16);
                return data;
        }
    }

    private ushort Perform(in NvmeCommand command)
    {
        if (command.Opcode == NvmeOpcode.Flush)
        {
            Flushes++;
            return 0;
        }
        if (!Spaces.TryGetValue(command.NamespaceId, out byte[] content)) return 0x0B;
        ulong first = command.Dword10 | (ulong)command.Dword11 << 32, count = (command.Dword12 & 0xFFFF) + 1ul;
        if (command.Opcode == NvmeOpcode.DatasetManagement)
        {
            Check(command.Prp1, 16);
            NvmeRange range = *(NvmeRange*)command.Prp1;
            Assert.Equal((0u, 4u), (command.Dword10, command.Dword11));
            Assert.True(DeallocateBlocks == 0 || range.LengthInBlocks <= DeallocateBlocks);
            content.AsSpan((int)(range.StartingBlock << Shift), (int)(range.LengthInBlocks << Shift)).Fill(0xD1);
            return 0;
        }
        if (first + count > (ulong)content.Length >> Shift) return 0x80;
        Span<byte> blocks = content.AsSpan((int)(first << Shift), (int)(count << Shift));
        if (command.Opcode == NvmeOpcode.WriteZeroes)
        {
            uint limit = Zeroes != 0 ? 4096u << Zeroes : Mdts != 0 ? 4096u << Mdts : uint.MaxValue;
            Assert.True((ulong)blocks.Length <= limit);
            blocks.Clear();
            return 0;
        }
        Assert.True(Mdts == 0 || blocks.Length <= 4096 << Mdts);
        foreach ((ulong address, int length) in Pages(command, blocks.Length))
        {
            Check(address, (ulong)length);
            Span<byte> memory = new((void*)address, length);
            if (command.Opcode == NvmeOpcode.Read) blocks[..length].CopyTo(memory);
            else memory.CopyTo(blocks);
            blocks = blocks[length..];
        }
        return 0;
    }

    /// <summary>The memory that a command's PRP entries describe.</summary>
    public static List<(ulong Address, int Length)> Pages(NvmeCommand command, int bytes)
    {
        List<(ulong, int)> pages = [];
        int length = Math.Min(bytes, 4096 - (int)(command.Prp1 & 4095));
        pages.Add((command.Prp1, length));
        bytes -= length;
        bool hasList = bytes > 4096;
        for (int i = 0; bytes > 0; i++)
        {
            ulong entry = hasList ? ((ulong*)command.Prp2)[i] : command.Prp2;
            if (hasList) Assert.True((command.Prp2 & 4095) + (ulong)i * 8 < 4096, "a list across a page's end");
            Assert.Equal(0ul, entry & 4095);
            length = Math.Min(bytes, 4096);
            pages.Add((entry, length));
            bytes -= length;
        }
        return pages;
    }
}
