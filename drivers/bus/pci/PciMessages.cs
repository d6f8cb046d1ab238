// Message-signalled interrupts of a PCI function: the one message of MSI, or a table entry of MSI-X.
// PCI Local Bus 3.0, "MSI Capability Structure", "MSI-X Capability and Table Structure".
using Lamina.X64;

namespace Lamina.Drivers.Bus.Pci;

public static class PciMessages
{
    private const byte MsiCapability = 0x05, MsiXCapability = 0x11;

    // MSI: message control at 2, address at 4, data after it
    private const ushort MsiEnable = 1 << 0, Msi64Bit = 1 << 7, MsiMultipleEnable = 7 << 4;

    // MSI-X: message control at 2, table's BAR and offset at 4; a table entry is address, data, vector control
    private const ushort MsiXEnable = 1 << 15, MsiXFunctionMask = 1 << 14, MsiXTableSize = 0x7FF;
    private const ulong EntryBytes = 16, EntryData = 8, EntryControl = 12;

    /// <summary>Has the function send its one message; false if it has no MSI capability.</summary>
    public static bool TryEnableMsi(in PciFunction function, InterruptMessage message)
    {
        if (!function.TryFindCapability(MsiCapability, out int offset)) return false;
        ushort control = PciConfiguration.Read16(function.Address, offset + 2);
        bool is64Bit = (control & Msi64Bit) != 0;
        PciConfiguration.Write32(function.Address, offset + 4, (uint)message.Address);
        if (is64Bit) PciConfiguration.Write32(function.Address, offset + 8, (uint)(message.Address >> 32));
        PciConfiguration.Write16(function.Address, offset + (is64Bit ? 12 : 8), (ushort)message.Data);
        function.SetCommand(PciHeader.CommandInterruptDisable, 0);
        PciConfiguration.Write16(function.Address, offset + 2, (ushort)(control & ~MsiMultipleEnable | MsiEnable));
        return true;
    }

    public static void DisableMsi(in PciFunction function)
    {
        if (!function.TryFindCapability(MsiCapability, out int offset)) return;
        ushort control = PciConfiguration.Read16(function.Address, offset + 2);
        PciConfiguration.Write16(function.Address, offset + 2, (ushort)(control & ~MsiEnable));
    }

    /// <summary>How many messages the function's MSI-X table holds; 0 if it has none.</summary>
    public static int CountMsiX(in PciFunction function) =>
        function.TryFindCapability(MsiXCapability, out int offset) ? (PciConfiguration.Read16(function.Address, offset + 2) & MsiXTableSize) + 1 : 0;

    /// <summary>Switches MSI-X on with every entry masked, and maps the table; entries are then set one by one.</summary>
    public static bool TryEnableMsiX<THost>(in PciFunction function, out ulong table) where THost : struct, IDriverHost
    {
        table = 0;
        if (!function.TryFindCapability(MsiXCapability, out int offset)) return false;
        ushort control = PciConfiguration.Read16(function.Address, offset + 2);
        uint place = PciConfiguration.Read32(function.Address, offset + 4);
        ulong start = place & ~7u, bytes = (ulong)((control & MsiXTableSize) + 1) * EntryBytes;
        if (!function.TryMapRegisters<THost>((int)(place & 7), start + bytes, out ulong registers)) return false;
        table = registers + start;
        PciConfiguration.Write16(function.Address, offset + 2, (ushort)(control | MsiXEnable | MsiXFunctionMask));
        for (ulong entry = table; entry < table + bytes; entry += EntryBytes) Mmio.Write32(entry + EntryControl, 1);
        function.SetCommand(PciHeader.CommandInterruptDisable, 0);
        PciConfiguration.Write16(function.Address, offset + 2, (ushort)(control & ~MsiXFunctionMask | MsiXEnable));
        return true;
    }

    /// <summary>Fills and unmasks an entry of a table that <see cref="TryEnableMsiX"/> mapped.</summary>
    public static void SetMsiX(ulong table, int index, InterruptMessage message)
    {
        ulong entry = table + (ulong)index * EntryBytes;
        Mmio.Write32(entry + EntryControl, 1);
        Mmio.Write32(entry, (uint)message.Address);
        Mmio.Write32(entry + 4, (uint)(message.Address >> 32));
        Mmio.Write32(entry + EntryData, message.Data);
        Mmio.Write32(entry + EntryControl, 0);
    }

    public static void MaskMsiX(ulong table, int index) => Mmio.Write32(table + (ulong)index * EntryBytes + EntryControl, 1);
}
