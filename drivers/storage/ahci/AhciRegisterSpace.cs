// Registers of a real adapter.
using Lamina.X64;

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>Mapped registers, from <paramref name="address"/> on.</summary>
public readonly struct AhciRegisterSpace(ulong address) : IAhciRegisters
{
    public uint Read(uint offset) => Mmio.Read32(address + offset);
    public void Write(uint offset, uint value) => Mmio.Write32(address + offset, value);
}
