// MSRs and CPUID for checks: accesses that may fault, and the hypervisor's leaves.
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static class Msrs
{
    /// <summary>False: an exception came instead.</summary>
    public static bool TryRead(uint msr, out ulong value)
    {
        RunState state = new() { Rcx = msr };
        bool read = state.Run(Code.RdMsr);
        value = read ? (uint)state.Rax | state.Rdx << 32 : 0;
        return read;
    }

    /// <summary>False: an exception came instead.</summary>
    public static bool TryWrite(uint msr, ulong value)
    {
        RunState state = Write(msr, value);
        return state.Returned;
    }

    public static RunState Write(uint msr, ulong value)
    {
        RunState state = new() { Rcx = msr, Rax = (uint)value, Rdx = value >> 32 };
        state.Run(Code.WrMsr);
        return state;
    }

    /// <summary>The read must be #GP.</summary>
    public static bool ReadFaults(uint msr)
    {
        RunState state = new() { Rcx = msr };
        state.Run(Code.RdMsr);
        return state.Vector == ExceptionVector.GP;
    }

    /// <summary>The write must be #GP.</summary>
    public static bool WriteFaults(uint msr, ulong value) => Write(msr, value).Vector == ExceptionVector.GP;
}

/// <summary>One CPUID leaf.</summary>
public struct CpuidLeafValue
{
    public uint Eax, Ebx, Ecx, Edx;

    public static unsafe CpuidLeafValue Read(uint leaf, uint subleaf = 0)
    {
        CpuidLeafValue value;
        Instructions.Cpuid(leaf, subleaf, (uint*)&value);
        return value;
    }
}

/// <summary>The leaves of the Hyper-V interface.</summary>
public static class HvCpuid
{
    public static bool IsPresent
    {
        get
        {
            if ((CpuidLeafValue.Read(1).Ecx & 1u << 31) == 0) return false;
            CpuidLeafValue vendor = CpuidLeafValue.Read(CpuidLeaf.HvVendorAndMaxFunction);
            return vendor.Ebx == CpuidLeaf.VendorEbx && vendor.Ecx == CpuidLeaf.VendorEcx && vendor.Edx == CpuidLeaf.VendorEdx;
        }
    }

    public static PartitionPrivileges Privileges
    {
        get
        {
            CpuidLeafValue leaf = CpuidLeafValue.Read(CpuidLeaf.HvFeatures);
            return new PartitionPrivileges(leaf.Eax | (ulong)leaf.Ebx << 32);
        }
    }

    public static bool Has(PartitionPrivileges privilege) => (Privileges.Value & privilege.Value) == privilege.Value;

    public static bool HasFeature(uint edxBit) => (CpuidLeafValue.Read(CpuidLeaf.HvFeatures).Edx & edxBit) != 0;
}
