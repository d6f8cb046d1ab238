// The synthetic interrupt controller of one virtual processor: its registers.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Apic;

namespace Lamina.Hypervisor.Synic;

/// <summary>
/// SynIC state of one virtual processor. TLFS, "SynIC MSRs" and "Inter-Partition Communication".
/// The core maps the pages and hands in their host addresses. Registers and messages belong to the owner of the
/// virtual processor, or to whoever holds its SynIC lock; only <see cref="TrySignalEvent"/> may be called by anyone.
/// </summary>
public unsafe partial struct SynicState
{
    public const int SintCount = SynicLimits.HV_SYNIC_SINT_COUNT;

    [InlineArray(SintCount)]
    private struct SintQueues { private PendingMessageQueue _first; }

    private byte* _messages;
    private byte* _events;
    private ulong _control;
    private ulong _messagePage;
    private ulong _eventPage;
    private uint _queuedSints;
    /// <summary>SINTs whose messages interrupt nobody, one bit each.</summary>
    private uint _polledSints;
    private fixed ulong _sints[SintCount];
    private SintQueues _queues;

    /// <summary>Power-on state of fresh memory: disabled, every SINT masked, nothing queued.</summary>
    public void Initialize()
    {
        this = default;
        for (int i = 0; i < SintCount; i++) _sints[i] = SintMsr.Reset.Value;
    }

    /// <summary>Reset of the virtual processor: as <see cref="Initialize"/>, with queued messages given back. The core unmaps the pages first.</summary>
    public void Reset()
    {
        for (int sint = 0; sint < SintCount; sint++)
            while (!_queues[sint].IsEmpty) _queues[sint].RemoveHead()->Release();
        Initialize();
    }

    /// <summary>Host address of the mapped SIM page, 4 KiB; null while disabled or unmapped.</summary>
    public void SetMessagePage(byte* page) => _messages = page;

    /// <summary>Host address of the mapped SIEF page, 4 KiB; null while disabled or unmapped.</summary>
    public void SetEventPage(byte* page) => _events = page;

    public readonly bool IsEnabled => (_control & 1) != 0;
    public readonly SimpMsr MessagePageRegister => new SimpMsr(_messagePage);
    public readonly SiefpMsr EventPageRegister => new SiefpMsr(_eventPage);
    public readonly SintMsr GetSint(int sint) => new SintMsr(_sints[sint]);

    /// <summary>Whether messages for this virtual processor may be queued at all.</summary>
    // TLFS, "Messages": processors whose SynIC or SIM page is disabled are no targets.
    public readonly bool AcceptsMessages => _messages != null && IsEnabled;

    public readonly bool HasPolledSints => _polledSints != 0;

    /// <summary>Whether a message lies in the slot of a SINT that the guest polls: who idles would sleep over it.</summary>
    public readonly bool IsPolledMessageWaiting
    {
        get
        {
            if (_polledSints == 0 || !AcceptsMessages) return false;
            for (uint left = _polledSints; left != 0; left &= left - 1)
            {
                // SAFETY: guest memory, of which only "zero or not" counts.
                HvMessage* slot = (HvMessage*)(_messages + BitOperations.TrailingZeroCount(left) * (int)SynicLimits.HV_MESSAGE_SIZE);
                if (Volatile.Read(ref slot->Header.MessageType) != HvMessageType.HvMessageTypeNone) return true;
            }
            return false;
        }
    }

    /// <summary>Reads a SynIC register. False: not one, or inject #GP.</summary>
    public readonly bool TryReadMsr(uint msr, out ulong value)
    {
        value = 0;
        switch (msr)
        {
            case HvMsr.HV_X64_MSR_SCONTROL: value = _control; return true;
            case HvMsr.HV_X64_MSR_SVERSION: value = SynicLimits.HV_SYNIC_VERSION_1; return true;
            case HvMsr.HV_X64_MSR_SIEFP: value = _eventPage; return true;
            case HvMsr.HV_X64_MSR_SIMP: value = _messagePage; return true;
            case HvMsr.HV_X64_MSR_EOM: return true;
        }
        uint sint = msr - HvMsr.HV_X64_MSR_SINT0;
        if (sint >= SintCount) return false;
        value = _sints[sint];
        return true;
    }

    /// <summary>
    /// Writes a SynIC register. False: not one, read-only, or an invalid vector; inject #GP. The manual calls the
    /// reserved bits "value must be preserved", so they are kept as written and have no effect.
    /// </summary>
    public bool TryWriteMsr(uint msr, ulong value, out SynicEffect effect)
    {
        effect = default;
        switch (msr)
        {
            case HvMsr.HV_X64_MSR_EOM:
                effect = SynicEffect.Of(SynicEffectKind.EndOfMessage);
                return true;
            case HvMsr.HV_X64_MSR_SCONTROL:
                if (_control != value) effect = SynicEffect.Of(SynicEffectKind.ControlChanged);
                _control = value;
                return true;
            case HvMsr.HV_X64_MSR_SIEFP:
                if (_eventPage != value) effect = SynicEffect.Of(SynicEffectKind.EventPageChanged);
                _eventPage = value;
                return true;
            case HvMsr.HV_X64_MSR_SIMP:
                if (_messagePage != value) effect = SynicEffect.Of(SynicEffectKind.MessagePageChanged);
                _messagePage = value;
                return true;
        }
        uint index = msr - HvMsr.HV_X64_MSR_SINT0;
        return index < SintCount && TryWriteSint((int)index, new SintMsr(value), out effect);
    }

    // An invalid vector is let through while masked: that is the register's own reset value.
    private bool TryWriteSint(int sint, SintMsr value, out SynicEffect effect)
    {
        effect = default;
        if (value.Vector < SintMsr.FirstValidVector && !value.Masked) return false;
        SintMsr old = new SintMsr(_sints[sint]);
        _sints[sint] = value.Value;
        _polledSints = value.Polling && !value.Masked ? _polledSints | 1u << sint : _polledSints & ~(1u << sint);
        if (old.Value != value.Value) effect = SynicEffect.Sint(sint, old.Vector, value.Vector);
        return true;
    }

    /// <summary>Whether some SINT gives this vector the automatic EOI.</summary>
    public readonly bool IsAutoEoi(byte vector)
    {
        for (int i = 0; i < SintCount; i++)
        {
            SintMsr sint = new SintMsr(_sints[i]);
            if (sint.Vector == vector && sint.AutoEoi && !sint.Masked && !sint.Polling) return true;
        }
        return false;
    }

    /// <summary>Carries a SINT change over to the local APIC's automatic EOIs.</summary>
    public readonly void UpdateAutoEoi(SynicEffect effect, ref LocalApic apic)
    {
        apic.SetAutoEoi(effect.OldVector, IsAutoEoi(effect.OldVector));
        apic.SetAutoEoi(effect.NewVector, IsAutoEoi(effect.NewVector));
    }

    /// <summary>Vector to assert when something arrived at a SINT; 0 when it is masked or polled.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly byte GetInterruptVector(int sint)
    {
        SintMsr register = new SintMsr(_sints[sint]);
        return register.Interrupts ? register.Vector : (byte)0;
    }
}
