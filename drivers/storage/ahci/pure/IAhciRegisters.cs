// The registers of a host bus adapter or of one of its ports, as the driver reaches them.

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>Offsets are those of <see cref="HbaRegister"/> or <see cref="PortRegister"/>; accesses are 32 bits wide and happen in program order.</summary>
public interface IAhciRegisters
{
    uint Read(uint offset);
    void Write(uint offset, uint value);
}
