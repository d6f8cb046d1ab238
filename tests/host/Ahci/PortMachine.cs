// A machine that consists of one AHCI port, its disk, and a registry.
using System;
using System.Linq;
using System.Runtime.InteropServices;
using Lamina.Drivers.Bus.Pci;
using Lamina.Drivers.Storage.Ahci;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Registry;
using Lamina.Tests.Host.Virtio;
using Xunit;

namespace Lamina.Tests.Host.Ahci;

public sealed unsafe class PortMachine : IDisposable
{
    private readonly void* registryMemory;

    public readonly PortModel Model = new();
    public readonly BlockUser User = new() { MayComplete = true };
    public readonly BlockRegistry* Registry;
    public readonly AhciAdapter* Adapter = (AhciAdapter*)NativeMemory.AllocZeroed((nuint)sizeof(AhciAdapter));
    public readonly AhciPort<AhciHost, ModelRegisters>* Port =
        (AhciPort<AhciHost, ModelRegisters>*)NativeMemory.AllocZeroed((nuint)sizeof(AhciPort<AhciHost, ModelRegisters>));

    /// <summary>What the disk does by itself whenever it has commands.</summary>
    public Action Disk;

    public PortMachine(uint slots = 32)
    {
        AhciHost.Begin();
        registryMemory = NativeMemory.AlignedAlloc((nuint)BlockRegistry.MemoryBytes, 4096);
        new Span<byte>(registryMemory, (int)BlockRegistry.MemoryBytes).Clear();
        Registry = BlockRegistry.Create((byte*)registryMemory);
        *Adapter = new AhciAdapter
        {
            Function = new PciAddress(0, 0, 31, 2), Registry = Registry, Controller = Registry->AddController("ahci"u8, 6), Unsettled = 1,
            Capabilities = HbaRegister.CAP_S64A | HbaRegister.CAP_SNCQ | slots - 1 << (int)HbaRegister.CAP_NCS_SHIFT,
        };
        Registry->Complete();
        Disk = () => Model.Perform(0);
    }

    public BlockDevice* Device => Registry->At(0)->Device;

    public void Start() => AhciPort<AhciHost, ModelRegisters>.Start(Port, Adapter, 3, Model.Registers);

    /// <summary>Lets everything go on for so long.</summary>
    public void Pass(int milliseconds, Func<bool> until = null)
    {
        for (ulong end = AhciHost.Now + (ulong)milliseconds * 10_000; AhciHost.Now < end && until?.Invoke() != true;)
        {
            for (int i = 0; i < 200 && (Model.Interrupts || Model.Held.Count != 0 && !Model.IsDeaf); i++)
            {
                if (Model.Held.Count != 0 && !Model.IsDeaf) Disk();
                if (Model.Interrupts) Port->OnEvent();
            }
            AhciHost.Tick();
        }
    }

    /// <summary>With a disk that works; what came before is forgotten.</summary>
    public void StartReady()
    {
        Start();
        Pass(2000, () => Registry->IsSettled);
        Assert.Equal(1, Registry->Count);
        Model.History.Clear();
    }

    public BlockRequest* Send(BlockOperation operation, int sector, int sectors, params int[] pieces)
    {
        BlockRequest* request = User.Make(operation, (ulong)sector * 512, operation == BlockOperation.Flush ? 0 : sectors * 512, pieces);
        User.Sent(request);
        Device->Submit(0, request);
        return request;
    }

    public void Kick() => Device->Kick(0);
    public BlockStatus[] Statuses => User.Completed.Select(c => c.Status).ToArray();

    public void Dispose()
    {
        AhciHost.End();
        Model.Dispose();
        User.Dispose();
        NativeMemory.AlignedFree(registryMemory);
        NativeMemory.Free(Adapter);
        NativeMemory.Free(Port);
    }
}
