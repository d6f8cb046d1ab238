// A SynIC with mapped pages in native memory, and a guest that handles messages as TLFS recommends.
using System;
using System.Runtime.InteropServices;
using Lamina.Abi;
using Lamina.Hypervisor.Synic;

namespace Lamina.Tests.Host.Synic;

public sealed unsafe class SynicFixture : IDisposable
{
    private readonly byte* _memory = (byte*)NativeMemory.AlignedAlloc(3 * 4096, 4096);
    public readonly SynicState* State;
    public HvMessage* Slot(int sint) => (HvMessage*)_memory + sint;
    public ulong* Flags(int sint) => (ulong*)(_memory + 4096 + sint * 256);

    public SynicFixture(bool enabled = true)
    {
        new Span<byte>(_memory, 3 * 4096).Clear();
        State = (SynicState*)(_memory + 2 * 4096);
        State->Initialize();
        if (!enabled) return;
        Write(HvMsr.HV_X64_MSR_SCONTROL, 1);
        Write(HvMsr.HV_X64_MSR_SIMP, 0x10001);
        Write(HvMsr.HV_X64_MSR_SIEFP, 0x11001);
        State->SetMessagePage(_memory);
        State->SetEventPage(_memory + 4096);
        for (uint sint = 0; sint < 16; sint++) Write(HvMsr.HV_X64_MSR_SINT0 + sint, 0x30 + sint);
    }

    public SynicEffect Write(uint msr, ulong value)
    {
        if (!State->TryWriteMsr(msr, value, out SynicEffect effect)) throw new InvalidOperationException("refused");
        return effect;
    }

    public ulong Read(uint msr) => State->TryReadMsr(msr, out ulong value) ? value : throw new InvalidOperationException("refused");

    /// <summary>The guest's handler: copies, frees the slot, and tells whether it would write EOM.</summary>
    public bool Take(int sint, out ulong payload, out bool writesEom)
    {
        HvMessage* slot = Slot(sint);
        payload = slot->Payload[0];
        writesEom = false;
        if (slot->Header.MessageType == 0) return false;
        slot->Header.MessageType = 0;
        writesEom = (slot->Header.MessageFlags & HvMessageHeader.MessagePending) != 0;
        return true;
    }

    public void Dispose() => NativeMemory.AlignedFree(_memory);
}

/// <summary>A message with one quadword of payload in native memory, and its node.</summary>
public sealed unsafe class TestMessage : IDisposable
{
    private readonly byte* _memory = (byte*)NativeMemory.AlignedAlloc(512, 64);
    public HvMessage* Message => (HvMessage*)_memory;
    public PendingMessage* Node => (PendingMessage*)(_memory + 256);

    public TestMessage(ulong payload, uint type = 1)
    {
        new Span<byte>(_memory, 512).Clear();
        Message->Header.MessageType = type;
        Message->Header.PayloadSize = 8;
        Message->Header.SenderOrPort = 0x77;
        Message->Payload[0] = payload;
        Node->Initialize(Message);
    }

    public void Dispose() => NativeMemory.AlignedFree(_memory);
}
