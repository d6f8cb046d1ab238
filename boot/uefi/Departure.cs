// Leaving boot services with a memory map that is still true, and making the handover's map of it.
using System;
using Lamina.Abi;
using Lamina.Boot.Efi;

namespace Lamina.Boot;

/// <summary>All memory is taken beforehand: after the first ExitBootServices, even a failed one, nothing can be allocated.</summary>
public unsafe struct Departure
{
    private const int Attempts = 8;
    private const ulong Slack = 16 * 1024;
    private const ulong SmallestDescriptor = 40;

    private EfiBootServices* services;
    private byte* buffer;
    private ulong bufferBytes;
    private ulong mapBytes;
    private ulong descriptorBytes;
    private MemoryRange* claims;
    private int claimCapacity;

    /// <summary>The handover's page; the memory map follows it.</summary>
    public ulong HandoverPhysical { get; private set; }

    /// <summary>Takes the memory. False: <paramref name="bytes"/> bytes could not be had.</summary>
    public static bool TryPrepare(EfiBootServices* services, out Departure departure, out ulong bytes)
    {
        departure = default;
        ulong size = 0, key, descriptorSize = 0;
        uint version;
        services->GetMemoryMap(&size, null, &key, &descriptorSize, &version);
        departure.services = services;
        departure.bufferBytes = BootPages.RoundUp(size + Slack, BootPages.PageBytes);
        departure.claimCapacity = (int)(departure.bufferBytes / Math.Max(descriptorSize, SmallestDescriptor)) + LoaderMemory.MaximumBlocks + 2;
        ulong claimBytes = (ulong)departure.claimCapacity * (ulong)sizeof(MemoryRange);
        ulong handoverBytes = BootPages.PageBytes + 2 * claimBytes;
        bytes = departure.bufferBytes + claimBytes + handoverBytes;
        if (!LoaderMemory.TryAllocate(departure.bufferBytes + claimBytes, MemoryRangeType.Usable, out ulong scratch)
            || !LoaderMemory.TryAllocate(handoverBytes, MemoryRangeType.BootData, out ulong handover))
        {
            return false;
        }
        departure.buffer = (byte*)scratch;
        departure.claims = (MemoryRange*)(scratch + departure.bufferBytes);
        departure.HandoverPhysical = handover;
        return true;
    }

    /// <summary>Leaves boot services. A key gone stale between the two calls (a timer event allocated something) is tried again.</summary>
    public bool TryExit(void* imageHandle)
    {
        for (int i = 0; i < Attempts; i++)
        {
            ulong size = bufferBytes, key, descriptorSize;
            uint version;
            if (EfiStatus.IsError(services->GetMemoryMap(&size, buffer, &key, &descriptorSize, &version)))
            {
                return false;
            }
            mapBytes = size;
            descriptorBytes = descriptorSize;
            ulong status = services->ExitBootServices(imageHandle, key);
            if (!EfiStatus.IsError(status))
            {
                return true;
            }
            if (status != EfiStatus.EFI_INVALID_PARAMETER)
            {
                return false;
            }
        }
        return false;
    }

    /// <summary>Writes the memory map and the handover.</summary>
    public readonly void Finish(ref BootHandover handover)
    {
        FirmwareMemoryMap map = new(buffer, mapBytes, descriptorBytes);
        MemoryMapBuilder builder = new(claims, claimCapacity);
        bool complete = map.TryAddTo(ref builder) && LoaderMemory.TryAddTo(ref builder)
            && builder.TryAdd(0, BootPages.PageBytes, MemoryRangeType.Reserved); // nobody is given what a null pointer reaches
        if (complete && handover.TrampolinePhysical == 0 && map.TryFindLeftPage(BootPages.OneMiB, out ulong page))
        {
            handover.TrampolinePhysical = page;
            complete = builder.TryAdd(page, BootPages.PageBytes, MemoryRangeType.Hypervisor);
        }
        handover.MemoryMapPhysical = HandoverPhysical + BootPages.PageBytes;
        int count = complete ? builder.Build((MemoryRange*)handover.MemoryMapPhysical, 2 * claimCapacity) : -1;
        if (count < 0)
        {
            // Cannot happen: the room was counted beforehand.
            BootConsole.Stop("boot: stopped: the memory map outgrew the room taken for it"u8);
        }
        handover.MemoryMapCount = (uint)count;
        *(BootHandover*)HandoverPhysical = handover;
    }
}
