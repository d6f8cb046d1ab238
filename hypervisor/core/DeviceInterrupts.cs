// Physical device interrupts: which vector of this machine belongs to which virtual processor's vector, and the I/O APICs.
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>One mapped interrupt, by its physical vector.</summary>
public unsafe struct DeviceInterrupt
{
    public VirtualProcessor* Target;
    public byte Vector;
    public bool IsMapped, IsLevel, IsMasked;
    /// <summary>I/O APIC index and pin; -1 for an MSI.</summary>
    public int IoApic;
    public uint Pin;
    public ushort Device;
}

/// <summary>Physical vectors 0x30 to 0xEF are given out; each I/O APIC pin is masked until someone maps it.</summary>
public static unsafe class DeviceInterrupts
{
    private const int FirstVector = 0x30, LastVector = 0xEF, MaximumIoApics = 8;
    private const uint RteMasked = 1 << 16, RteLevel = 1 << 15, RteActiveLow = 1 << 13;
    private const uint MsiAddressBase = 0xFEE00000;

    private struct IoApicUnit { public ulong Registers; public uint FirstGsi, PinCount; public byte Id; public ulong Physical; }
    [System.Runtime.CompilerServices.InlineArray(256)] private struct Table { private DeviceInterrupt first; }
    [System.Runtime.CompilerServices.InlineArray(MaximumIoApics)] private struct Units { private IoApicUnit first; }
    private static class Storage { internal static Table Table; }
    private static class UnitStorage { internal static Units Units; internal static int Count; }

    public static void Initialize()
    {
        while (UnitStorage.Count < MaximumIoApics && AcpiTables.TryGetIoApic(UnitStorage.Count, out byte id, out ulong address, out uint firstGsi))
        {
            ref IoApicUnit unit = ref UnitStorage.Units[UnitStorage.Count++];
            unit.Id = id;
            unit.FirstGsi = firstGsi;
            unit.Physical = address;
            unit.Registers = CoreAddressSpace.MapDevice(address, 0x20, MemoryType.Uncacheable);
            unit.PinCount = ((Read(ref unit, 1) >> 16) & 0xFF) + 1;
            for (uint pin = 0; pin < unit.PinCount; pin++)
                Write(ref unit, 0x10 + 2 * pin, RteMasked);
        }
        // The 8259s would send their own vectors into ours: all masked, for good.
        Instructions.Out8(0x21, 0xFF);
        Instructions.Out8(0xA1, 0xFF);
    }

    /// <summary>Physical page of the <paramref name="index"/>th I/O APIC; no partition may reach it.</summary>
    public static bool TryGetIoApicPage(int index, out ulong physical)
    {
        physical = index < UnitStorage.Count ? UnitStorage.Units[index].Physical & ~0xFFFUL : 0;
        return index < UnitStorage.Count;
    }

    /// <summary>Routes a pin to a virtual processor. <paramref name="rte"/>: the redirection entry as programmed.</summary>
    public static HvStatus TryMapIoApic(byte ioApicId, uint pin, bool level, bool activeLow, byte vector, VirtualProcessor* target, out ulong rte)
    {
        rte = 0;
        int index = -1;
        for (int i = 0; i < UnitStorage.Count; i++)
            if (UnitStorage.Units[i].Id == ioApicId) index = i;
        if (index < 0 || pin >= UnitStorage.Units[index].PinCount || vector < 16)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        for (int v = FirstVector; v <= LastVector; v++)
            if (Storage.Table[v].IsMapped && Storage.Table[v].IoApic == index && Storage.Table[v].Pin == pin)
                return HvStatus.HV_STATUS_OBJECT_IN_USE;
        if (!TryTakeVector(vector, target, out int physicalVector))
            return HvStatus.HV_STATUS_NO_RESOURCES;
        ref DeviceInterrupt entry = ref Storage.Table[physicalVector];
        entry.IoApic = index;
        entry.Pin = pin;
        entry.IsLevel = level;
        uint low = (uint)physicalVector | (level ? RteLevel : 0) | (activeLow ? RteActiveLow : 0);
        rte = low | (ulong)LogicalProcessor.Current->ApicId << 56;
        ref IoApicUnit unit = ref UnitStorage.Units[index];
        Write(ref unit, 0x11 + 2 * pin, (uint)(rte >> 32));
        Write(ref unit, 0x10 + 2 * pin, low);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>Address and data that the device's MSI or MSI-X entry gets.</summary>
    public static HvStatus TryMapMsi(ushort bdf, byte vector, VirtualProcessor* target, out uint address, out uint data)
    {
        address = 0; data = 0;
        if (vector < 16)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (!TryTakeVector(vector, target, out int physicalVector))
            return HvStatus.HV_STATUS_NO_RESOURCES;
        ref DeviceInterrupt entry = ref Storage.Table[physicalVector];
        entry.IoApic = -1;
        entry.IsLevel = false;
        entry.Device = bdf;
        address = MsiAddressBase | LogicalProcessor.Current->ApicId << 12;
        data = (uint)physicalVector;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>Undoes a mapping by its I/O APIC pin.</summary>
    public static HvStatus UnmapIoApic(byte ioApicId, uint pin)
    {
        for (int v = FirstVector; v <= LastVector; v++)
        {
            ref DeviceInterrupt entry = ref Storage.Table[v];
            if (!entry.IsMapped || entry.IoApic < 0 || entry.Pin != pin || UnitStorage.Units[entry.IoApic].Id != ioApicId)
                continue;
            Write(ref UnitStorage.Units[entry.IoApic], 0x10 + 2 * pin, RteMasked);
            entry = default;
            return HvStatus.HV_STATUS_SUCCESS;
        }
        return HvStatus.HV_STATUS_NOT_FOUND;
    }

    /// <summary>The pin whose entry holds a physical vector, as <see cref="TryMapIoApic"/> returned it.</summary>
    public static bool TryFindPin(byte ioApicId, byte physicalVector, out uint pin)
    {
        ref DeviceInterrupt entry = ref Storage.Table[physicalVector];
        pin = entry.Pin;
        return entry.IsMapped && entry.IoApic >= 0 && UnitStorage.Units[entry.IoApic].Id == ioApicId;
    }

    /// <summary>Sends what arrives as a physical vector to another virtual processor or vector.</summary>
    public static HvStatus Retarget(uint physicalVector, byte vector, VirtualProcessor* target)
    {
        if (physicalVector is < FirstVector or > LastVector || !Storage.Table[(int)physicalVector].IsMapped)
            return HvStatus.HV_STATUS_NOT_FOUND;
        if (vector < 16)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        ref DeviceInterrupt entry = ref Storage.Table[(int)physicalVector];
        // A level line in service is ended by its old vector, which nobody would find any more.
        if (entry.IsMasked)
        {
            entry.IsMasked = false;
            SetMask(ref UnitStorage.Units[entry.IoApic], entry.Pin, false);
        }
        entry.Target = target;
        entry.Vector = vector;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>Undoes a mapping by the data that <see cref="TryMapMsi"/> gave.</summary>
    public static HvStatus UnmapMsi(ushort bdf, uint data)
    {
        if (data < FirstVector || data > LastVector || !Storage.Table[(int)data].IsMapped || Storage.Table[(int)data].IoApic >= 0 || Storage.Table[(int)data].Device != bdf)
            return HvStatus.HV_STATUS_NOT_FOUND;
        Storage.Table[(int)data] = default;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>Forgets all mappings to a virtual processor that goes away.</summary>
    public static void UnmapAll(VirtualProcessor* target)
    {
        for (int v = FirstVector; v <= LastVector; v++)
        {
            ref DeviceInterrupt entry = ref Storage.Table[v];
            if (!entry.IsMapped || entry.Target != target)
                continue;
            if (entry.IoApic >= 0)
                Write(ref UnitStorage.Units[entry.IoApic], 0x10 + 2 * entry.Pin, RteMasked);
            entry = default;
        }
    }

    /// <summary>A physical vector arrived: whose it is. A level line is masked until its EOI, or it would come again at once.</summary>
    public static bool TryAccept(int physicalVector, out VirtualProcessor* target, out byte vector, out bool level)
    {
        ref DeviceInterrupt entry = ref Storage.Table[physicalVector];
        target = entry.Target;
        vector = entry.Vector;
        level = entry.IsLevel;
        if (!entry.IsMapped)
            return false;
        if (level)
        {
            entry.IsMasked = true;
            SetMask(ref UnitStorage.Units[entry.IoApic], entry.Pin, true);
        }
        return true;
    }

    /// <summary>The virtual processor ended a level-triggered vector: its lines may interrupt again.</summary>
    public static void EndOfInterrupt(VirtualProcessor* target, byte vector)
    {
        for (int v = FirstVector; v <= LastVector; v++)
        {
            ref DeviceInterrupt entry = ref Storage.Table[v];
            if (!entry.IsMapped || !entry.IsMasked || entry.Target != target || entry.Vector != vector)
                continue;
            entry.IsMasked = false;
            SetMask(ref UnitStorage.Units[entry.IoApic], entry.Pin, false);
        }
    }

    private static bool TryTakeVector(byte vector, VirtualProcessor* target, out int physicalVector)
    {
        for (physicalVector = FirstVector; physicalVector <= LastVector; physicalVector++)
        {
            ref DeviceInterrupt entry = ref Storage.Table[physicalVector];
            if (entry.IsMapped)
                continue;
            entry = default;
            entry.IsMapped = true;
            entry.Target = target;
            entry.Vector = vector;
            return true;
        }
        return false;
    }

    private static void SetMask(ref IoApicUnit unit, uint pin, bool masked)
    {
        uint low = Read(ref unit, 0x10 + 2 * pin);
        Write(ref unit, 0x10 + 2 * pin, masked ? low | RteMasked : low & ~RteMasked);
    }

    private static uint Read(ref IoApicUnit unit, uint register)
    {
        Mmio.Write32(unit.Registers, register);
        return Mmio.Read32(unit.Registers + 0x10);
    }

    private static void Write(ref IoApicUnit unit, uint register, uint value)
    {
        Mmio.Write32(unit.Registers, register);
        Mmio.Write32(unit.Registers + 0x10, value);
    }
}
