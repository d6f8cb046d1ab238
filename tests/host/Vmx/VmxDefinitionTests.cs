// Formats of VMX's small structures, what exit qualifications say, how control words are adjusted, memory types by MTRR.
using System;
using System.Linq;
using System.Reflection;
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Vmx;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Vmx;

public sealed class VmxDefinitionTests
{
    [Theory]
    [InlineData(VmxExitReason.CPUID, 10)]
    [InlineData(VmxExitReason.HLT, 12)]
    [InlineData(VmxExitReason.VMCALL, 18)]
    [InlineData(VmxExitReason.VMXON, 27)]
    [InlineData(VmxExitReason.IoInstruction, 30)]
    [InlineData(VmxExitReason.RDMSR, 31)]
    [InlineData(VmxExitReason.WRMSR, 32)]
    [InlineData(VmxExitReason.EntryFailureInvalidGuestState, 33)]
    [InlineData(VmxExitReason.MONITOR, 39)]
    [InlineData(VmxExitReason.TprBelowThreshold, 43)]
    [InlineData(VmxExitReason.EptViolation, 48)]
    [InlineData(VmxExitReason.EptMisconfiguration, 49)]
    [InlineData(VmxExitReason.XSETBV, 55)]
    [InlineData(VmxExitReason.ApicWrite, 56)]
    [InlineData(VmxExitReason.XRSTORS, 64)]
    public void Exit_reason_is_the_manuals(ushort actual, ushort expected) => Assert.Equal(expected, actual);

    [Theory]
    [InlineData(typeof(VmxExitReason))]
    [InlineData(typeof(PinBasedControls))]
    [InlineData(typeof(PrimaryControls))]
    [InlineData(typeof(SecondaryControls))]
    [InlineData(typeof(ExitControls))]
    [InlineData(typeof(EntryControls))]
    public void No_number_has_two_names(Type constants)
    {
        var values = constants.GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => Convert.ToUInt64(f.GetRawConstantValue())).ToList();
        Assert.Equal(values.Count, values.Distinct().Count());
    }

    // The bits that processors without TRUE MSRs report as fixed to one. SDM 3D, "VMX Controls": 16H, 401E172H, 36DFFH, 11FFH.
    [Fact]
    public void Bits_without_a_meaning_are_those_of_the_default_class()
    {
        Assert.Equal(0x16u, PinBasedControls.Default1);
        Assert.Equal(0x0401E172u, PrimaryControls.Default1 | PrimaryControls.Cr3LoadExiting | PrimaryControls.Cr3StoreExiting);
        Assert.Equal(0x36DFFu, ExitControls.Default1 | ExitControls.SaveDebugControls);
        Assert.Equal(0x11FFu, EntryControls.Default1 | EntryControls.LoadDebugControls);
    }

    [Fact]
    public void A_control_word_is_what_is_wanted_and_there_and_what_must_be() => Gen.Select(Gen.UInt, Gen.UInt, Gen.UInt).Sample((mayAlso, must, wanted) =>
    {
        ControlCapability capability = new((ulong)(mayAlso | must) << 32 | must);
        uint word = capability.Adjust(wanted);
        return (word & must) == must && (word & ~(mayAlso | must)) == 0 && (word & wanted) == (wanted & capability.MayBeOne)
            && capability.Missing(wanted) == (wanted & ~word) && capability.Forced(wanted, 0) == (word & ~wanted);
    });

    [Fact]
    public void Accesses_to_cr3_that_must_exit_are_noticed()
    {
        // What IA32_VMX_PROCBASED_CTLS of a processor reports that has no TRUE MSRs.
        ControlCapability without = new(0xF7F9FFFE_0401E172);
        Assert.Equal(PrimaryControls.Cr3LoadExiting | PrimaryControls.Cr3StoreExiting, without.Forced(PrimaryControls.HltExiting, PrimaryControls.Default1));
        ControlCapability withTrue = new(0xF7F9FFFE_04006172);
        Assert.Equal(0u, withTrue.Forced(PrimaryControls.HltExiting, PrimaryControls.Default1));
    }

    [Fact]
    public void Basic_information_is_decoded()
    {
        VmxBasic basic = new(0x00DA_0400_0000_0012);
        Assert.Equal((0x12u, 1024u, (byte)6, true, true, false), (basic.RevisionIdentifier, basic.RegionSize, basic.MemoryType, basic.HasTrueControls, basic.HasInsOutsInformation, basic.Is32BitAddresses));
    }

    [Fact]
    public void Ept_capabilities_are_where_the_manual_has_them()
    {
        EptVpidCapabilities all = new(0x0000_0F01_0633_4141);
        Assert.True(all.ExecuteOnly && all.PageWalkLength4 && all.WriteBackMemoryType && all.Page2M && all.Page1G && all.INVEPT && all.AccessedAndDirtyFlags
            && all.SingleContextINVEPT && all.AllContextINVEPT && all.INVVPID && all.SingleContextINVVPID && all.AllContextINVVPID);
        Assert.False(new EptVpidCapabilities(~0x0000_0F01_0633_4141UL).Page1G);
    }

    [Fact]
    public void Ept_pointer_says_four_levels_write_back_without_dirty_flags() => Assert.Equal(0x1234_501EUL, EptPointer.Make(0x1234_5000));

    [Theory]
    [InlineData(0x174u, 0x174u)]
    [InlineData(0x1FFFu, 0x1FFFu)]
    [InlineData(0xC0000080u, 0x2080u)]
    [InlineData(0xC0001FFFu, 0x3FFFu)]
    public void Msr_bit_is_the_manuals(uint msr, uint expected)
    {
        Assert.True(VmxMsrBitmap.TryGetReadBit(msr, out uint bit));
        Assert.Equal(expected, bit);
    }

    [Theory]
    [InlineData(0x2000u)]
    [InlineData(0x40000000u)]
    [InlineData(0xBFFFFFFFu)]
    [InlineData(0xC0002000u)]
    [InlineData(0xFFFFFFFFu)]
    public void Msr_outside_the_bitmaps_has_no_bit(uint msr) => Assert.False(VmxMsrBitmap.TryGetReadBit(msr, out _));

    [Fact]
    public void Setting_one_msr_leaves_the_others() =>
        Gen.Select(Gen.OneOf(Gen.UInt[0, 0x1FFF], Gen.UInt[0xC0000000, 0xC0001FFF]), Gen.Bool, Gen.Bool, Gen.Byte).Sample((msr, read, write, background) => SetsOnlyItsOwn(msr, read, write, background));

    private static unsafe bool SetsOnlyItsOwn(uint msr, bool read, bool write, byte background)
    {
        byte[] map = new byte[VmxMsrBitmap.Size];
        Array.Fill(map, background);
        fixed (byte* start = map)
            VmxMsrBitmap.TrySet(start, msr, read, write);
        VmxMsrBitmap.TryGetReadBit(msr, out uint bit);
        for (uint index = 0; index < map.Length * 8; index++)
        {
            bool actual = (map[index >> 3] >> (int)(index & 7) & 1) != 0;
            if (actual != (index == bit ? read : index == bit + 0x4000 ? write : (background >> (int)(index & 7) & 1) != 0))
                return false;
        }
        return true;
    }

    [Fact]
    public void Events_are_encoded_as_the_manual_says()
    {
        Assert.Equal(0x8000_0030UL, InterruptionInformation.ForInterrupt(0x30).Value);
        Assert.Equal(0x8000_0202UL, InterruptionInformation.ForNmi().Value);
        Assert.Equal(0x8000_0306UL, InterruptionInformation.ForException(6).Value);
        Assert.Equal(0x0000_0010_8000_0B0DUL, InterruptionInformation.ForException(13, 0x10).Value);
    }

    [Fact]
    public void What_is_injected_again_has_no_undefined_bits()
    {
        // IDT-vectoring information leaves bit 12 undefined; an entry refuses it.
        Assert.Equal(0x8000_0B0EU, new InterruptionInformation(0x8000_1B0E, 4).ToInject().Information);
        Assert.Equal(4u, new InterruptionInformation(0x8000_1B0E, 4).ToInject().ErrorCode);
        Assert.Equal(0UL, new InterruptionInformation(0x0000_1B0E, 4).ToInject().Value);
    }

    [Theory]
    [InlineData(13, true, true)]
    [InlineData(13, false, false)]
    [InlineData(8, true, true)]
    [InlineData(17, true, true)]
    [InlineData(6, true, false)]
    [InlineData(1, true, false)]
    public void Error_codes_go_with_the_exceptions_that_have_one_and_not_in_real_mode(byte vector, bool protectedMode, bool pushes)
    {
        // Whatever the caller said of it.
        Assert.Equal(pushes, InterruptionInformation.ForException(vector).ForMode(protectedMode).DeliverErrorCode);
        InterruptionInformation event_ = InterruptionInformation.ForException(vector, 0xFFFF_FFFF).ForMode(protectedMode);
        Assert.Equal(pushes, event_.DeliverErrorCode);
        Assert.Equal(pushes ? 0x7FFFu : 0u, event_.ErrorCode);
        Assert.Equal((vector, InterruptionInformation.HardwareException, true), (event_.Vector, event_.Type, event_.Valid));
    }

    // Whatever waits is injected or watched over, by one means; and no threshold is above the task priority, as entries want it.
    [Fact]
    public void An_interrupt_that_waits_is_never_forgotten() => Gen.Select(Gen.Byte, Gen.Byte, Gen.Bool).Sample((vector, priority, free) =>
    {
        InterruptOffer offer = InterruptOffer.For(vector, priority, free);
        int means = (offer.IsInjected ? 1 : 0) + (offer.WaitsForWindow ? 1 : 0) + (offer.TprThreshold != 0 ? 1 : 0);
        bool held = vector >> 4 <= priority >> 4;
        // Vectors of class 0 are no interrupts; no threshold stands for them.
        return offer.TprThreshold <= priority >> 4 && means == (vector == 0 || vector < 16 && held ? 0 : 1) && offer.IsInjected == (vector != 0 && !held && free);
    });

    [Theory]
    [InlineData(0x51, 0x40, true, true, false, 0)]
    [InlineData(0x51, 0x40, false, false, true, 0)]
    [InlineData(0x51, 0x50, true, false, false, 5)]
    [InlineData(0x51, 0xF0, false, false, false, 5)]
    [InlineData(0x00, 0x00, true, false, false, 0)]
    public void Offers_are_decided_by_priority_first(byte vector, byte priority, bool free, bool injected, bool window, byte threshold)
    {
        InterruptOffer offer = InterruptOffer.For(vector, priority, free);
        Assert.Equal((injected, window, threshold), (offer.IsInjected, offer.WaitsForWindow, offer.TprThreshold));
    }

    [Theory]
    [InlineData(0x03F8_0008UL, true, 1, false, false)]
    [InlineData(0x0CF8_0003UL, false, 4, false, false)]
    [InlineData(0x0060_0039UL, true, 2, true, true)]
    public void Port_accesses_are_decoded(ulong value, bool isIn, byte size, bool isString, bool hasRep)
    {
        IoInstructionQualification io = new(value);
        Assert.Equal((isIn, size, isString, hasRep, (ushort)(value >> 16)), (io.IsIn, io.Size, io.IsString, io.HasRepPrefix, io.Port));
        Assert.Equal(new HvX64IoPortAccessInfo(size, isString, hasRep).Value, io.Access.Value);
        Assert.Equal(size == 1 && !isString, io.IsSingleByte);
    }

    [Theory]
    [InlineData(0x181UL, false, false, false)] // a read at the final address
    [InlineData(0x182UL, true, false, false)]
    [InlineData(0x184UL, false, true, false)]
    [InlineData(0x083UL, true, false, true)]   // in a walk, with dirty flags
    [InlineData(0x001UL, false, false, true)]  // MOV to CR3 loads PDPTEs: no linear address
    public void Ept_violations_are_decoded(ulong value, bool isWrite, bool isFetch, bool inPageTable)
    {
        EptViolationQualification violation = new(value);
        Assert.Equal((isWrite, isFetch, inPageTable), (violation.Write, violation.InstructionFetch, violation.InGuestPageTable));
    }

    [Fact]
    public void Control_register_accesses_are_decoded()
    {
        ControlRegisterQualification access = new(0x0000_0C04);
        Assert.Equal((4, ControlRegisterQualification.MovToCr, 12), (access.Register, access.AccessType, access.GeneralRegister));
        Assert.Equal((ControlRegisterQualification.Lmsw, 0x1234), (new ControlRegisterQualification(0x1234_0030).AccessType, new ControlRegisterQualification(0x1234_0030).LmswSource));
    }

    [Theory]
    [InlineData(0xFFFF0FF0UL, 0x4000UL, 0xFFFF4FF0UL)]       // single step
    [InlineData(0xFFFF0FF3UL, 0x0004UL, 0xFFFF0FF4UL)]       // B3 to B0 are replaced
    [InlineData(0xFFFF4FF0UL, 0x2000UL, 0xFFFF6FF0UL)]       // BD, and BS stays
    [InlineData(0xFFFF0FF0UL, 0x1_0000UL, 0xFFFE0FF0UL)]     // in a transaction: RTM goes to zero
    public void Dr6_is_what_the_exception_would_have_left(ulong before, ulong qualification, ulong after) =>
        Assert.Equal(after, new DebugExceptionQualification(qualification).Apply(before));

    [Fact]
    public void Segment_attributes_survive_the_way_to_the_wire_and_back() => Gen.UShort.Sample(value =>
    {
        ushort defined = (ushort)(value & 0xF0FF);
        SegmentAccessRights rights = SegmentAccessRights.FromWire(new HvX64SegmentAttributes(defined));
        return rights.ToWire().Value == defined && rights.Unusable == !rights.Present && rights.ReservedBitsAreZero;
    });

    [Theory]
    [InlineData(0xA09BU, 0xFFFFFFFFU, true, 0xA09BU)]
    [InlineData(0x209BU, 0xFFFFFFFFU, true, 0xA09BU)] // a limit in pages needs the granularity
    [InlineData(0xC093U, 0x0000FFF0U, true, 0x4093U)]
    [InlineData(0x0093U, 0x0000FFFFU, true, 0x0093U)]
    [InlineData(0x0093U, 0x00100FF0U, false, 0U)]     // neither in pages nor in 20 bits
    public void Granularity_follows_the_limit(uint rights, uint limit, bool possible, uint expected)
    {
        Assert.Equal(possible, new SegmentAccessRights(rights).TryWithLimit(limit, out SegmentAccessRights result));
        if (possible)
            Assert.Equal(expected, result.Value);
    }

    [Theory]
    [InlineData(SegmentIndex.Cs, 0UL, 0xA09B, true)]
    [InlineData(SegmentIndex.Cs, 0UL, 0xE09B, false)]              // L and D
    [InlineData(SegmentIndex.Cs, 0UL, 0xA01B, false)]              // not present
    [InlineData(SegmentIndex.Cs, 0x1_0000_0000UL, 0xA09B, false)]
    [InlineData(SegmentIndex.Cs, 0UL, 0xC093, true)]               // real mode's
    [InlineData(SegmentIndex.Ss, 0UL, 0xC09B, false)]              // code
    [InlineData(SegmentIndex.Ss, 0UL, 0x0000, true)]
    [InlineData(SegmentIndex.Ds, 0UL, 0xC099, false)]              // execute-only
    [InlineData(SegmentIndex.Ds, 0UL, 0xC092, true)]               // becomes accessed
    [InlineData(SegmentIndex.Fs, 0xFFFF_8000_0000_0000UL, 0xC093, true)]
    [InlineData(SegmentIndex.Fs, 0x0000_8000_0000_0000UL, 0xC093, false)]
    [InlineData(SegmentIndex.Tr, 0UL, 0x008B, true)]
    [InlineData(SegmentIndex.Tr, 0UL, 0x0089, true)]               // becomes busy
    [InlineData(SegmentIndex.Tr, 0UL, 0x0082, false)]
    [InlineData(SegmentIndex.Tr, 0UL, 0x0000, false)]
    [InlineData(SegmentIndex.Ldtr, 0UL, 0x0082, true)]
    [InlineData(SegmentIndex.Ldtr, 0UL, 0x008B, false)]
    public void Segments_that_no_entry_would_take_are_refused(int segment, ulong segmentBase, ushort attributes, bool possible)
    {
        bool taken = SegmentRules.TryMakeEnterable(segment, segmentBase, 0xFFFF | ((attributes & 0x8000) != 0 ? 0xFFFFF000 : 0), SegmentAccessRights.FromWire(new HvX64SegmentAttributes(attributes)), out SegmentAccessRights rights);
        Assert.Equal(possible, taken);
        if (possible && !rights.Unusable && segment < SegmentIndex.Ldtr)
            Assert.Equal(1, rights.Type & 1);
    }

    [Theory]
    [InlineData(0x0UL, true)]
    [InlineData(0x1234_5001UL, true)]
    [InlineData(0x1234_5003UL, false)]   // bit 1 is reserved
    [InlineData(0x1234_5E19UL, true)]
    [InlineData(0x1234_5021UL, false)]
    [InlineData(0x0000_0100_0000_0001UL, false)]
    public void Pdptes_are_checked_as_the_processor_does(ulong entry, bool valid) => Assert.Equal(valid, PdpteRules.IsValid(entry, 40));

    [Theory]
    [InlineData(0UL, true)]
    [InlineData(0x0000_7FFF_FFFF_FFFFUL, true)]
    [InlineData(0x0000_8000_0000_0000UL, false)]
    [InlineData(0xFFFF_7FFF_FFFF_FFFFUL, false)]
    [InlineData(0xFFFF_8000_0000_0000UL, true)]
    public void Canonical_addresses_are_known(ulong address, bool canonical) => Assert.Equal(canonical, Canonical.Is(address));

    private static unsafe MtrrMap Machine()
    {
        // A PC: write-back by default, 1 GiB below 4 GiB uncacheable, its first 256 MiB write-combining-less; fixed ranges with a VGA hole.
        MtrrMap map = new() { DefType = 0xC06, VariableCount = 3, AddressMask = (1UL << 40) - 1 };
        map.Base[0] = 0xC000_0000;
        map.Mask[0] = 0xFF_C000_0800;
        map.Base[1] = 0x1_0000_0004; // 4 to 8 GiB write-through
        map.Mask[1] = 0xFF_0000_0800;
        map.Base[2] = 0x0000_0000;   // not valid
        map.Mask[2] = 0xFF_0000_0000;
        map.Fixed[0] = map.Fixed[1] = 0x0606_0606_0606_0606;
        for (int i = 3; i < 11; i++) map.Fixed[i] = 0x0505_0505_0505_0505;
        return map;
    }

    [Theory]
    [InlineData(0x0UL, MemoryType.WriteBack, 0x1_0000UL)]
    [InlineData(0x8_1000UL, MemoryType.WriteBack, 0x8_4000UL)]
    [InlineData(0xA_0000UL, MemoryType.Uncacheable, 0xA_4000UL)]
    [InlineData(0xC_8000UL, MemoryType.WriteProtected, 0xC_9000UL)]
    [InlineData(0x10_0000UL, MemoryType.WriteBack, 0xC000_0000UL)]
    [InlineData(0xC000_0000UL, MemoryType.Uncacheable, 0x1_0000_0000UL)]
    [InlineData(0xFEE0_0000UL, MemoryType.Uncacheable, 0x1_0000_0000UL)]
    [InlineData(0x1_8000_0000UL, MemoryType.WriteThrough, 0x2_0000_0000UL)]
    [InlineData(0x2_0000_0000UL, MemoryType.WriteBack, 0x100_0000_0000UL)]
    public void Memory_types_are_those_of_the_mtrrs(ulong address, MemoryType type, ulong end)
    {
        MtrrMap map = Machine();
        Assert.Equal((type, end), (map.TypeAt(address, out ulong actual), actual));
    }

    [Fact]
    public unsafe void Overlapping_ranges_are_combined_as_the_manual_says()
    {
        MtrrMap map = Machine();
        map.Base[2] = 0x1_4000_0006;
        map.Mask[2] = 0xFF_C000_0800;
        Assert.Equal(MemoryType.WriteThrough, map.TypeAt(0x1_4000_0000, out ulong end)); // write-through and write-back
        Assert.Equal(0x1_8000_0000UL, end);
        map.Base[2] = 0x1_4000_0000;
        Assert.Equal(MemoryType.Uncacheable, map.TypeAt(0x1_4000_0000, out _));
        map.DefType = 0;
        Assert.Equal(MemoryType.Uncacheable, map.TypeAt(0, out _));
    }

    [Fact]
    public unsafe void A_range_without_a_mask_is_everything()
    {
        MtrrMap map = new() { DefType = 0x806, VariableCount = 1, AddressMask = (1UL << 40) - 1 };
        map.Mask[0] = 0x800;
        Assert.Equal(MemoryType.Uncacheable, map.TypeAt(0x20_0000, out ulong end));
        Assert.Equal(1UL << 40, end);
    }

    // Piece by piece, every page's type is what each register says of it alone.
    [Fact]
    public unsafe void Pieces_have_one_type_throughout() =>
        Gen.Select(Gen.Int[12, 16].Array[3], Gen.Int[0, 15].Array[3], Gen.Int[0, 2].Array[3]).Sample((shifts, starts, types) =>
        {
            MtrrMap map = new() { DefType = 0x806, VariableCount = 3, AddressMask = (1UL << 20) - 1 };
            MemoryType[] known = [MemoryType.Uncacheable, MemoryType.WriteThrough, MemoryType.WriteBack];
            for (int i = 0; i < 3; i++)
            {
                map.Mask[i] = map.AddressMask & ~((1UL << shifts[i]) - 1) | 0x800;
                map.Base[i] = ((ulong)starts[i] << 16) & map.Mask[i] & ~0xFFFUL | (ulong)known[types[i]];
            }
            for (ulong start = 0; start <= map.AddressMask;)
            {
                MemoryType type = map.TypeAt(start, out ulong end);
                if (end <= start) return false;
                for (ulong page = start; page < end; page += 0x1000)
                    if (map.TypeAt(page, out _) != type) return false;
                start = end;
            }
            return true;
        });

    [Theory]
    [InlineData(0x8000_0030UL, true)]
    [InlineData(0x8000_0830UL, false)] // an interrupt with an error code
    [InlineData(0x8000_0130UL, false)]
    [InlineData(0x8000_0202UL, true)]
    [InlineData(0x8000_0203UL, false)]
    [InlineData(0x8000_0A02UL, false)]
    [InlineData(0x8000_0306UL, true)]
    [InlineData(0x8000_0B0EUL, true)]
    [InlineData(0x8000_0302UL, false)]
    [InlineData(0x8000_0320UL, false)]
    [InlineData(0x8000_0480UL, true)]
    [InlineData(0x8000_0C80UL, false)]
    [InlineData(0x8000_0501UL, true)]
    [InlineData(0x8000_0D01UL, false)]
    [InlineData(0x8000_0603UL, true)]
    [InlineData(0x8000_0E03UL, false)]
    [InlineData(0x8000_0700UL, false)]
    public void What_no_entry_injects_is_known(ulong value, bool injectable) => Assert.Equal(injectable, new InterruptionInformation(value).IsInjectable);

    [Theory]
    [InlineData(InterruptibilityState.BlockingBySti, true, InterruptibilityState.BlockingBySti)]
    [InlineData(InterruptibilityState.BlockingBySti, false, InterruptibilityState.BlockingByMovSs)]
    [InlineData(InterruptibilityState.BlockingBySti | InterruptibilityState.BlockingByNmi, false, InterruptibilityState.BlockingByMovSs | InterruptibilityState.BlockingByNmi)]
    [InlineData(InterruptibilityState.BlockingByMovSs, true, InterruptibilityState.BlockingByMovSs)]
    [InlineData(InterruptibilityState.BlockingByNmi, false, InterruptibilityState.BlockingByNmi)]
    [InlineData(0u, false, 0u)]
    public void A_shadow_without_if_is_that_of_a_load_of_ss(uint state, bool interruptFlag, uint expected) =>
        Assert.Equal(expected, InterruptibilityState.ForFlags(state, interruptFlag));
}
