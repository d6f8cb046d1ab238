// The controller's registers. NVM Express Base Specification 2.0, "Controller Properties"; NVM Express over PCIe Transport 1.0, "Doorbells".

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>Offsets behind the first base address. All are accessed by 32 bits, which every controller takes.</summary>
public static class NvmeRegister
{
    public const uint CAP = 0x00;
    public const uint VS = 0x08;
    public const uint INTMS = 0x0C;
    public const uint INTMC = 0x10;
    public const uint CC = 0x14;
    public const uint CSTS = 0x1C;
    public const uint AQA = 0x24;
    public const uint ASQ = 0x28;
    public const uint ACQ = 0x30;
    public const uint Doorbells = 0x1000;

    /// <summary>What reads when the device is no longer there.</summary>
    public const uint Absent = uint.MaxValue;
}

/// <summary>CAP, Controller Capabilities.</summary>
public readonly struct NvmeCapabilities(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Maximum Queue Entries Supported, less one.</summary>
    public uint MQES => (uint)(Value & 0xFFFF);

    /// <summary>Timeout, in units of 500 ms, for becoming ready and for stopping to be.</summary>
    public uint TO => (uint)(Value >> 24 & 0xFF);

    /// <summary>Doorbell Stride: 2 ^ (2 + DSTRD) bytes.</summary>
    public int DSTRD => (int)(Value >> 32 & 0xF);

    /// <summary>Command Sets Supported, bit 0: the NVM command set.</summary>
    public bool HasNvmCommandSet => (Value >> 37 & 1) != 0;

    /// <summary>Memory Page Size Minimum: 2 ^ (12 + MPSMIN) bytes.</summary>
    public int MPSMIN => (int)(Value >> 48 & 0xF);

    /// <summary>Offset of the doorbell of a submission queue's tail, or of a completion queue's head.</summary>
    public uint Doorbell(uint queue, bool isCompletion) => NvmeRegister.Doorbells + (2 * queue + (isCompletion ? 1u : 0) << 2 + DSTRD);
}

/// <summary>CC, Controller Configuration.</summary>
public readonly struct NvmeConfiguration(uint value)
{
    public readonly uint Value = value;
    private const int IOSQES = 16, IOCQES = 20, SHN = 14;

    public bool EN => (Value & 1) != 0;

    /// <summary>Enabled, with pages of 4 KiB, the NVM command set, entries of 64 and 16 bytes.</summary>
    public static NvmeConfiguration Enabled => new(1 | 6u << IOSQES | 4u << IOCQES);

    /// <summary>The same with a normal shutdown notified.</summary>
    public static NvmeConfiguration ShuttingDown => new(Enabled.Value | 1u << SHN);
}

/// <summary>CSTS, Controller Status.</summary>
public readonly struct NvmeControllerStatus(uint value)
{
    public readonly uint Value = value;
    public bool RDY => (Value & 1) != 0;

    /// <summary>Controller Fatal Status.</summary>
    public bool CFS => (Value & 2) != 0;

    /// <summary>Shutdown processing complete (SHST).</summary>
    public bool IsShutDown => (Value >> 2 & 3) == 2;
}
