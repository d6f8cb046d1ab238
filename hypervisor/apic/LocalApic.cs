// The virtual local APIC of one virtual processor: state, reset and IA32_APIC_BASE.
using System.Runtime.CompilerServices;
using Lamina.X64;

namespace Lamina.Hypervisor.Apic;

/// <summary>What a partition's APICs can do; decides which bits are reserved.</summary>
public static class ApicFeatures
{
    public const byte X2Apic = 1;
    public const byte TscDeadline = 2;
    public const byte All = X2Apic | TscDeadline;
}

/// <summary>
/// A local APIC as SDM 3A, "Advanced Programmable Interrupt Controller (APIC)" describes it, with TLFS's MSRs.
/// The registers live in a 4 KiB page in the xAPIC layout, so that APICv and AVIC can share it.
/// Nothing here locks: only the logical processor that owns the virtual processor may call in. Others post
/// through <see cref="PostedInterrupts"/>. Time arguments are guest TSC ticks.
/// </summary>
public unsafe partial struct LocalApic
{
    private const ulong BootstrapBit = 1UL << 8;
    private const ulong X2ApicBit = 1UL << 10;
    private const ulong EnableBit = 1UL << 11;
    private const ulong BaseFlags = BootstrapBit | X2ApicBit | EnableBit;

    // Seven LVT entries (timer, thermal, performance, LINT0, LINT1, error, CMCI), no EOI broadcast suppression.
    private const uint VersionValue = 0x00060014;
    private const uint SoftwareEnableBit = 1u << 8;
    private const uint SpuriousReset = 0xFF;
    private const uint LvtMaskBit = 1u << 16;

    private byte* _page;
    private ulong _base;
    private ulong _baseReserved;
    // Highest vector in IRR and ISR, -1 for none, and one bit per non-zero 32-bit word, so that no path scans eight words.
    private int _highestRequest;
    private int _highestInService;
    private uint _requestWords;
    private uint _serviceWords;
    private int _inServiceCount;
    private uint _apicId;
    private uint _pendingErrors;
    private byte _features;
    private byte _divideShift;
    // Guest TSC at which the timer expires, 0 for disarmed; TSC ticks of one full count; TSC ticks per timer tick, 32.32.
    private ulong _deadline;
    private ulong _period;
    private ulong _tickRatio;
    private fixed ulong _autoEoi[4];

    /// <summary>Brings the APIC into its power-on state: xAPIC mode, everything masked. All features are on.</summary>
    /// <param name="registerPage">4 KiB, owned by this APIC from now on.</param>
    public void Initialize(byte* registerPage, uint apicId, bool isBootstrap)
    {
        _page = registerPage;
        _apicId = apicId;
        _features = ApicFeatures.All;
        _base = X64.ApicBase.DefaultAddress | EnableBit | (isBootstrap ? BootstrapBit : 0);
        SetPhysicalAddressBits(52);
        SetTickRatio(1UL << 32);
        for (int i = 0; i < 4; i++) _autoEoi[i] = 0;
        ResetRegisters();
    }

    /// <summary>Which of <see cref="ApicFeatures"/> the partition's CPUID offers.</summary>
    public void SetFeatures(byte features) => _features = features;

    /// <summary>Width of a guest-physical address, 36 to 52; higher bits of IA32_APIC_BASE are reserved.</summary>
    public void SetPhysicalAddressBits(int bits) => _baseReserved = ~(((1UL << bits) - 0x1000) | BaseFlags);

    /// <summary>INIT: registers as after power-on, but mode and APIC ID stay.</summary>
    // SDM 3A, "Local APIC State After It Receives an INIT Reset".
    public void Init() => ResetRegisters();

    public readonly uint ApicId => _apicId;
    public readonly byte* RegisterPage => _page;
    public readonly bool IsEnabled { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => (_base & EnableBit) != 0; }
    public readonly bool IsX2Apic { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => (_base & X2ApicBit) != 0; }
    public readonly bool IsXApic { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => (_base & (EnableBit | X2ApicBit)) == EnableBit; }
    public readonly bool IsBootstrap => (_base & BootstrapBit) != 0;
    /// <summary>Guest-physical address of the register page; meaningful while <see cref="IsXApic"/>.</summary>
    public readonly ulong BaseAddress => _base & ~0xFFFUL;
    public readonly bool IsSoftwareEnabled { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => (Register(ApicRegisters.SpuriousInterruptVector) & SoftwareEnableBit) != 0; }
    public readonly byte SpuriousVector => (byte)Register(ApicRegisters.SpuriousInterruptVector);

    /// <summary>IA32_APIC_BASE.</summary>
    public readonly ulong ApicBase => _base;

    /// <summary>Writes IA32_APIC_BASE. False: reserved bits or a transition that the manual forbids; inject #GP.</summary>
    // SDM 3A, "x2APIC State Transitions".
    public bool TryWriteApicBase(ulong value, out ApicEffect effect)
    {
        effect = ApicEffect.None;
        ulong oldMode = _base & (EnableBit | X2ApicBit), newMode = value & (EnableBit | X2ApicBit);
        if ((value & _baseReserved) != 0) return false;
        if (newMode == X2ApicBit) return false;
        if (newMode == (EnableBit | X2ApicBit))
        {
            if ((_features & ApicFeatures.X2Apic) == 0 || oldMode == 0) return false;
        }
        else if (newMode == EnableBit && oldMode == (EnableBit | X2ApicBit)) return false;

        bool moved = BaseAddress != (value & ~0xFFFUL);
        _base = value;
        if (newMode != oldMode)
        {
            // Leaving through "disabled" loses all state; entering x2APIC keeps it but for the identification registers.
            if (newMode == 0 || oldMode == 0) ResetRegisters(); else WriteIdentification();
        }
        if (newMode != oldMode || moved) effect = ApicEffect.ModeChanged;
        return true;
    }

    private void ResetRegisters()
    {
        ulong* words = (ulong*)_page;
        for (int i = 0; i < 512; i++) words[i] = 0;
        SetRegister(ApicRegisters.LocalApicVersion, VersionValue);
        SetRegister(ApicRegisters.DestinationFormat, 0xFFFFFFFF);
        SetRegister(ApicRegisters.SpuriousInterruptVector, SpuriousReset);
        MaskLocalVectors();
        WriteIdentification();
        _highestRequest = _highestInService = -1;
        _requestWords = _serviceWords = 0;
        _inServiceCount = 0;
        _pendingErrors = 0;
        _deadline = _period = 0;
        _divideShift = 1;
    }

    // SDM 3A, "Logical x2APIC ID": the logical ID follows from the APIC ID; the upper half of the ICR is not kept.
    private void WriteIdentification()
    {
        if (!IsX2Apic)
        {
            SetRegister(ApicRegisters.LocalApicId, _apicId << 24);
            return;
        }
        SetRegister(ApicRegisters.LocalApicId, _apicId);
        SetRegister(ApicRegisters.LogicalDestination, ((_apicId >> 4) << 16) | (1u << (int)(_apicId & 0xF)));
        SetRegister(ApicRegisters.InterruptCommandHigh, 0);
    }

    private void MaskLocalVectors()
    {
        SetRegister(ApicRegisters.LvtCmci, Register(ApicRegisters.LvtCmci) | LvtMaskBit);
        for (uint offset = ApicRegisters.LvtTimer; offset <= ApicRegisters.LvtError; offset += 0x10)
            SetRegister(offset, Register(offset) | LvtMaskBit);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly uint Register(uint offset) => *(uint*)(_page + offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void SetRegister(uint offset, uint value) => *(uint*)(_page + offset) = value;
}
