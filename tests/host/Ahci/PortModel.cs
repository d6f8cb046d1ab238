// A port with a disk, as registers: takes commands from the list in memory, holds the driver to the rules, and fails in the ways that disks do.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Ahci;
using Xunit;

namespace Lamina.Tests.Host.Ahci;

public readonly struct ModelRegisters(nint handle) : IAhciRegisters
{
    private PortModel Model => (PortModel)GCHandle.FromIntPtr(handle).Target;
    public uint Read(uint offset) => Model.Read(offset);
    public void Write(uint offset, uint value) => Model.Write(offset, value);
}

/// <summary>A command that the disk has.</summary>
public sealed record Command(int Slot, byte Code, ulong Lba, uint Count, ushort Features, byte Device, List<(ulong Address, uint Length)> Data)
{
    public bool IsQueued => Code is AtaCode.ReadFpdmaQueued or AtaCode.WriteFpdmaQueued;
    public bool IsWrite => Code is AtaCode.WriteFpdmaQueued or AtaCode.WriteDmaExt or AtaCode.WriteDmaFuaExt;
    public bool IsTransfer => IsQueued || Code is AtaCode.ReadDmaExt or AtaCode.WriteDmaExt or AtaCode.WriteDmaFuaExt;
}

public sealed unsafe class PortModel : IDisposable
{
    public const int Sectors = 4096;
    private readonly uint[] registers = new uint[32];
    private readonly GCHandle self;
    private byte[] log = new byte[512];
    private bool isStopped = true; // after an error nothing goes on until ST has been cleared

    public readonly byte[] Content = new byte[Sectors * 512];
    public readonly List<Command> Held = [];
    public readonly List<byte> History = [];
    public byte[] Identity = IdentityOf(Sectors);
    public bool IsPresent = true, HasLog = true, ClearsFailed, IsDeaf;
    public bool NeverStops;

    /// <summary>Its registers lie, so the driver cannot keep the rules.</summary>
    public bool IsLenient;
    public uint Signature = PortSignature.Ata;
    public int Resets;
    public bool IsDirty;
    public Func<uint, uint, uint> Distort = (_, value) => value;

    public PortModel() => self = GCHandle.Alloc(this);
    public ModelRegisters Registers => new(GCHandle.ToIntPtr(self));
    public void Dispose() => self.Free();

    private ref uint At(uint offset) => ref registers[offset / 4];
    public bool Interrupts => (At(PortRegister.IS) & At(PortRegister.IE)) != 0;

    public static byte[] IdentityOf(int sectors, int depth = 32, bool fua = false, bool cache = true)
    {
        byte[] data = new byte[512];
        void Word(int index, int value) => (data[2 * index], data[2 * index + 1]) = ((byte)value, (byte)(value >> 8));
        for (int i = 0; i < 20; i++) data[20 + (i ^ 1)] = (byte)"  MODEL-0042        "[i];
        Word(49, 0x300);
        Word(75, Math.Max(depth - 1, 0));
        Word(76, depth == 0 ? 0 : 1 << 8);
        Word(83, 0x4000 | 1 << 13 | 1 << 10);
        Word(84, 0x4000 | (fua ? 1 << 6 : 0));
        Word(85, cache ? 1 << 5 : 0);
        Word(100, sectors & 0xFFFF);
        Word(101, sectors >> 16);
        Word(106, 0x4000 | 1 << 13 | 3);
        Word(169, 1);
        data[510] = 0xA5;
        data[511] = (byte)-data.Sum(b => b);
        return data;
    }

    /// <summary>It works while the driver looks.</summary>
    public bool IsWatched;

    public uint Read(uint offset)
    {
        if (IsWatched && offset == PortRegister.CI && Held.Count != 0 && !IsDeaf) Perform(0);
        return See(offset);
    }

    private uint See(uint offset) => Distort(offset, At(offset));

    public void Write(uint offset, uint value)
    {
        switch (offset)
        {
            case PortRegister.IS or PortRegister.SERR: At(offset) &= ~value; break;
            case PortRegister.SACT:
                Assert.True(IsLenient || (value & At(PortRegister.SACT)) == 0);
                At(offset) |= value;
                break;
            case PortRegister.CI: Issue(value); break;
            case PortRegister.CMD: SetCommand(value); break;
            case PortRegister.SCTL:
                bool reset = (At(offset) & 0xF) == 1 && (value & 0xF) == 0;
                At(offset) = value;
                if ((value & 0xF) == 1) (At(PortRegister.SSTS), At(PortRegister.TFD)) = (0, 0x7F | PortRegister.STS_BSY);
                if (reset) LinkUp();
                break;
            default: At(offset) = value; break;
        }
    }

    private void LinkUp()
    {
        Resets++;
        Held.Clear();
        (At(PortRegister.SACT), At(PortRegister.CI)) = (0, 0);
        At(PortRegister.SSTS) = IsPresent ? 0x123u : 0;
        At(PortRegister.TFD) = 0x50;
        At(PortRegister.SIG) = Signature;
        At(PortRegister.SERR) = At(PortRegister.IS) = uint.MaxValue;
    }

    private void SetCommand(uint value)
    {
        uint running = PortRegister.CMD_CR | PortRegister.CMD_FR;
        uint state = At(PortRegister.CMD) & running;
        if ((value & PortRegister.CMD_ST) != 0)
        {
            bool isBusy = (At(PortRegister.TFD) & (PortRegister.STS_BSY | PortRegister.STS_DRQ)) != 0;
            Assert.True(IsLenient || (state & PortRegister.CMD_CR) != 0 || !isBusy);
            Assert.True(IsLenient || (value & PortRegister.CMD_FRE) != 0);
            state |= PortRegister.CMD_CR;
        }
        else
        {
            Held.Clear();
            (At(PortRegister.SACT), At(PortRegister.CI)) = (0, 0);
            isStopped = false;
            if (!NeverStops) state &= ~PortRegister.CMD_CR;
        }
        state = (value & PortRegister.CMD_FRE) != 0 ? state | PortRegister.CMD_FR : state & ~PortRegister.CMD_FR;
        At(PortRegister.CMD) = value & ~running | state;
    }

    private void Issue(uint slots)
    {
        Assert.True(IsLenient || (At(PortRegister.CMD) & PortRegister.CMD_ST) != 0 && (slots & At(PortRegister.CI)) == 0);
        for (int slot = 0; slot < 32; slot++)
        {
            if ((slots & 1u << slot) == 0) continue;
            Command command = Fetch(slot);
            // Queued commands and others do not mix.
            Assert.True(IsLenient || Held.All(other => command.IsQueued == other.IsQueued && other.Slot != slot));
            // The ranges of a trim are in memory that there is only once.
            Assert.True(IsLenient || Held.Count == 0 || Held[0].Code != AtaCode.DataSetManagement && command.Code != AtaCode.DataSetManagement);
            Assert.True(IsLenient || !command.IsQueued || (At(PortRegister.SACT) & 1u << slot) != 0);
            if (!command.IsQueued) At(PortRegister.CI) |= 1u << slot;
            Held.Add(command);
            History.Add(command.Code);
        }
    }

    private Command Fetch(int slot)
    {
        CommandHeader header = ((CommandHeader*)(At(PortRegister.CLB) | (ulong)At(PortRegister.CLBU) << 32))[slot];
        Assert.Equal(5, header.Flags & 0x1F);
        Assert.Equal(0UL, header.CTBA % 128);
        byte* fis = (byte*)header.CTBA;
        Assert.Equal((0x27, 0x80), (fis[0], fis[1]));
        ulong lba = fis[4] | (ulong)fis[5] << 8 | (ulong)fis[6] << 16 | (ulong)fis[8] << 24 | (ulong)fis[9] << 32 | (ulong)fis[10] << 40;
        uint count = fis[12] | (uint)fis[13] << 8;
        ushort features = (ushort)(fis[3] | fis[11] << 8);
        var data = new List<(ulong, uint)>();
        PhysicalRegion* regions = (PhysicalRegion*)(fis + 0x80);
        for (int i = 0; i < header.PRDTL; i++)
        {
            Assert.True((regions[i].DBA & 1) == 0 && (regions[i].DBC & 1) == 1 && regions[i].DBC < 1 << 22);
            data.Add((regions[i].DBA, regions[i].DBC + 1));
        }
        Command command = new(slot, fis[2], lba, count, features, fis[7], data);
        if (command.IsQueued)
        {
            Assert.Equal(slot, (int)count >> 3);
            command = command with { Count = features };
        }
        if (command.IsTransfer) Assert.Equal(command.Count * 512, (uint)data.Sum(d => d.Item2));
        Assert.Equal(command.IsWrite || command.Code == AtaCode.DataSetManagement, (header.Flags & CommandHeader.Write) != 0);
        return command;
    }

    /// <summary>Does what one of its commands says.</summary>
    public void Perform(int index)
    {
        if (isStopped) return;
        Command command = Held[index];
        Held.RemoveAt(index);
        byte[] source = command.Code == AtaCode.IdentifyDevice ? Identity : log;
        switch (command.Code)
        {
            case AtaCode.IdentifyDevice or AtaCode.ReadLogExt:
                if (command.Code == AtaCode.ReadLogExt && !HasLog)
                {
                    Held.Insert(index, command);
                    Fail(index, AtaError.ABRT);
                    return;
                }
                source.CopyTo(new Span<byte>((void*)command.Data[0].Address, 512));
                break;
            case AtaCode.FlushCacheExt: IsDirty = false; break;
            case AtaCode.StandbyImmediate: break;
            case AtaCode.DataSetManagement: Trim(new ReadOnlySpan<ulong>((void*)command.Data[0].Address, 64)); break;
            default: Transfer(command); break;
        }
        At(PortRegister.TFD) = 0x50;
        At(command.IsQueued ? PortRegister.SACT : PortRegister.CI) &= ~(1u << command.Slot);
        At(PortRegister.IS) |= command.IsQueued ? PortRegister.SDBS : command.Code == AtaCode.IdentifyDevice ? PortRegister.PSS : PortRegister.DHRS;
    }

    private void Transfer(Command command)
    {
        Assert.True(command.IsTransfer);
        int at = (int)command.Lba * 512;
        foreach (var (address, length) in command.Data)
        {
            Span<byte> memory = new((void*)address, (int)length), content = Content.AsSpan(at, (int)length);
            if (command.IsWrite) memory.CopyTo(content);
            else content.CopyTo(memory);
            at += (int)length;
        }
        bool fua = command.Code == AtaCode.WriteDmaFuaExt || command.IsQueued && (command.Device & 0x80) != 0;
        IsDirty |= command.IsWrite && !fua;
    }

    private void Trim(ReadOnlySpan<ulong> ranges)
    {
        foreach (ulong range in ranges) Content.AsSpan((int)(range & 0xFFFF_FFFF_FFFF) * 512, (int)(range >> 48) * 512).Fill(0xDD);
    }

    /// <summary>One of its commands fails; it drops the others if they are queued.</summary>
    public void Fail(int index, byte error)
    {
        if (isStopped) return;
        Command command = Held[index];
        if (command.IsQueued)
        {
            log = new byte[512];
            (log[0], log[2], log[3]) = ((byte)command.Slot, 0x41, error);
            log[511] = (byte)-log.Sum(b => b);
        }
        else if (ClearsFailed) At(PortRegister.CI) &= ~(1u << command.Slot);
        At(PortRegister.TFD) = 0x41u | (uint)error << 8;
        isStopped = true;
        Raise(PortRegister.TFES);
    }

    public void Raise(uint events) => At(PortRegister.IS) |= events;

    public void Unplug()
    {
        IsPresent = false;
        isStopped = true;
        At(PortRegister.SSTS) = 0;
        Raise(PortRegister.PRCS);
    }

    public void Plug()
    {
        IsPresent = true;
        Raise(PortRegister.PCS);
    }
}
