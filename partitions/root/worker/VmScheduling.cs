// Weight, cap and reserve of a VM: given to the core at its start, and whenever the console changes them. The words are those of Set-VMProcessor.
using System;
using Lamina.Abi;
using Lamina.Root.Config;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;
using static Lamina.Abi.HvPartitionPropertyCode;

namespace Lamina.Root.Worker;

internal static unsafe class VmScheduling
{
    /// <summary>Those that the core runs virtual processors on.</summary>
    private const int LogicalProcessors = 1;
    private const uint WholeProcessor = 0x10000;

    /// <summary>To a new partition, where they are not the usual ones. A core that cannot honour them runs the VM all the same.</summary>
    public static void Apply(Vm* vm)
    {
        VmConfig* config = vm->Config;
        if (config->Weight != 100) Apply(vm, VmSetting.Weight);
        if (config->Cap != 100) Apply(vm, VmSetting.Cap);
        if (config->Reserve != 0) Apply(vm, VmSetting.Reserve);
    }

    /// <summary>"vm set": at once, and at each later start until the machine restarts.</summary>
    public static void Set(Vm* vm, VmSetting setting, uint value)
    {
        VmConfig* config = vm->Config;
        switch (setting)
        {
            case VmSetting.Weight:
                if (value is 0 or > VmConfig.MaxWeight) { VmLog.Line(vm, "weight is 1 to 10000"u8); return; }
                config->Weight = (int)value;
                break;
            case VmSetting.Cap:
                if (value is 0 or > 100) { VmLog.Line(vm, "cap is 1 to 100 percent of each processor"u8); return; }
                if (value < config->Reserve) { VmLog.Line(vm, "cap must not be below its reserve"u8); return; }
                config->Cap = (int)value;
                break;
            default:
                if (value > 100) { VmLog.Line(vm, "reserve is 0 to 100 percent of each processor"u8); return; }
                if (value > config->Cap) { VmLog.Line(vm, "reserve must not exceed its cap"u8); return; }
                if (vm->State != VmState.Off && !TryFitReserve(vm, (int)value)) return;
                config->Reserve = (int)value;
                break;
        }
        if (vm->Machine != null && vm->Machine->IsInitialized) Apply(vm, setting);
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        AppendTo(ref line, vm);
        ConsoleOutput.Line(line.Written);
    }

    public static void AppendTo(ref TextWriter line, Vm* vm) => line.Text("weight "u8).Decimal((ulong)vm->Config->Weight).Text(", cap "u8)
        .Decimal((ulong)vm->Config->Cap).Text(" %, reserve "u8).Decimal((ulong)vm->Config->Reserve).Text(" %"u8);

    /// <summary>Whether the machine can promise a reserve beside those of the VMs that are not Off. False: reported. What the root itself uses is not counted.</summary>
    public static bool TryFitReserve(Vm* vm, int reserve)
    {
        int free = LogicalProcessors * 100, needed = reserve * vm->Config->Processors;
        for (int i = 0; i < VmWorker.Count; i++)
        {
            Vm* other = VmWorker.Get(i);
            if (other != vm && other->State != VmState.Off) free -= other->Config->Reserve * other->Config->Processors;
        }
        if (needed == 0 || needed <= free) return true;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("not enough processor for its reserve: needs "u8).Decimal((ulong)needed).Text(" % of one, "u8).Decimal((ulong)Math.Max(free, 0)).Text(" % are not reserved"u8);
        ConsoleOutput.Line(line.Written);
        return false;
    }

    private static void Apply(Vm* vm, VmSetting setting)
    {
        VmConfig* config = vm->Config;
        switch (setting)
        {
            case VmSetting.Weight: Apply(vm, HvPartitionPropertyCpuWeight, (uint)config->Weight, "weight"u8); break;
            case VmSetting.Cap: Apply(vm, HvPartitionPropertyCpuCap, (uint)config->Cap * WholeProcessor / 100, "cap"u8); break;
            default: Apply(vm, HvPartitionPropertyCpuReserve, (uint)config->Reserve * WholeProcessor / 100, "reserve"u8); break;
        }
    }

    private static void Apply(Vm* vm, uint code, uint value, ReadOnlySpan<byte> key)
    {
        HvStatus status = PartitionCalls.SetProperty(&vm->Machine->Account, code, value);
        if (status.IsSuccess) return;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text(key).Text(" has no effect: HvCallSetPartitionProperty: "u8).Status(status);
        ConsoleOutput.Line(line.Written);
    }
}
