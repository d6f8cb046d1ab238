// What the processor's SVM can do. APM 3, "CPUID Fn8000_000A SVM Features".

using Lamina.Abi;

namespace Lamina.Hypervisor.Svm;

/// <summary>EDX of CPUID leaf 8000_000A.</summary>
public readonly struct SvmFeatures(uint edx)
{
    /// <summary>The leaf; EAX bits 7:0 are the revision, EBX is NASID, the number of ASIDs.</summary>
    public const uint Leaf = 0x8000000A;

    public readonly uint Edx = edx;

    /// <summary>Nested paging.</summary>
    public bool NP => BitField.IsSet(Edx, 0);
    public bool LbrVirt => BitField.IsSet(Edx, 1);

    /// <summary>SVM lock.</summary>
    public bool SVML => BitField.IsSet(Edx, 2);

    /// <summary>Exits save the next instruction's address.</summary>
    public bool NRIPS => BitField.IsSet(Edx, 3);
    public bool TscRateMsr => BitField.IsSet(Edx, 4);
    public bool VmcbClean => BitField.IsSet(Edx, 5);
    public bool FlushByAsid => BitField.IsSet(Edx, 6);
    public bool DecodeAssists => BitField.IsSet(Edx, 7);
    public bool PauseFilter => BitField.IsSet(Edx, 10);
    public bool PauseFilterThreshold => BitField.IsSet(Edx, 12);
    public bool AVIC => BitField.IsSet(Edx, 13);
    public bool VMSAVEvirt => BitField.IsSet(Edx, 15);
    public bool VGIF => BitField.IsSet(Edx, 16);
    public bool GMET => BitField.IsSet(Edx, 17);
    public bool X2AVIC => BitField.IsSet(Edx, 18);
    public bool SSSCheck => BitField.IsSet(Edx, 19);
    public bool SpecCtrl => BitField.IsSet(Edx, 20);
    public bool ROGPT => BitField.IsSet(Edx, 21);
    public bool HOST_MCE_OVERRIDE => BitField.IsSet(Edx, 23);
    public bool TlbiCtl => BitField.IsSet(Edx, 24);
    public bool VNMI => BitField.IsSet(Edx, 25);
    public bool IbsVirt => BitField.IsSet(Edx, 26);
    public bool BusLockThreshold => BitField.IsSet(Edx, 29);
    public bool IdleHltIntercept => BitField.IsSet(Edx, 30);
}
