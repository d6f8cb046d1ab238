// The controller as the driver reaches it: registers, and whether it may touch memory.

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>A PCI function in the machine, a model of one in tests.</summary>
public interface INvmeFunction
{
    uint Read32(uint offset);
    void Write32(uint offset, uint value);

    /// <summary>Lets the function read and write memory by itself, or forbids it; when it returns from forbidding, nothing is on its way any more.</summary>
    void SetBusMaster(bool allowed);
}
