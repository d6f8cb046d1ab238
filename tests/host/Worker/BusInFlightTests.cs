// VMs that end while a disk of theirs has requests.
using System;
using System.Linq;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.Root.Kernel;
using Lamina.Root.Worker;
using Lamina.Tests.Host.Vsp.Storage;
using Lamina.VMBus;
using Xunit;
using static Lamina.Tests.Host.Worker.WorkerHost;

namespace Lamina.Tests.Host.Worker;

[Collection("worker")]
public sealed unsafe class BusInFlightTests : IDisposable
{
    private const string Machine = """
        { "vms": [ { "name": "bus", "memory": "8M", "kernel": "tiny.bin", "debugExit": true, "disks": [ { "device": "slow0" } ] } ] }
        """;
    private readonly ulong _free;
    private readonly BusGuest _guest = new();
    private readonly FakeDisk _disk = new() { IsSynchronous = true };
    private (OutgoingRing<RingPages> Outgoing, IncomingRing<RingPages> Incoming) _rings;
    private uint _relid;

    public BusInFlightTests()
    {
        BootRoot(Machine);
        StorageDrivers.Disks->AddDisk(StorageDrivers.Disks->AddController("slow"u8, 1), 0, 0, _disk.Device);
        Executor.RunQueued();
        _free = PhysicalMemory.FreePageCount;
        Command("start bus");
        _disk.IsSynchronous = false;
        Load();
        ConsoleOutput.Lines.Clear();
    }

    public void Dispose()
    {
        _guest.Dispose();
        Assert.Equal(0, FakeCore.ChildCount);
        Assert.Equal(_free, PhysicalMemory.FreePageCount);
        _disk.Dispose();
    }

    // A read that the disk keeps.
    private void Load()
    {
        _guest.Join();
        _relid = _guest.Client.FindClass(DeviceClasses.Scsi, 0)->Offer.RelId;
        _rings = _guest.Rings(_guest.Open(_relid));
        foreach (uint operation in new[] { VstorOperation.BeginInitialization, VstorOperation.QueryProtocolVersion, VstorOperation.QueryProperties, VstorOperation.EndInitialization })
        {
            VstorPacket packet = new() { Operation = operation };
            packet.Version.MajorMinor = operation == VstorOperation.QueryProtocolVersion ? VmstorageProtocolVersion.Win10 : (ushort)0;
            Assert.Equal(RingStatus.Ok, _rings.Outgoing.TryWriteInBand(1, true, new ReadOnlySpan<byte>(&packet, sizeof(VstorPacket))));
        }
        VstorPacket read = new() { Operation = VstorOperation.ExecuteSrb };
        read.VmSrb.CdbLength = 10;
        read.VmSrb.DataIn = VmscsiRequest.ReadType;
        read.VmSrb.DataTransferLength = 4096;
        read.VmSrb.Cdb[0] = OperationCode.Read10;
        read.VmSrb.Cdb[8] = 8;
        byte* buffer = stackalloc byte[64];
        GpaRangeList ranges = new(buffer, 64);
        Assert.True(ranges.TryAdd(0, 4096, _guest.Pages(1)));
        Assert.Equal(RingStatus.Ok, _rings.Outgoing.TryWriteGpaDirect(2, ranges, new ReadOnlySpan<byte>(&read, sizeof(VstorPacket))));
        _rings.Outgoing.Commit();
        _guest.Signal(_relid);
        Assert.Single(_disk.Pending);
    }

    /// <summary>What the VM's end is called comes when it is off, so that whoever reads it may start it again.</summary>
    [Theory]
    [InlineData("triple", "VM bus: triple fault at RIP 0x1000")]
    [InlineData("exit", "VM bus: exit code 7")]
    [InlineData("turnoff", "VM bus: stopped")]
    public void The_end_waits_for_the_disk(string how, string line)
    {
        if (how == "triple") TripleFault();
        else if (how == "exit") Out(0xF4, 3);
        else Command("vm turnoff bus");
        Assert.Empty(ConsoleOutput.Lines);
        Vm* vm = BusGuest.Vm;
        Assert.Equal(VmState.Stopping, vm->State);
        Assert.True(PhysicalMemory.FreePageCount < _free);
        _disk.CompleteAll();
        Executor.RunQueued();
        Assert.Equal([line], ConsoleOutput.Lines);
        Assert.Equal(VmState.Off, vm->State);
        Assert.Equal(_free, PhysicalMemory.FreePageCount);
    }

    [Fact]
    public void A_restart_waits_for_the_disk_and_uses_it_again()
    {
        Command("vm restart bus");
        Assert.Empty(ConsoleOutput.Lines);
        _disk.CompleteAll();
        Executor.RunQueued();
        Assert.Equal(["VM bus: restarted"], ConsoleOutput.Lines);
        Assert.Equal(VmState.Running, BusGuest.Vm->State);
        Command("vm turnoff bus");
    }
}
