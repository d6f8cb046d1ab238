// Where second-stage tables lie, whatever their format: a backend's page-table editor works on these.
using System.Threading;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>Tables of one partition: pages from its account, reached through the window.</summary>
public readonly unsafe struct PartitionTableMemory : IPageTableMemory
{
    private readonly Partition* partition;
    public PartitionTableMemory(Partition* partition) => this.partition = partition;

    public ulong ReadEntry(ulong physical) => *(ulong*)PhysicalMap.ToPointer(physical);
    public void WriteEntry(ulong physical, ulong value) => Volatile.Write(ref *(ulong*)PhysicalMap.ToPointer(physical), value);
    public bool TryAllocatePage(out ulong physical) => partition->Account.TryTake(out physical);
    public void FreePage(ulong physical) => partition->Account.AddZeroed(physical);
}
