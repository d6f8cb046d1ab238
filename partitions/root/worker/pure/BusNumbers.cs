// The numbers by which a VM's bus is known to the core: ports and connections of the root, and event flags of its SINT.
using Lamina.Abi;
using Lamina.Root.Config;

namespace Lamina.Root.Worker;

/// <summary>
/// Each VM has a message port and, for each channel, an event port in the root, and a connection by which the root posts to it. A number
/// holds the VM's number and its run, so that what an earlier run sent is told apart.
/// </summary>
public readonly struct BusNumbers(int vm, ulong runs)
{
    /// <summary>Channels that a VM may have, number 0 (which is none) included: all VMs together share the flags of one SINT.</summary>
    public const int ChannelsPerVm = SynicLimits.HV_EVENT_FLAGS_COUNT / MachineConfig.MaxVms;

    /// <summary>The root's SINT for messages and events of its children's buses.</summary>
    public const byte RootSint = 2;

    // 24 bits: kind in 23:20, VM in 19:16, run in 15:8, channel in 7:0.
    private const uint MessageKind = 1u << 20, EventKind = 2u << 20, PostKind = 3u << 20;

    private readonly uint _base = (uint)vm << 16 | (uint)(runs & 0xFF) << 8;
    private readonly int _vm = vm;

    public uint MessagePort => MessageKind | _base;
    public uint EventPort(uint channel) => EventKind | _base | channel;

    /// <summary>The root's connection to the guest's message port.</summary>
    public uint PostConnection => PostKind | _base;

    /// <summary>The flag that a guest's signal for a channel sets.</summary>
    public ushort Flag(uint channel) => (ushort)((uint)_vm * ChannelsPerVm + channel);

    /// <summary>The VM that a message port belongs to; whether it is that of its present run is seen by comparing the whole number.</summary>
    public static int VmOfPort(ulong port) => (int)(port >> 16 & 0xF);
    public static int VmOfFlag(uint flag) => (int)(flag / ChannelsPerVm);
    public static uint ChannelOfFlag(uint flag) => flag % ChannelsPerVm;
}
