// Parameters of the calls by which a parent says what it wants to see. TLFS, "Intercepts".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_INTERCEPT_TYPE.</summary>
public static class HvInterceptType
{
    public const uint HvInterceptTypeX64IoPort = 0x00000000;
    public const uint HvInterceptTypeX64Msr = 0x00000001;
    public const uint HvInterceptTypeX64Cpuid = 0x00000002;
    public const uint HvInterceptTypeException = 0x00000003;
    public const uint HvInterceptTypeRegister = 0x00000004;
    public const uint HvInterceptTypeMmio = 0x00000005;
    public const uint HvInterceptTypeX64GlobalCpuid = 0x00000006;
    public const uint HvInterceptTypeX64ApicSmi = 0x00000007;
    public const uint HvInterceptTypeHypercall = 0x00000008;
    public const uint HvInterceptTypeX64ApicInitSipi = 0x00000009;
    public const uint HvInterceptTypeX64ApicWrite = 0x0000000B;
    public const uint HvInterceptTypeX64MsrIndex = 0x0000000C;
    public const uint HvInterceptTypeUnknownSynicConnection = 0x0000000D;
    public const uint HvInterceptTypeX64ApicEoi = 0x0000000E;
    public const uint HvInterceptTypeRetargetInterruptWithUnknownDeviceId = 0x0000000F;
    public const uint HvInterceptTypeX64IoPortRange = 0x00000011;
}

/// <summary>HV_INTERCEPT_ACCESS_TYPE_MASK.</summary>
public static class HvInterceptAccessMask
{
    public const uint HV_INTERCEPT_ACCESS_MASK_NONE = 0x0;
    public const uint HV_INTERCEPT_ACCESS_MASK_READ = 0x1;
    public const uint HV_INTERCEPT_ACCESS_MASK_WRITE = 0x2;
    public const uint HV_INTERCEPT_ACCESS_MASK_EXECUTE = 0x4;
}

/// <summary>HV_INTERCEPT_PARAMETERS: 8 bytes whose meaning the intercept type decides.</summary>
public readonly struct HvInterceptParameters(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>HvInterceptTypeX64IoPort; the first port of HvInterceptTypeX64IoPortRange.</summary>
    public ushort IoPort => (ushort)Value;

    /// <summary>The last port of HvInterceptTypeX64IoPortRange.</summary>
    public ushort LastIoPort => (ushort)(Value >> 16);

    /// <summary>HvInterceptTypeX64Cpuid.</summary>
    public uint CpuidIndex => (uint)Value;

    /// <summary>HvInterceptTypeException.</summary>
    public ushort ExceptionVector => (ushort)Value;

    /// <summary>HvInterceptTypeX64MsrIndex.</summary>
    public uint MsrIndex => (uint)Value;

    public static HvInterceptParameters IoPortRange(ushort first, ushort last) => new(first | (ulong)last << 16);
}

/// <summary>Input of HvCallInstallIntercept, 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputInstallIntercept
{
    public PartitionId PartitionId;

    /// <summary>Bits of <see cref="HvInterceptAccessMask"/>; none removes the intercept.</summary>
    public uint AccessType;

    /// <summary>A constant of <see cref="HvInterceptType"/>.</summary>
    public uint InterceptType;
    public HvInterceptParameters InterceptParameters;
}

/// <summary>Input of HvCallRegisterInterceptResult for HvInterceptTypeX64Cpuid, 64 bytes with its tail padding.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputRegisterInterceptResultCpuid
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public uint InterceptType;

    // Which leaf
    public uint InputEax;
    public uint InputEcx;
    public byte SubleafSpecific;
    public byte AlwaysOverride;
    public ushort Padding;

    // What it returns: bits whose mask is one are replaced
    public uint Eax;
    public uint EaxMask;
    public uint Ebx;
    public uint EbxMask;
    public uint Ecx;
    public uint EcxMask;
    public uint Edx;
    public uint EdxMask;
}

/// <summary>Input of HvCallRegisterInterceptResult for HvInterceptTypeX64Msr, 32 bytes with its tail padding.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputRegisterInterceptResultMsr
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public uint InterceptType;
    public uint MsrIndex;
    public uint AccessType;
    public uint Action;
}
