// The loader from beginning to end: check, reserve, read, describe, leave. Each step says in one line why it cannot be done.
using System;
using Lamina.Abi;
using Lamina.Boot.Efi;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Boot;

/// <summary>One start. The steps run in the order in which they stand here.</summary>
public unsafe struct Loader
{
    private const ulong StackBytes = 64 * 1024;
    private const ulong CR4_LA57 = 1 << 12;

    private readonly void* imageHandle;
    private readonly EfiSystemTable* system;
    private readonly EfiBootServices* services;
    private PeImage core;
    private BootHandover handover;
    private ulong tables;
    private ulong stackTop;

    public Loader(void* imageHandle, EfiSystemTable* system, ulong bootTsc)
    {
        this = default;
        this.imageHandle = imageHandle;
        this.system = system;
        services = system->BootServices;
        handover.Magic = BootHandover.ExpectedMagic;
        handover.Version = BootHandover.ExpectedVersion;
        handover.Size = (uint)sizeof(BootHandover);
        handover.BootTsc = bootTsc;
        handover.BootSource = BootSource.Uefi;
    }

    /// <summary>Runs all steps. Returns only when one of them failed, its reason said.</summary>
    public void Run()
    {
        if (!CheckProcessor() || !ReserveImages() || !ReadFiles())
        {
            return;
        }
        DescribeMachine();
        if (BuildTables())
        {
            LeaveAndEnter();
        }
    }

    // Paging levels cannot be changed without leaving long mode, and the core walks four.
    private readonly bool CheckProcessor()
    {
        if ((Instructions.ReadCr4() & CR4_LA57) == 0)
        {
            return true;
        }
        BootConsole.WriteLine("boot: the firmware runs with 5-level paging (CR4.LA57): expected 4 levels; firmware setup may have a switch for it"u8);
        return false;
    }

    private bool ReserveImages()
    {
        FirmwarePages pages = default;
        if (!ImageReservation.TryReserve(ref pages, ref handover, out core))
        {
            return false;
        }
        // When all of low memory is the firmware's now, a page that it leaves behind is taken later.
        LoaderMemory.TryAllocateBelow(BootPages.OneMiB, BootPages.PageBytes, MemoryRangeType.Hypervisor, out handover.TrampolinePhysical);
        return true;
    }

    private bool ReadFiles()
    {
        if (!LoaderMemory.TryAllocate((ulong)sizeof(BootModule) * ModuleLoader.MaximumModules, MemoryRangeType.BootData, out handover.ModulesPhysical))
        {
            return OutOfMemory((ulong)sizeof(BootModule) * ModuleLoader.MaximumModules);
        }
        EfiGuid guid = EfiGuid.EFI_LOADED_IMAGE_PROTOCOL;
        EfiLoadedImageProtocol* self = null;
        if (EfiStatus.IsError(services->HandleProtocol(imageHandle, &guid, (void**)&self)) || self->DeviceHandle == null)
        {
            BootConsole.WriteLine("boot: the firmware does not say where the loader came from: going on without modules"u8);
            return true;
        }
        if (VolumeFiles.TryOpenVolume(services, self->DeviceHandle, out VolumeFiles volume))
        {
            LoadModules(ref volume);
        }
        else if (NetworkFiles.TryOpenServer(services, self->DeviceHandle, out NetworkFiles server, out bool isNetwork))
        {
            LoadModules(ref server);
        }
        else if (!isNetwork)
        {
            BootConsole.WriteLine("boot: the boot device has no file system that the firmware can read: going on without modules"u8);
        }
        return true;
    }

    private void LoadModules<TSource>(ref TSource source) where TSource : struct, IFileSource
    {
        ModuleLoader loader = new(services, (BootModule*)handover.ModulesPhysical);
        loader.Load(ref source);
        loader.Close();
        handover.ModuleCount = loader.Count;
    }

    private void DescribeMachine()
    {
        handover.Rsdp = FirmwareTables.FindRsdp(system);
        handover.Framebuffer = FirmwareTables.FindFramebuffer(system);
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: RSDP "u8).Hex(handover.Rsdp).Text(", framebuffer "u8);
        if (handover.Framebuffer.Base == 0)
        {
            line.Text("none"u8);
        }
        else
        {
            line.Decimal(handover.Framebuffer.Width).Text("x"u8).Decimal(handover.Framebuffer.Height).Text(" at "u8).Hex(handover.Framebuffer.Base);
        }
        BootConsole.WriteLine(ref line);
    }

    private bool BuildTables()
    {
        if (!LoaderMemory.TryReadMap(out FirmwareMemoryMap map, out void* buffer, out ulong pages))
        {
            return OutOfMemory(pages * BootPages.PageBytes);
        }
        ulong top = map.TopOfRam();
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: "u8).Decimal(map.UsableBytes() >> 20).Text(" MiB usable, RAM up to "u8).Hex(top);
        services->FreePages((ulong)buffer, pages);
        BootConsole.WriteLine(ref line);
        if (!LoaderMemory.TryAllocate(StackBytes, MemoryRangeType.Usable, out ulong stack))
        {
            return OutOfMemory(StackBytes);
        }
        stackTop = stack + StackBytes;
        FirmwarePages memory = default;
        return TransitionalTables.TryBuild(ref memory, top, handover.Framebuffer.Base, handover.Framebuffer.Size, core.ImageBase,
            handover.CoreImagePhysical, core.SizeOfImage, out tables, out ulong bytes) || OutOfMemory(bytes);
    }

    private void LeaveAndEnter()
    {
        if (!Departure.TryPrepare(services, out Departure departure, out ulong bytes))
        {
            OutOfMemory(bytes);
            return;
        }
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: "u8).Decimal(handover.ModuleCount).Text(handover.ModuleCount == 1 ? " module; leaving"u8 : " modules; leaving"u8).Text(" the firmware for the core at "u8).Hex(core.ImageBase + core.AddressOfEntryPoint);
        BootConsole.WriteLine(ref line);
        bool left = departure.TryExit(imageHandle);
        FirmwareConsole.Leave(); // a failed attempt, too, may have taken its console down
        if (!left)
        {
            BootConsole.Stop("boot: stopped: ExitBootServices failed: expected success with a fresh map key"u8);
        }
        departure.Finish(ref handover);
        BootConsole.Drain();
        EmbeddedImages.EnterCore(tables, departure.HandoverPhysical, core.ImageBase + core.AddressOfEntryPoint, stackTop,
            TransitionalTables.HasNoExecute() ? 1u : 0);
    }

    private static bool OutOfMemory(ulong bytes)
    {
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: out of memory: expected "u8).Decimal((bytes + 1023) >> 10).Text(" KiB more"u8);
        BootConsole.WriteLine(ref line);
        return false;
    }
}
