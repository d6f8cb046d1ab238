// A backend without a processor: guest state in a page, second-stage tables in SVM's format, events only remembered.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Paging;
using static Lamina.Abi.HvRegisterName;

namespace Lamina.Tests.Host.Hypercalls;

/// <summary>What the page of a virtual processor holds.</summary>
public unsafe struct FakeState
{
    public ulong Rip, Rflags, Cr0, Cr2, Cr3, Cr4, Efer, Pat, Kernel, TscOffset, PendingInterruption;
    public HvX64SegmentRegister Cs;
    public byte Cpl, TaskPriority, Offered, Exception;
    public bool Is64Bit, ExceptionPending, NmiInjected, OfferTaken;
    public uint ErrorCode, ExceptionIntercepts;
}

/// <summary>Who is told what is done with the state of virtual processors.</summary>
public unsafe interface IStateWatch
{
    void Entering(VirtualProcessor* vp);
    void Left(VirtualProcessor* vp);
    void Departed(VirtualProcessor* vp);
    void Arrived(VirtualProcessor* vp);
    void Reset(VirtualProcessor* vp);
    void Destroyed(VirtualProcessor* vp);
}

public readonly unsafe struct FakeBackend : IBackend
{
    internal static IStateWatch Watch;

    private readonly struct Tables(Partition* partition) : IPageTableMemory
    {
        private readonly Partition* _partition = partition;
        public ulong ReadEntry(ulong physical) => *(ulong*)PhysicalMap.ToPointer(physical);
        public void WriteEntry(ulong physical, ulong value) => *(ulong*)PhysicalMap.ToPointer(physical) = value;
        public bool TryAllocatePage(out ulong physical) => _partition->Account.TryTake(out physical);
        public void FreePage(ulong physical) => _partition->Account.AddZeroed(physical);
    }

    private static PageTableEditor<NestedPageTableFormat, Tables> Editor(Partition* partition) => new(new Tables(partition), partition->SecondStageRoot);
    public static FakeState* State(VirtualProcessor* vp) => (FakeState*)vp->BackendState;

    public static bool Preflight() => true;
    public static void InitializeMachine() { }
    public static void InitializeProcessor(LogicalProcessor* processor) { }
    public static void Run(VirtualProcessor* first) { }
    public static void OpenInterruptWindow() { }
    /// <summary>What the machine does while its processor sleeps.</summary>
    internal static Action WhileIdle;
    public static void Idle() => (WhileIdle ?? throw new InvalidOperationException("idle"))();
    public static void Leave(VirtualProcessor* vp) => Watch?.Left(vp);
    public static void Enter(VirtualProcessor* vp) => Watch?.Entering(vp);
    public static void Depart(VirtualProcessor* vp) => Watch?.Departed(vp);
    public static void Arrive(VirtualProcessor* vp) => Watch?.Arrived(vp);
    public static ReadOnlySpan<byte> HypercallInstruction => [0x0F, 0x01, 0xD9];

    public static bool TryRefreshApic(VirtualProcessor* vp) => false;
    public static bool TryDelegateInterrupts(VirtualProcessor* vp) => false;
    public static bool PrefersExplicitEoi => false;
    public static uint PagesPerVp => 1;
    public static void DestroyVp(VirtualProcessor* vp)
    {
        Watch?.Destroyed(vp);
        vp->Partition->Account.Add(vp->BackendStatePhysical);
    }

    public static HvStatus InitializeVp(VirtualProcessor* vp)
    {
        if (!vp->Partition->Account.TryTake(out ulong page)) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        vp->BackendStatePhysical = page;
        vp->BackendState = PhysicalMap.ToPointer(page);
        ResetVp(vp);
        State(vp)->ExceptionIntercepts = vp->Partition->ExceptionIntercepts;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    public static HvStatus InitializeSecondStage(Partition* partition)
    {
        var editor = Editor(partition);
        if (!editor.TryCreateRoot()) return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        partition->SecondStageRoot = editor.Root;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    public static PageTableResult MapGpa(Partition* partition, ulong gpa, ulong physical, ulong pageCount, PagePermissions permissions, PageSize largest)
    {
        var editor = Editor(partition);
        PageTableResult result = editor.Map(gpa, physical, pageCount, permissions, largest);
        if (editor.FlushRequired) partition->SecondStageGeneration++;
        editor.CompleteFlush();
        return result;
    }

    public static PageTableResult UnmapGpa(Partition* partition, ulong gpa, ulong pageCount)
    {
        var editor = Editor(partition);
        PageTableResult result = editor.Unmap(gpa, pageCount);
        if (editor.FlushRequired) partition->SecondStageGeneration++;
        editor.CompleteFlush();
        return result;
    }

    public static bool TryTranslateGpa(Partition* partition, ulong gpa, out ulong physical, out PagePermissions permissions) =>
        TryTranslateGpa(partition, gpa, out physical, out permissions, out _);
    public static bool TryTranslateGpa(Partition* partition, ulong gpa, out ulong physical, out PagePermissions permissions, out PageSize size) =>
        Editor(partition).TryTranslate(gpa, out physical, out permissions, out size);

    public static void DestroySecondStage(Partition* partition)
    {
        var editor = Editor(partition);
        editor.DestroyAll();
        partition->SecondStageRoot = 0;
        partition->SecondStageGeneration++;
    }

    public static ulong GetRip(VirtualProcessor* vp) => State(vp)->Rip;
    public static void ContinueAt(VirtualProcessor* vp, ulong rip) => State(vp)->Rip = rip;
    public static void SetRip(VirtualProcessor* vp, ulong value) => State(vp)->Rip = value;
    public static ulong GetRflags(VirtualProcessor* vp) => State(vp)->Rflags;
    public static ulong GetCr0(VirtualProcessor* vp) => State(vp)->Cr0;
    public static ulong GetCr3(VirtualProcessor* vp) => State(vp)->Cr3;
    public static ulong GetCr4(VirtualProcessor* vp) => State(vp)->Cr4;
    public static ulong GetEfer(VirtualProcessor* vp) => State(vp)->Efer;
    public static byte GetCpl(VirtualProcessor* vp) => State(vp)->Cpl;
    public static bool Is64Bit(VirtualProcessor* vp) => State(vp)->Is64Bit;
    public static ulong GetRsp(VirtualProcessor* vp) => vp->Gpr[Gpr.Rsp];

    public static void GetFetchState(VirtualProcessor* vp, FetchState* state)
    {
        FakeState* from = State(vp);
        state->Rip = from->Rip;
        state->CodeBase = from->Cs.Base;
        state->Cr3 = from->Cr3;
        state->Set(from->Cr0, from->Cr4, from->Efer, from->Rflags, from->Cpl, (from->Is64Bit ? 1u : 0) | (from->Cs.Attributes.Default ? 2u : 0));
    }

    public static void GetCodeSegment(VirtualProcessor* vp, HvX64SegmentRegister* value) => *value = State(vp)->Cs;

    private static ulong* Register(VirtualProcessor* vp, uint name)
    {
        FakeState* state = State(vp);
        switch (name)
        {
            case HvX64RegisterRip: return &state->Rip;
            case HvX64RegisterRflags: return &state->Rflags;
            case HvX64RegisterCr0: return &state->Cr0;
            case HvX64RegisterCr2: return &state->Cr2;
            case HvX64RegisterCr3: return &state->Cr3;
            case HvX64RegisterCr4: return &state->Cr4;
            case HvX64RegisterEfer: return &state->Efer;
            case HvX64RegisterPat: return &state->Pat;
            case HvRegisterPendingInterruption: return &state->PendingInterruption;
        }
        return name - HvX64RegisterRax < 16 ? &vp->Gpr[name - HvX64RegisterRax] : null;
    }

    public static HvStatus GetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        *value = default;
        if (name is >= HvX64RegisterEs and <= HvX64RegisterTr)
        {
            value->Segment = State(vp)->Cs;
            return HvStatus.HV_STATUS_SUCCESS;
        }
        ulong* register = Register(vp, name);
        if (register == null) return HvStatus.HV_STATUS_INVALID_PARAMETER;
        value->Reg64 = *register;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    public static HvStatus SetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value)
    {
        ulong* register = Register(vp, name);
        if (register == null) return HvStatus.HV_STATUS_INVALID_PARAMETER;
        *register = value->Reg64;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    public static void CompleteInstruction(VirtualProcessor* vp) => State(vp)->Rip += 3;
    public static byte GetInstructionLength(VirtualProcessor* vp) => 3;

    public static void UpdateExceptionIntercepts(VirtualProcessor* vp) => State(vp)->ExceptionIntercepts = vp->Partition->ExceptionIntercepts;

    public static void InjectException(VirtualProcessor* vp, byte vector, bool hasErrorCode, uint errorCode)
    {
        State(vp)->ExceptionPending = true;
        State(vp)->Exception = vector;
        State(vp)->ErrorCode = errorCode;
    }

    public static bool HasPendingInjection(VirtualProcessor* vp) => State(vp)->ExceptionPending;
    public static bool TryInjectNmi(VirtualProcessor* vp) => State(vp)->NmiInjected = true;
    public static bool OfferInterrupt(VirtualProcessor* vp, byte vector, bool notify)
    {
        State(vp)->Offered = vector;
        State(vp)->OfferTaken = false;
        return vector != 0;
    }
    public static void InjectInterrupt(VirtualProcessor* vp, byte vector) { }
    public static bool IsOfferTaken(VirtualProcessor* vp) => State(vp)->OfferTaken;
    public static bool IsInterruptible(VirtualProcessor* vp, byte vector) => (State(vp)->Rflags & 1 << 9) != 0;
    public static byte GetTaskPriority(VirtualProcessor* vp) => State(vp)->TaskPriority;
    public static void SetTaskPriority(VirtualProcessor* vp, byte value) => State(vp)->TaskPriority = (byte)(value & 0xF0);
    public static void SetTscOffset(VirtualProcessor* vp, ulong offset) => State(vp)->TscOffset = offset;

    public static void ResetVp(VirtualProcessor* vp)
    {
        Watch?.Reset(vp);
        for (int i = 0; i < 16; i++) vp->Gpr[i] = 0;
        *State(vp) = new FakeState { Rip = 0xFFF0, Rflags = 2, Pat = 0x0007040600070406 };
    }

    public static void SetStartup(VirtualProcessor* vp, byte vector) => State(vp)->Rip = (ulong)vector << 12;
}
