// The bytes of the instruction that exited, read through the guest's own page tables where the processor does not hand them over.
using Lamina.X64.Decode;
using Lamina.X64.Paging;
using Lamina.Abi;

namespace Lamina.Hypervisor.Core;

public static unsafe class GuestInstruction<TBackend> where TBackend : struct, IBackend
{
    private const ulong Cr0Pe = 1, EferLma = 1 << 10, RflagsVm = 1 << 17;
    public const int MaximumLength = 15;

    public static ProcessorMode ModeOf(VirtualProcessor* vp)
    {
        if ((TBackend.GetCr0(vp) & Cr0Pe) == 0 || (TBackend.GetRflags(vp) & RflagsVm) != 0)
            return ProcessorMode.Real16;
        HvRegisterValue cs;
        TBackend.GetRegister(vp, HvRegisterName.HvX64RegisterCs, &cs);
        if ((TBackend.GetEfer(vp) & EferLma) != 0 && cs.Segment.Attributes.Long)
            return ProcessorMode.Long64;
        return cs.Segment.Attributes.Default ? ProcessorMode.Protected32 : ProcessorMode.Protected16;
    }

    /// <summary>Copies up to 15 bytes at CS:RIP; how many could be read.</summary>
    public static int Fetch(VirtualProcessor* vp, byte* destination)
    {
        ulong address = TBackend.GetRip(vp);
        if (ModeOf(vp) != ProcessorMode.Long64)
        {
            HvRegisterValue cs;
            TBackend.GetRegister(vp, HvRegisterName.HvX64RegisterCs, &cs);
            address = (uint)(address + cs.Segment.Base);
        }
        int count = 0;
        while (count < MaximumLength)
        {
            if (!GuestPages<TBackend>.TryTranslateGva(vp, address + (ulong)count, out ulong gpa) || !GuestPages<TBackend>.TryGetPointer(vp->Partition, gpa & ~0xFFFUL, false, out byte* page))
                return count;
            // SAFETY: a byte copy out of one page of the guest's RAM; the guest may change it meanwhile, and then gets what it wrote.
            for (uint at = (uint)(gpa & 0xFFF); at < 4096 && count < MaximumLength; at++)
                destination[count++] = page[at];
        }
        return count;
    }
}
