// What a test of the NVMe driver needs: the driver, a model of a controller, a registry, and requests whose memory it alone may touch.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Nvme;
using Lamina.Drivers.Storage.Registry;
using Xunit;
using Driver = Lamina.Drivers.Storage.Nvme.NvmeController<Lamina.Tests.Host.Storage.NvmeTestHost, Lamina.Tests.Host.Storage.NvmeModelFunction>;

namespace Lamina.Tests.Host.Storage;

/// <summary>Driver, model, registry and requests of one test.</summary>
internal sealed unsafe class NvmeMachine : IDisposable
{
    public const ulong Second = 10_000_000;

    public readonly NvmeModel Model = new();
    public readonly BlockRegistry* Registry;
    public readonly Driver* Controller;
    private readonly GCHandle self;
    private readonly List<nint> memory = [];
    public readonly HashSet<nint> Out = [];
    public readonly List<(nint Request, BlockStatus Status)> Ended = [];
    public Action<nint> OnEnded = _ => { };
    private readonly uint vectors;

    public NvmeMachine(Action<NvmeModel> shape = null, uint vectors = 5, ulong registerBytes = 0x4000)
    {
        NvmeTestHost.Reset();
        NvmeModel.Current = Model;
        Model.MayTouch = MayTouch;
        this.vectors = vectors;
        self = GCHandle.Alloc(this);
        shape?.Invoke(Model);
        Registry = BlockRegistry.Create((byte*)Allocate(BlockRegistry.MemoryBytes));
        Controller = (Driver*)Allocate(Driver.ControllerBytes);
        Driver.Start(Controller, default, "00:04.0"u8, registerBytes, vectors, Registry);
        Registry->Complete();
    }

    public nint Allocate(ulong bytes)
    {
        void* made = NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        NativeMemory.Clear(made, (nuint)bytes);
        memory.Add((nint)made);
        return (nint)made;
    }

    /// <summary>The model may touch what belongs to requests that are out, and the registry's workspace.</summary>
    private bool MayTouch(ulong address, ulong bytes)
    {
        if (address >= (ulong)Registry && address < (ulong)Registry + BlockRegistry.MemoryBytes) return true;
        foreach (nint one in Out)
            for (uint i = 0; i < ((BlockRequest*)one)->SegmentCount; i++)
            {
                BlockSegment segment = ((BlockRequest*)one)->Segments[i];
                if (address >= segment.Physical && address + bytes <= segment.Physical + segment.Length) return true;
            }
        return false;
    }

    public void Interrupt()
    {
        foreach (int vector in Model.Interrupts.ToArray())
        {
            Assert.True(vector < vectors);
            Driver.OnInterrupt(Driver.Vector(Controller, (uint)vector));
        }
        Model.Interrupts.Clear();
        NvmeTestHost.Work();
    }

    /// <summary>Lets model and driver go on until nothing happens any more, or for a time.</summary>
    public void Settle(ulong most = 5 * Second)
    {
        ulong end = NvmeTestHost.Now + most;
        for (int i = 0; i < 20000; i++)
        {
            NvmeTestHost.Work();
            bool worked = Model.Fetched.Count != 0;
            Model.CompleteAll();
            worked |= Model.Interrupts.Count != 0;
            Interrupt();
            if (!worked && (NvmeTestHost.Now >= end || !NvmeTestHost.Pass(end - NvmeTestHost.Now))) return;
        }
        Assert.Fail("it never comes to rest");
    }

    public BlockDevice* Disk(string name = "nvme0n1")
    {
        Assert.True(Registry->TryFind(Encoding.ASCII.GetBytes(name), out DiskEntry* found), string.Join("; ", NvmeTestHost.Lines));
        return found->Device;
    }

    public BlockRequest* NewRequest(BlockOperation operation, ulong offset, ulong length, params (int Within, int Length)[] runs)
    {
        BlockRequest* request = (BlockRequest*)Allocate((ulong)sizeof(BlockRequest));
        *request = new BlockRequest { Operation = operation, Offset = offset, Length = length, Completed = &OnCompleted, Context = (void*)GCHandle.ToIntPtr(self) };
        if (runs.Length == 0) return request;
        request->Segments = (BlockSegment*)Allocate((ulong)(runs.Length * sizeof(BlockSegment)));
        request->SegmentCount = (uint)runs.Length;
        for (int i = 0; i < runs.Length; i++)
            request->Segments[i] = new BlockSegment { Physical = (ulong)Allocate((ulong)(runs[i].Within + runs[i].Length)) + (ulong)runs[i].Within, Length = (uint)runs[i].Length };
        return request;
    }

    public BlockRequest* Simple(BlockOperation operation, ulong offset, int length) =>
        operation is BlockOperation.Read or BlockOperation.Write ? NewRequest(operation, offset, (ulong)length, (0, length)) : NewRequest(operation, offset, (ulong)length);

    public void Submit(BlockDevice* device, uint queue, BlockRequest* request)
    {
        Out.Add((nint)request);
        device->Submit(queue, request);
    }

    public BlockStatus Run(BlockDevice* device, BlockRequest* request, ulong most = 300 * Second)
    {
        Submit(device, 0, request);
        device->Kick(0);
        Settle(most);
        Assert.DoesNotContain((nint)request, Out);
        return request->Status;
    }

    private static void OnCompleted(BlockRequest* request)
    {
        NvmeMachine machine = (NvmeMachine)GCHandle.FromIntPtr((nint)request->Context).Target;
        Assert.True(machine.Out.Remove((nint)request), "completed twice");
        machine.Ended.Add(((nint)request, request->Status));
        machine.OnEnded((nint)request);
    }

    public void Dispose()
    {
        self.Free();
        foreach (nint one in memory) NativeMemory.AlignedFree((void*)one);
        NvmeTestHost.Free();
        NvmeModel.Current = null;
    }
}
