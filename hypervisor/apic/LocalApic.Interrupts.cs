// Requests, service and priority: IRR, ISR, TMR, TPR and PPR of the local APIC.
using System.Numerics;
using System.Runtime.CompilerServices;
using Lamina.X64;

namespace Lamina.Hypervisor.Apic;

public unsafe partial struct LocalApic
{
    private const byte FirstLegalVector = 16;

    /// <summary>Highest requested vector, -1 when none.</summary>
    public readonly int HighestRequest => _highestRequest;

    /// <summary>Highest vector in service, -1 when none.</summary>
    public readonly int HighestInService => _highestInService;

    /// <summary>How many vectors are in service.</summary>
    public readonly int InServiceCount => _inServiceCount;

    /// <summary>TPR; also what CR8 holds, shifted left by four. Set it when hardware kept V_TPR for the guest.</summary>
    public byte TaskPriority
    {
        readonly get => (byte)Register(ApicRegisters.TaskPriority);
        set => SetRegister(ApicRegisters.TaskPriority, value);
    }

    /// <summary>PPR: the higher of task priority and the class in service.</summary>
    // SDM 3A, "Task and Processor Priorities".
    public readonly byte ProcessorPriority
    {
        get
        {
            int task = TaskPriority, service = _highestInService < 0 ? 0 : _highestInService & 0xF0;
            return (byte)(task >> 4 >= service >> 4 ? task : service);
        }
    }

    /// <summary>
    /// Requests a vector. True when it was not yet requested, or by the other trigger mode: then re-evaluate. False when it was, when the APIC
    /// is software-disabled, or when the vector is below 16 (which the error status register records).
    /// </summary>
    // SDM 3A, "Interrupt Acceptance for Fixed Interrupts": TMR is set from the trigger mode at acceptance.
    public bool Assert(byte vector, bool levelTriggered)
    {
        if (!IsSoftwareEnabled) return false;
        if (vector < FirstLegalVector)
        {
            RaiseError(ApicError.ReceiveIllegalVector);
            return false;
        }
        uint* request = Word(ApicRegisters.InterruptRequest, vector), trigger = Word(ApicRegisters.TriggerMode, vector);
        uint bit = 1u << vector;
        uint mode = *trigger, newMode = levelTriggered ? mode | bit : mode & ~bit;
        *trigger = newMode;
        uint old = *request;
        if ((old & bit) != 0) return mode != newMode;
        *request = old | bit;
        _requestWords |= 1u << (vector >> 5);
        if (vector > _highestRequest) _highestRequest = vector;
        return true;
    }

    /// <summary>Withdraws a request. True when there was one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Clear(byte vector)
    {
        uint* request = Word(ApicRegisters.InterruptRequest, vector);
        uint bit = 1u << vector;
        uint old = *request;
        if ((old & bit) == 0) return false;
        old &= ~bit;
        *request = old;
        if (old == 0) _requestWords &= ~(1u << (vector >> 5));
        if (vector == _highestRequest) _highestRequest = Highest(ApicRegisters.InterruptRequest, _requestWords);
        return true;
    }

    public readonly bool IsRequested(byte vector) => (*Word(ApicRegisters.InterruptRequest, vector) & (1u << vector)) != 0;
    public readonly bool IsInService(byte vector) => (*Word(ApicRegisters.InService, vector) & (1u << vector)) != 0;
    /// <summary>The vector's last request was level-triggered.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsLevelTriggered(byte vector) => (*Word(ApicRegisters.TriggerMode, vector) & (1u << vector)) != 0;

    /// <summary>
    /// The vector to deliver next, as far as what is in service allows; the task priority is not looked at
    /// (hardware compares V_TPR or the TPR threshold). Ask <see cref="IsAboveTaskPriority"/> where software must.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool TryGetCandidate(out byte vector)
    {
        vector = (byte)_highestRequest;
        // "None" is -1, whose class -1 is below every other: two empty registers compare equal.
        return _highestRequest >> 4 > _highestInService >> 4;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsAboveTaskPriority(byte vector) => vector >> 4 > TaskPriority >> 4;

    /// <summary>The vector to deliver now, with task priority respected.</summary>
    public readonly bool TryGetDeliverable(out byte vector) => TryGetCandidate(out vector) && IsAboveTaskPriority(vector);

    /// <summary>
    /// The processor took the vector: it moves from IRR to ISR, or just leaves IRR if it is marked for automatic EOI.
    /// False when it was not requested.
    /// </summary>
    public bool Acknowledge(byte vector)
    {
        if (!Clear(vector)) return false;
        if (IsAutoEoi(vector)) return true;
        uint* service = Word(ApicRegisters.InService, vector);
        uint bit = 1u << vector;
        uint old = *service;
        *service = old | bit;
        if ((old & bit) == 0) _inServiceCount++;
        _serviceWords |= 1u << (vector >> 5);
        if (vector > _highestInService) _highestInService = vector;
        return true;
    }

    /// <summary>The processor took a vector whose EOI is implicit: IRR is cleared and ISR never set.</summary>
    public bool AcknowledgeAutoEoi(byte vector) => Clear(vector);

    /// <summary>Undoes <see cref="Acknowledge"/> for a vector whose injection did not complete.</summary>
    public void Reinstate(byte vector)
    {
        if (IsInService(vector)) Retire(vector);
        uint* request = Word(ApicRegisters.InterruptRequest, vector);
        *request |= 1u << vector;
        _requestWords |= 1u << (vector >> 5);
        if (vector > _highestRequest) _highestRequest = vector;
    }

    /// <summary>EOI: retires the highest vector in service.</summary>
    // SDM 3A, "Signaling Interrupt Servicing Completion".
    public ApicEffect EndOfInterrupt()
    {
        if (_highestInService < 0) return ApicEffect.None;
        byte vector = (byte)_highestInService;
        Retire(vector);
        return ApicEffect.EndOfInterrupt(vector, IsLevelTriggered(vector), _highestRequest >= 0);
    }

    /// <summary>Marks a vector for automatic EOI, or no longer; the SynIC decides from its SINT registers.</summary>
    // TLFS, "SINTx Registers".
    public void SetAutoEoi(byte vector, bool automatic)
    {
        ulong bit = 1UL << vector;
        ulong old = _autoEoi[vector >> 6];
        _autoEoi[vector >> 6] = automatic ? old | bit : old & ~bit;
    }

    /// <summary>Whether any vector is marked so: processors that deliver by themselves know no such thing.</summary>
    public readonly bool HasAutoEoi => (_autoEoi[0] | _autoEoi[1] | _autoEoi[2] | _autoEoi[3]) != 0;

    /// <summary>64 vectors of the trigger mode register, those from 64 * <paramref name="word"/> on: set for level-triggered ones.</summary>
    public readonly ulong LevelTriggered(int word) =>
        (ulong)Register(ApicRegisters.TriggerMode + (uint)word * 0x20 + 0x10) << 32 | Register(ApicRegisters.TriggerMode + (uint)word * 0x20);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsAutoEoi(byte vector) => ((_autoEoi[vector >> 6] >> vector) & 1) != 0;

    /// <summary>Recomputes what is cached from the register page, after hardware or a restore has changed it.</summary>
    public void Resynchronize()
    {
        _requestWords = _serviceWords = 0;
        _inServiceCount = 0;
        for (uint i = 0; i < 8; i++)
        {
            uint service = Register(ApicRegisters.InService + i * 0x10);
            if (Register(ApicRegisters.InterruptRequest + i * 0x10) != 0) _requestWords |= 1u << (int)i;
            if (service != 0) _serviceWords |= 1u << (int)i;
            _inServiceCount += BitOperations.PopCount(service);
        }
        _highestRequest = Highest(ApicRegisters.InterruptRequest, _requestWords);
        _highestInService = Highest(ApicRegisters.InService, _serviceWords);
    }

    private void Retire(byte vector)
    {
        uint* service = Word(ApicRegisters.InService, vector);
        uint rest = *service & ~(1u << vector);
        *service = rest;
        _inServiceCount--;
        if (rest == 0) _serviceWords &= ~(1u << (vector >> 5));
        if (vector == _highestInService) _highestInService = Highest(ApicRegisters.InService, _serviceWords);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly int Highest(uint bank, uint words) => words == 0 ? -1 : HighestOf(bank, words);

    private readonly int HighestOf(uint bank, uint words)
    {
        int word = BitOperations.Log2(words);
        return word * 32 + BitOperations.Log2(Register(bank + (uint)word * 0x10));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly uint* Word(uint bank, byte vector) => (uint*)(_page + bank + ((uint)(vector >> 5) << 4));
}
