// Loads a Linux bzImage by the 64-bit boot protocol. Source: Linux, "The Linux/x86 Boot Protocol" and "Zero Page".
using System;
using Lamina.Root.Devices;
using Lamina.Text;

namespace Lamina.Root.Loader;

/// <summary>The kernel's 16-bit part is not run: the processor starts in long mode at the load address + 0x200, RSI at the zero page.</summary>
public static unsafe class LinuxBoot
{
    // Offsets in the file's setup header, which are those in the zero page too.
    private const int SetupSects = 0x1F1, Syssize = 0x1F4, VidMode = 0x1FA, BootFlag = 0x1FE, JumpLength = 0x201, HeaderMagic = 0x202,
        Version = 0x206, TypeOfLoader = 0x210, Loadflags = 0x211, RamdiskImage = 0x218, RamdiskSize = 0x21C, CmdLinePtr = 0x228,
        InitrdAddrMax = 0x22C, Xloadflags = 0x236, CmdlineSize = 0x238, PrefAddress = 0x258, InitSize = 0x260;
    // Offsets in the zero page alone.
    private const int AcpiRsdpAddr = 0x070, E820Entries = 0x1E8, E820Table = 0x2D0, E820EntrySize = 20;
    private const int HeaderStart = 0x1F1, MinHeaderEnd = 0x264, MaxHeaderEnd = 0x290;
    private const int MinVersion = 0x020C, EntryOffset = 0x200;
    private const uint XlfKernel64 = 1, LoadedHigh = 1;

    /// <summary>What the loader uses of the setup header, checked.</summary>
    private struct Header
    {
        public int FileOffset, Length, End;
        public ulong LoadAddress, InitSize, InitrdCeiling, CommandLineLimit;
    }

    /// <summary>Whether the file says of itself that it is a bzImage.</summary>
    public static bool IsBzImage(ReadOnlySpan<byte> kernel) =>
        kernel.Length >= MinHeaderEnd && kernel.U16(BootFlag) == 0xAA55 && kernel.Slice(HeaderMagic, 4).SequenceEqual("HdrS"u8);

    /// <summary>Loads kernel, initrd, command line and zero page. False with one line in <paramref name="error"/>.</summary>
    public static bool TryLoad(in LoadRequest request, out InitialRegisters registers, ref TextWriter error)
    {
        registers = default;
        if (!TryReadHeader(request.Kernel, out Header header, ref error)) return false;
        ulong kernelEnd = header.LoadAddress + header.InitSize;
        if (kernelEnd > request.Memory.LowEnd) return Placement.RefuseForMemory(request, kernelEnd, ref error);
        request.Memory.TryCopyIn(header.LoadAddress, request.Kernel.Slice(header.FileOffset, header.Length));
        if (!Placement.TryPlaceInitrd(request, kernelEnd, header.InitrdCeiling, out ulong initrd, ref error)) return false;
        if (!BootLayout.TryWriteCommandLine(request.Memory, default, request.CommandLine, header.CommandLineLimit, ref error)) return false;
        if (!BootLayout.TryWriteGdt(request.Memory) || !BootLayout.TryWriteIdentityPageTables(request.Memory) || !TryWriteZeroPage(request, header, initrd))
            return Placement.RefuseForMemory(request, BootLayout.KernelFloor, ref error);
        registers = InitialRegisters.CreateLong64(header.LoadAddress + EntryOffset, BootLayout.StackTop);
        registers.Rsi = BootLayout.Info;
        return true;
    }

    private static bool TryReadHeader(ReadOnlySpan<byte> kernel, out Header header, ref TextWriter error)
    {
        header = default;
        if (!IsBzImage(kernel)) { error.Text("kernel: not a bzImage"u8); return false; }
        int version = kernel.U16(Version);
        if (version < MinVersion)
        {
            error.Text("kernel: boot protocol "u8).Decimal((ulong)(version >> 8)).Text("."u8).DecimalPadded((ulong)(version & 0xFF), 2, (byte)'0').Text(", expected 2.12 or newer"u8);
            return false;
        }
        if ((kernel.U16(Xloadflags) & XlfKernel64) == 0) { error.Text("kernel: a 32-bit bzImage, expected a 64-bit one (XLF_KERNEL_64)"u8); return false; }
        if ((kernel[Loadflags] & LoadedHigh) == 0) { error.Text("kernel: a zImage that loads low, expected a bzImage"u8); return false; }
        header.End = HeaderMagic + kernel[JumpLength];
        if (header.End < MinHeaderEnd || header.End > kernel.Length) { error.Text("kernel: its setup header ends at "u8).Hex((ulong)header.End).Text(", too early"u8); return false; }
        header.End = Math.Min(header.End, MaxHeaderEnd);

        int sectors = kernel[SetupSects] == 0 ? 4 : kernel[SetupSects];
        ulong fileOffset = (ulong)(sectors + 1) * 512, length = (ulong)kernel.U32(Syssize) * 16;
        // syssize counts paragraphs, so the last may be cut.
        if (fileOffset + length > (ulong)kernel.Length + 15)
        {
            error.Text("kernel: truncated: its header says "u8).Decimal(fileOffset + length).Text(" bytes, the file has "u8).Decimal((ulong)kernel.Length);
            return false;
        }
        header.FileOffset = (int)fileOffset;
        header.Length = (int)Math.Min(length, (ulong)kernel.Length - Math.Min(fileOffset, (ulong)kernel.Length));
        if (header.Length <= EntryOffset) { error.Text("kernel: has no protected-mode part"u8); return false; }
        return TryReadAddresses(kernel, ref header, ref error);
    }

    // A relocatable kernel that starts below pref_address moves itself there, so that address and init_size must be RAM in any case.
    private static bool TryReadAddresses(ReadOnlySpan<byte> kernel, ref Header header, ref TextWriter error)
    {
        header.LoadAddress = kernel.U64(PrefAddress);
        header.InitSize = Math.Max(kernel.U32(InitSize), (ulong)header.Length);
        // The identity page tables reach up to 4 GiB; more than that no kernel asks for.
        if (header.LoadAddress < BootLayout.KernelFloor || header.LoadAddress > GuestMemory.HoleStart || (header.LoadAddress & Placement.PageMask) != 0)
        {
            error.Text("kernel: wants to be loaded at "u8).Hex(header.LoadAddress).Text(", expected a page between 1 MiB and 3 GiB"u8);
            return false;
        }
        header.InitrdCeiling = (ulong)kernel.U32(InitrdAddrMax) + 1;
        header.CommandLineLimit = kernel.U32(CmdlineSize);
        return true;
    }

    private static bool TryWriteZeroPage(in LoadRequest request, in Header header, ulong initrd)
    {
        if (!request.Memory.TryZero(BootLayout.Info, 4096) || !request.Memory.TryGetPointer(BootLayout.Info, 4096, out byte* page)) return false;
        request.Memory.TryCopyIn(BootLayout.Info + HeaderStart, request.Kernel.Slice(HeaderStart, header.End - HeaderStart));
        *(ushort*)(page + VidMode) = 0xFFFF; // "normal": leave the screen as it is
        page[TypeOfLoader] = 0xFF; // a loader without an assigned number
        *(uint*)(page + CmdLinePtr) = (uint)BootLayout.CommandLine;
        *(uint*)(page + RamdiskImage) = (uint)initrd;
        *(uint*)(page + RamdiskSize) = (uint)request.Initrd.Length;
        *(ulong*)(page + AcpiRsdpAddr) = request.AcpiRsdp;
        int count = 0;
        for (; count < MemoryMap.MaxEntries && MemoryMap.TryGet(request.Memory, count, out MemoryMapEntry entry); count++)
        {
            byte* slot = page + E820Table + count * E820EntrySize;
            *(ulong*)slot = entry.Start;
            *(ulong*)(slot + 8) = entry.Length;
            *(uint*)(slot + 16) = (uint)entry.Type;
        }
        page[E820Entries] = (byte)count;
        return true;
    }
}
