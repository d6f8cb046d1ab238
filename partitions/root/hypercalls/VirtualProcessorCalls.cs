// Calls about virtual processors and their registers. TLFS, "Virtual Processors".
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Kernel;

namespace Lamina.Root.Hypercalls;

/// <summary>Registers to be set by one call. Only one batch exists at a time: it lies in the client's register page.</summary>
public unsafe struct RegisterBatch
{
    /// <summary>What fits behind the header of an input page.</summary>
    public const int Capacity = 127;

    private readonly HvRegisterAssoc* _elements;
    private int _count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private RegisterBatch(byte* page, int count)
    {
        _elements = (HvRegisterAssoc*)(page + sizeof(HvInputSetVpRegisters));
        _count = count;
    }

    /// <summary>Registers that are in it.</summary>
    public readonly int Count => _count;

    /// <summary>An empty batch.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static RegisterBatch Begin() => new(HypercallClient.RegisterInput, 0);

    /// <summary>The batch last begun, into which <paramref name="count"/> registers have been put.</summary>
    public static RegisterBatch Resume(int count) => new(HypercallClient.RegisterInput, count);

    /// <summary>A register of up to 128 bits.</summary>
    public void Add(uint name, HvRegisterValue value)
    {
        if (Count == Capacity) return;
        _elements[_count++] = new HvRegisterAssoc(name, value);
    }

    /// <summary>A register of up to 64 bits.</summary>
    public void Add(uint name, ulong value)
    {
        if (Count != Capacity) AddUnchecked(name, value);
    }

    /// <summary>For who adds few, since it is on the way of every intercept: no look at the capacity, and word by word.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AddUnchecked(uint name, ulong value)
    {
        ulong* element = (ulong*)(_elements + _count++);
        element[0] = name;
        element[1] = 0;
        element[2] = value;
        element[3] = 0;
    }
}

public static unsafe class VirtualProcessorCalls
{
    /// <summary>HvCallCreateVp: the processor exists, explicitly suspended.</summary>
    public static HvStatus Create(PartitionAccount* account, VpIndex vp)
    {
        HvInputCreateVp* input = HypercallClient.Prepare<HvInputCreateVp>();
        input->PartitionId = account->Id;
        input->VpIndex = vp;
        return HypercallClient.Call(account, HypercallCode.HvCallCreateVp, "HvCallCreateVp"u8);
    }

    /// <summary>HvCallDeleteVp.</summary>
    public static HvStatus Delete(PartitionAccount* account, VpIndex vp)
    {
        HvInputDeleteVp* input = HypercallClient.Prepare<HvInputDeleteVp>();
        input->PartitionId = account->Id;
        input->VpIndex = vp;
        return HypercallClient.Call(account, HypercallCode.HvCallDeleteVp, "HvCallDeleteVp"u8);
    }

    /// <summary>HvCallSetVpRegisters of everything in the batch, in order; the batch is empty afterwards.</summary>
    public static HvStatus Set(PartitionAccount* account, VpIndex vp, ref RegisterBatch batch)
    {
        uint count = (uint)batch.Count;
        if (count == 0) return HvStatus.HV_STATUS_SUCCESS;
        PrepareSet(account, vp, batch);
        batch = RegisterBatch.Begin();
        return HypercallClient.CallReps(account, HypercallCode.HvCallSetVpRegisters, count, HypercallClient.RegisterInput, "HvCallSetVpRegisters"u8);
    }

    /// <summary>Addresses what is in the batch, which is not empty, for <see cref="SetPrepared"/>. No other batch may be begun before that.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static HypercallInput PrepareSet(PartitionAccount* account, VpIndex vp, in RegisterBatch batch)
    {
        ulong* header = (ulong*)HypercallClient.RegisterInput;
        header[0] = account->Id.Value;
        header[1] = vp.Value;
        return HypercallInput.Rep(HypercallCode.HvCallSetVpRegisters, (uint)batch.Count);
    }

    /// <summary>HvCallSetVpRegisters of what <see cref="PrepareSet"/> has addressed. Unless it is complete, <see cref="ContinueSet"/> is next.</summary>
    /// <param name="thenIdle">
    /// Sleeps then until an interrupt is requested (it comes when interrupts are opened) or a polled message has come; may return without sleep.
    /// </param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static HypercallResult SetPrepared(HypercallInput call, bool thenIdle)
    {
        var input = (HvInputSetVpRegisters*)HypercallClient.RegisterInput;
        input->Extension = thenIdle ? HvInputSetVpRegisters.ThenIdle : (byte)0;
        return new HypercallResult(Hypercall.Call(call.Value, (ulong)input, 0));
    }

    /// <summary>Deposits, and repeats what is left; a failure is reported.</summary>
    internal static HvStatus ContinueSet(PartitionAccount* account, HypercallInput call, HypercallResult result) =>
        HypercallClient.ContinueReps(account, call, call.RepCount, result, HypercallClient.RegisterInput, "HvCallSetVpRegisters"u8);

    /// <summary>HvCallSetVpRegisters of one register.</summary>
    public static HvStatus Set(PartitionAccount* account, VpIndex vp, uint name, ulong value)
    {
        RegisterBatch batch = RegisterBatch.Begin();
        batch.Add(name, value);
        return Set(account, vp, ref batch);
    }

    /// <summary>HvCallGetVpRegisters: <paramref name="values"/> has room for as many as there are names.</summary>
    public static HvStatus Get(PartitionAccount* account, VpIndex vp, ReadOnlySpan<uint> names, HvRegisterValue* values)
    {
        HvInputGetVpRegisters* input = HypercallClient.Prepare<HvInputGetVpRegisters>();
        input->PartitionId = account->Id;
        input->VpIndex = vp;
        uint* elements = (uint*)(input + 1);
        for (int i = 0; i < names.Length; i++) elements[i] = names[i];
        HvStatus status = HypercallClient.CallReps(account, HypercallCode.HvCallGetVpRegisters, (uint)names.Length, HypercallClient.Input, "HvCallGetVpRegisters"u8);
        if (!status.IsSuccess) return status;
        for (int i = 0; i < names.Length; i++) values[i] = ((HvRegisterValue*)HypercallClient.Output)[i];
        return status;
    }
}
