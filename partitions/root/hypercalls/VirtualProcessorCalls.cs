// Calls about virtual processors and their registers. TLFS, "Virtual Processors".
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;

namespace Lamina.Root.Hypercalls;

/// <summary>Registers to be set by one call. Only one batch exists at a time: it lies in the client's register page.</summary>
public unsafe struct RegisterBatch
{
    /// <summary>What fits behind the header of an input page.</summary>
    public const int Capacity = 127;

    public int Count { get; private set; }

    /// <summary>An empty batch.</summary>
    public static RegisterBatch Begin() => default;

    public void Add(uint name, HvRegisterValue value)
    {
        if (Count == Capacity) return;
        var elements = (HvRegisterAssoc*)(HypercallClient.RegisterInput + sizeof(HvInputSetVpRegisters));
        elements[Count++] = new HvRegisterAssoc(name, value);
    }

    // Word by word: what completes an intercept.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(uint name, ulong value)
    {
        if (Count == Capacity) return;
        ulong* element = (ulong*)((HvRegisterAssoc*)(HypercallClient.RegisterInput + sizeof(HvInputSetVpRegisters)) + Count++);
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
    public static HvStatus Set(PartitionAccount* account, VpIndex vp, ref RegisterBatch batch) => Set(account, vp, ref batch, 0);

    /// <summary>
    /// HvCallSetVpRegisters of everything in the batch, then sleep until an interrupt is requested (it comes when interrupts are opened) or a polled
    /// message has come. May return without sleep.
    /// </summary>
    public static HvStatus SetThenIdle(PartitionAccount* account, VpIndex vp, ref RegisterBatch batch) => Set(account, vp, ref batch, HvInputSetVpRegisters.ThenIdle);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static HvStatus Set(PartitionAccount* account, VpIndex vp, ref RegisterBatch batch, byte extension)
    {
        uint count = (uint)batch.Count;
        batch = RegisterBatch.Begin();
        if (count == 0) return HvStatus.HV_STATUS_SUCCESS;
        var input = (HvInputSetVpRegisters*)HypercallClient.RegisterInput;
        input->PartitionId = account->Id;
        ((ulong*)input)[1] = vp.Value | (ulong)extension << 40;
        return HypercallClient.CallReps(account, HypercallCode.HvCallSetVpRegisters, count, HypercallClient.RegisterInput, "HvCallSetVpRegisters"u8);
    }

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
