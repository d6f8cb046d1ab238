// The loader from beginning to end: look, reserve, name, describe, hand over. Each step says in one line why it cannot be done.
using System;
using Lamina.Abi;
using Lamina.Text;

namespace Lamina.Boot;

/// <summary>One start. The steps run in the order in which they stand here.</summary>
public unsafe struct Loader
{
    private const ulong StackBytes = 64 * 1024;
    private const int RsdpOffset = 2048; // in the handover's page, behind the handover
    private const int MostRsdpBytes = 256;

    private readonly byte* information;
    private readonly int informationBytes;
    private MachineMemory memory;
    private PeImage core;
    private BootHandover handover;
    private byte* page;

    /// <param name="information">The boot information; its first number is its size.</param>
    public Loader(byte* information, ulong bootTsc)
    {
        this = default;
        this.information = information;
        informationBytes = (int)Math.Min(*(uint*)information, int.MaxValue);
        memory = MachineMemory.Create();
        handover.Magic = BootHandover.ExpectedMagic;
        handover.Version = BootHandover.ExpectedVersion;
        handover.Size = (uint)sizeof(BootHandover);
        handover.BootTsc = bootTsc;
        handover.BootSource = BootSource.Multiboot2;
    }

    private readonly Multiboot2Tags Tags => new(new ReadOnlySpan<byte>(information, informationBytes));

    /// <summary>Runs all steps. Returns only when one of them failed, its reason said.</summary>
    /// <param name="imageStart">Where this image begins.</param>
    /// <param name="imageEnd">Where its zeroed memory ends.</param>
    public void Run(ulong imageStart, ulong imageEnd)
    {
        FindScreen();
        Greet();
        if (!ReadMemoryMap() || !TakeWhatIsThere(imageStart, imageEnd) || !ImageReservation.TryReserve(ref memory, ref handover, out core) || !NameModules())
        {
            return;
        }
        // Without one, the machine keeps to the processor that it started with.
        memory.Free.TryAllocate(BootPages.PageBytes, BootPages.PageBytes, BootPages.OneMiB, MemoryRangeType.Hypervisor, out handover.TrampolinePhysical);
        if (TakeHandoverPage())
        {
            DescribeMachine();
            Enter();
        }
    }

    // First, so that it shows what follows. It must lie below 4 GiB, as all that is mapped does.
    private void FindScreen()
    {
        for (Multiboot2Tags tags = Tags; tags.TryNext();)
        {
            if (tags.Type != Multiboot2TagType.FramebufferInfo)
            {
                continue;
            }
            if (tags.TryReadFramebuffer(out handover.Framebuffer))
            {
                if (handover.Framebuffer.Base < BootPages.FourGiB && handover.Framebuffer.Size <= BootPages.FourGiB - handover.Framebuffer.Base)
                {
                    Screen.Use(handover.Framebuffer);
                }
            }
            else if (tags.TryReadTextScreen(out TextScreenInfo text) && text.Base < BootPages.OneMiB)
            {
                Screen.Use(text);
            }
        }
    }

    private readonly void Greet()
    {
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: Lamina by Multiboot2"u8);
        for (Multiboot2Tags tags = Tags; tags.TryNext();)
        {
            if (tags.Type == Multiboot2TagType.BootLoaderName)
            {
                line.Text(", "u8).Printable(tags.Text);
            }
            else if (tags.Type == Multiboot2TagType.BootCommandLine && tags.Text.Length != 0)
            {
                line.Text(", command line "u8).Printable(tags.Text);
            }
        }
        BootConsole.WriteLine(ref line);
    }

    private bool ReadMemoryMap()
    {
        for (Multiboot2Tags tags = Tags; tags.TryNext();)
        {
            if (tags.Type != Multiboot2TagType.MemoryMap)
            {
                continue;
            }
            for (int i = 0; tags.TryReadMemoryRange(i, out MemoryRange range); i++)
            {
                if (!memory.Free.TryAddRange(range))
                {
                    BootConsole.WriteLine("boot: the memory map has more than 639 ranges"u8);
                    return false;
                }
            }
        }
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: "u8).Decimal(memory.Free.UsableBytes() >> 20).Text(" MiB usable, RAM up to "u8).Hex(memory.Free.TopOfRam());
        BootConsole.WriteLine(ref line);
        if (memory.Free.TopOfRam() == 0)
        {
            BootConsole.WriteLine("boot: expected a memory map (tag 6) from the Multiboot2 loader"u8);
        }
        return memory.Free.TopOfRam() != 0;
    }

    // What the loader put into memory is withheld: this image and the information until the core runs, modules until they are consumed.
    private bool TakeWhatIsThere(ulong imageStart, ulong imageEnd)
    {
        bool room = memory.Free.TryTake(imageStart, imageEnd - imageStart, MemoryRangeType.Usable)
            && memory.Free.TryTake((ulong)information, (ulong)informationBytes, MemoryRangeType.Usable);
        for (Multiboot2Tags tags = Tags; room && tags.TryNext();)
        {
            if (tags.Type == Multiboot2TagType.Modules && tags.TryReadModule(out Multiboot2Module module))
            {
                room = memory.Free.TryTake(module.Start, module.End - module.Start, MemoryRangeType.BootData);
            }
        }
        if (!room)
        {
            BootConsole.WriteLine("boot: there is no room to remember all modules"u8);
        }
        return room;
    }

    private bool NameModules()
    {
        ulong bytes = (ulong)sizeof(BootModule) * ModuleList.MaximumModules;
        if (!memory.TryAllocate(bytes, MemoryRangeType.BootData, out handover.ModulesPhysical))
        {
            return OutOfMemory(bytes);
        }
        ModuleList list = new((BootModule*)handover.ModulesPhysical);
        list.Fill(Tags);
        handover.ModuleCount = list.Count;
        return true;
    }

    // One page for the handover and the root pointer; the memory map follows it. Room is left for the blocks still to be taken.
    private bool TakeHandoverPage()
    {
        const int StillToCome = 3;
        ulong bytes = BootPages.PageBytes + (ulong)(memory.Free.MostRanges + 2 * StillToCome) * (ulong)sizeof(MemoryRange);
        if (!memory.TryAllocate(bytes, MemoryRangeType.BootData, out ulong address))
        {
            return OutOfMemory(bytes);
        }
        page = (byte*)address;
        SpanHelpers.Zero(page, BootPages.PageBytes);
        handover.MemoryMapPhysical = address + BootPages.PageBytes;
        return true;
    }

    private void DescribeMachine()
    {
        for (Multiboot2Tags tags = Tags; tags.TryNext();)
        {
            if (tags.Type == Multiboot2TagType.AcpiNewRsdp || (tags.Type == Multiboot2TagType.AcpiOldRsdp && handover.Rsdp == 0))
            {
                KeepRsdp(tags.Body);
            }
        }
        if (handover.Rsdp == 0)
        {
            handover.Rsdp = SearchRsdp();
        }
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

    // The tag holds a copy, in memory that is given away: ours stays.
    private void KeepRsdp(ReadOnlySpan<byte> copy)
    {
        int length = RsdpSearch.LengthOf(copy);
        if (length == 0 || length > MostRsdpBytes)
        {
            return;
        }
        copy.Slice(0, length).CopyTo(new Span<byte>(page + RsdpOffset, MostRsdpBytes));
        handover.Rsdp = (ulong)page + RsdpOffset;
    }

    private static ulong SearchRsdp()
    {
        ulong ebda = (ulong)*(ushort*)RsdpSearch.EbdaSegmentPointer << 4;
        if (ebda is >= 0x80000 and < 0xA0000)
        {
            int inEbda = RsdpSearch.Find(new ReadOnlySpan<byte>((void*)ebda, RsdpSearch.EbdaBytes));
            if (inEbda >= 0)
            {
                return ebda + (ulong)inEbda;
            }
        }
        int inBios = RsdpSearch.Find(new ReadOnlySpan<byte>((void*)RsdpSearch.BiosArea, RsdpSearch.BiosAreaBytes));
        return inBios < 0 ? 0 : RsdpSearch.BiosArea + (ulong)inBios;
    }

    private void Enter()
    {
        if (!memory.TryAllocate(StackBytes, MemoryRangeType.Usable, out ulong stack))
        {
            OutOfMemory(StackBytes);
            return;
        }
        if (!TransitionalTables.TryBuild(ref memory, memory.Free.TopOfRam(), handover.Framebuffer.Base, handover.Framebuffer.Size, core.ImageBase,
            handover.CoreImagePhysical, core.SizeOfImage, out ulong tables, out ulong bytes))
        {
            OutOfMemory(bytes);
            return;
        }
        int count = memory.Free.Build((MemoryRange*)handover.MemoryMapPhysical, memory.Free.MostRanges);
        handover.MemoryMapCount = (uint)count;
        *(BootHandover*)page = handover;
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: "u8).Decimal(handover.ModuleCount).Text(handover.ModuleCount == 1 ? " module"u8 : " modules"u8)
            .Text("; entering the core at "u8).Hex(core.ImageBase + core.AddressOfEntryPoint);
        BootConsole.WriteLine(ref line);
        BootConsole.Drain();
        EmbeddedImages.EnterCore(tables, (ulong)page, core.ImageBase + core.AddressOfEntryPoint, stack + StackBytes,
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
