// NVMe on PCI: finds the controller's registers, has its messages delivered, and leaves the rest to NvmeController.
// NVM Express over PCIe Transport Specification 1.0, "PCI Header", "Interrupts".
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.Drivers.Storage.Registry;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>The registers of a PCI function.</summary>
public struct NvmePciFunction(PciFunction function, ulong registers) : INvmeFunction
{
    private PciFunction function = function;
    private readonly ulong registers = registers;

    public readonly uint Read32(uint offset) => Mmio.Read32(registers + offset);
    public readonly void Write32(uint offset, uint value) => Mmio.Write32(registers + offset, value);

    public readonly void SetBusMaster(bool allowed)
    {
        if (allowed) function.SetCommand(PciHeader.CommandBusMaster, 0);
        else function.SetCommand(0, PciHeader.CommandBusMaster);
        // A read's answer comes behind everything that the function has written before.
        Mmio.Read32(registers + NvmeRegister.CSTS);
    }
}

public static unsafe class NvmeDriver<THost> where THost : struct, IDriverHost
{
    public const byte BaseClass = 0x01, Subclass = 0x08, ProgrammingInterface = 0x02;

    /// <summary>Most that the doorbells of all queues can take, with the widest stride that a controller may ask for.</summary>
    private const ulong MostRegisterBytes = 0x1000 + (2 * NvmeController<THost, NvmePciFunction>.MaximumVectors << 2 + 15);

    public static bool IsNvme(in PciFunction function) =>
        function.BaseClass == BaseClass && function.Subclass == Subclass && function.ProgrammingInterface == ProgrammingInterface;

    /// <summary>Starts the driver on a function; its disks come into the registry when they are ready. False: said why on the log.</summary>
    public static bool TryStart(PciFunction function, BlockRegistry* disks)
    {
        byte* buffer = stackalloc byte[16];
        TextWriter label = new(buffer, 16);
        label.HexDigits(function.Address.Bus, 2).Char((byte)':').HexDigits(function.Address.Device, 2).Char((byte)'.').HexDigits(function.Address.Function, 1);
        function.Enable();
        ulong bytes = function.MeasureBaseAddress(0);
        if (bytes > MostRegisterBytes) bytes = MostRegisterBytes;
        if (bytes < NvmeRegister.Doorbells || !function.TryMapRegisters<THost>(0, bytes, out ulong registers)
            || !THost.TryAllocateDma(NvmeController<THost, NvmePciFunction>.ControllerBytes, out DmaMemory memory))
        {
            Report(label, "no registers, or no memory"u8);
            return false;
        }
        var controller = (NvmeController<THost, NvmePciFunction>*)memory.Address;
        uint vectors = Connect(function, controller);
        NvmeController<THost, NvmePciFunction>.Start(controller, new NvmePciFunction(function, registers), label.Written, bytes, vectors, disks);
        return true;
    }

    /// <summary>A message for each queue by MSI-X where there are so many, else one by MSI; how many there are.</summary>
    private static uint Connect(in PciFunction function, NvmeController<THost, NvmePciFunction>* controller)
    {
        uint wanted = NvmeController<THost, NvmePciFunction>.MaximumVectors, count = 0;
        int available = PciMessages.CountMsiX(function);
        if (available > 0 && PciMessages.TryEnableMsiX<THost>(function, out ulong table))
        {
            while (count < wanted && count < (uint)available && TryConnect(function, controller, count, out InterruptMessage message)) PciMessages.SetMsiX(table, (int)count++, message);
            if (count != 0) return count;
        }
        if (!TryConnect(function, controller, 0, out InterruptMessage single)) return 0;
        if (PciMessages.TryEnableMsi(function, single)) return 1;
        THost.DisconnectMessage(function.Address, single);
        return 0;
    }

    private static bool TryConnect(in PciFunction function, NvmeController<THost, NvmePciFunction>* controller, uint index, out InterruptMessage message) =>
        THost.TryConnectMessage(function.Address, &NvmeController<THost, NvmePciFunction>.OnInterrupt, NvmeController<THost, NvmePciFunction>.Vector(controller, index), out message);

    private static void Report(in TextWriter label, System.ReadOnlySpan<byte> what)
    {
        byte* buffer = stackalloc byte[80];
        TextWriter line = new(buffer, 80);
        line.Text("nvme "u8).Text(label.Written).Text(": "u8).Text(what);
        THost.Report(line.Written);
    }
}
