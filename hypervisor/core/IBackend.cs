// The vendor line: all that the core asks of VMX or SVM. Above it nobody knows which of the two runs.
using Lamina.Abi;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// A backend: static members only, so that code generic over it is compiled per vendor without dispatch. It owns the virtual
/// processor's hardware state (<see cref="VirtualProcessor.BackendState"/>), the second-stage tables' format and the world switch.
/// The world switch saves general registers in <see cref="VirtualProcessor"/>; everything else of the guest is read and written here.
/// </summary>
public unsafe interface IBackend
{
    /// <summary>Checks each feature that the backend cannot do without; one "require" line each. False when one is missing.</summary>
    static abstract bool Preflight();

    /// <summary>What all processors share; once, on the first.</summary>
    static abstract void InitializeMachine();

    /// <summary>Switches this logical processor into the mode in which guests can be entered. Interrupts are closed from here on.</summary>
    static abstract void InitializeProcessor(LogicalProcessor* processor);

    /// <summary>How many pages of the account a virtual processor's hardware state takes.</summary>
    static abstract uint PagesPerVp { get; }

    /// <summary>Gives a new virtual processor its hardware state, reset as the architecture says. Pages come from the partition's account.</summary>
    static abstract HvStatus InitializeVp(VirtualProcessor* vp);

    /// <summary>Takes the hardware state back from the processor, which may hold parts of it, and returns its pages to the account.</summary>
    static abstract void DestroyVp(VirtualProcessor* vp);

    /// <summary>
    /// Enters <paramref name="first"/> and from then on whatever the scheduler says; with null it begins with <see cref="Scheduler{TBackend}.Park"/>.
    /// Does not return.
    /// </summary>
    static abstract void Run(VirtualProcessor* first);

    /// <summary>Lets pending physical interrupts in, once, and closes again.</summary>
    static abstract void OpenInterruptWindow();

    /// <summary>Halts the logical processor until a physical interrupt has been handled.</summary>
    static abstract void Idle();

    // Second-stage translation
    static abstract HvStatus InitializeSecondStage(Partition* partition);
    static abstract PageTableResult MapGpa(Partition* partition, ulong gpa, ulong physical, ulong pageCount, PagePermissions permissions, PageSize largest);
    static abstract PageTableResult UnmapGpa(Partition* partition, ulong gpa, ulong pageCount);
    static abstract bool TryTranslateGpa(Partition* partition, ulong gpa, out ulong physical, out PagePermissions permissions);
    /// <summary>The same, with the size of the page that maps the address.</summary>
    static abstract bool TryTranslateGpa(Partition* partition, ulong gpa, out ulong physical, out PagePermissions permissions, out PageSize size);
    static abstract void DestroySecondStage(Partition* partition);

    // Guest state
    static abstract ulong GetRip(VirtualProcessor* vp);
    /// <summary>Continues there, behind an instruction that the core carried out: the interrupt shadow ends, a single-step trap is due.</summary>
    static abstract void SetRip(VirtualProcessor* vp, ulong value);
    /// <summary>RIP as the parent sets it, which has carried out the instruction there: the interrupt shadow ends. Traps are its own affair.</summary>
    static abstract void ContinueAt(VirtualProcessor* vp, ulong rip);
    static abstract ulong GetRflags(VirtualProcessor* vp);
    static abstract ulong GetCr0(VirtualProcessor* vp);
    static abstract ulong GetCr3(VirtualProcessor* vp);
    static abstract ulong GetCr4(VirtualProcessor* vp);
    static abstract ulong GetEfer(VirtualProcessor* vp);
    static abstract byte GetCpl(VirtualProcessor* vp);
    /// <summary>Whether the guest executes 64-bit code: long mode active and CS.L set.</summary>
    static abstract bool Is64Bit(VirtualProcessor* vp);
    /// <summary>What decides which bytes the guest executes.</summary>
    static abstract void GetFetchState(VirtualProcessor* vp, FetchState* state);
    static abstract ulong GetRsp(VirtualProcessor* vp);

    /// <summary>CS alone, as <see cref="GetRegister"/> gives it: every intercept message has it.</summary>
    static abstract void GetCodeSegment(VirtualProcessor* vp, HvX64SegmentRegister* value);

    /// <summary>Any register by its TLFS name that is not the core's own (SynIC, APIC, suspend …); HV_STATUS_INVALID_PARAMETER for unknown names.</summary>
    static abstract HvStatus GetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value);

    /// <summary>The opposite; values that the processor would refuse at entry are refused here, so that an entry cannot fail by them.</summary>
    /// A new RIP is <see cref="ContinueAt"/>.
    static abstract HvStatus SetRegister(VirtualProcessor* vp, uint name, HvRegisterValue* value);

    /// <summary>RIP goes behind the instruction that exited; the interrupt shadow ends.</summary>
    static abstract void CompleteInstruction(VirtualProcessor* vp);

    /// <summary>Length in bytes of the instruction that exited: the processor's word, else decoded from guest memory; 0 when it cannot be had.</summary>
    static abstract byte GetInstructionLength(VirtualProcessor* vp);

    // Events
    /// <summary>Takes over a change of <see cref="Partition.ExceptionIntercepts"/>.</summary>
    static abstract void UpdateExceptionIntercepts(VirtualProcessor* vp);

    static abstract void InjectException(VirtualProcessor* vp, byte vector, bool hasErrorCode, uint errorCode);

    /// <summary>Whether an event waits to be injected at the next entry (an exception, an NMI, or one whose delivery was cut off).</summary>
    static abstract bool HasPendingInjection(VirtualProcessor* vp);

    /// <summary>Injects an NMI, or sees to it that the guest exits as soon as one may come, with <see cref="EntryWork.Nmi"/> set then.</summary>
    static abstract bool TryInjectNmi(VirtualProcessor* vp);

    /// <summary>Offers a vector to the guest: the processor delivers it as soon as IF and the task priority allow. 0 withdraws the offer.</summary>
    /// With <paramref name="notify"/> the processor exits instead, just before it would deliver.
    /// False when the processor cannot watch over it itself: the backend then sees to it that what could change that exits.
    static abstract bool OfferInterrupt(VirtualProcessor* vp, byte vector, bool notify);

    /// <summary>Injects a vector at the next entry; the guest must be interruptible and nothing else waiting for injection.</summary>
    static abstract void InjectInterrupt(VirtualProcessor* vp, byte vector);

    /// <summary>Whether the guest has taken the vector offered since the offer was made.</summary>
    static abstract bool IsOfferTaken(VirtualProcessor* vp);

    /// <summary>Whether the guest would take an interrupt of this vector now, but for its HLT: IF set and vector above the task priority.</summary>
    static abstract bool IsInterruptible(VirtualProcessor* vp, byte vector);

    /// <summary>
    /// Whether the processor itself takes requests out of the virtual APIC's registers for this virtual processor, and ends them there. Then nothing is
    /// offered, and the APIC's cached state has been brought up to date with its registers.
    /// </summary>
    static abstract bool TryRefreshApic(VirtualProcessor* vp);

    /// <summary>
    /// Before an entry, when interrupts have changed or the APIC's mode has: lets the processor deliver by itself from here on where it can. False: what
    /// follows is offered vector by vector.
    /// </summary>
    static abstract bool TryDelegateInterrupts(VirtualProcessor* vp);

    /// <summary>Whether guests had better leave automatic EOI alone, since the processor delivers by itself where they do.</summary>
    static abstract bool PrefersExplicitEoi { get; }

    /// <summary>Bits 7:4 are the priority class, as in the TPR.</summary>
    static abstract byte GetTaskPriority(VirtualProcessor* vp);
    static abstract void SetTaskPriority(VirtualProcessor* vp, byte value);
    static abstract void SetTscOffset(VirtualProcessor* vp, ulong offset);

    /// <summary>Before another virtual processor is entered here: takes over what the world switch itself does not exchange (debug registers, TSC_AUX).</summary>
    static abstract void Leave(VirtualProcessor* vp);
    static abstract void Enter(VirtualProcessor* vp);

    /// <summary>A virtual processor, after <see cref="Leave"/>, is another processor's from now on: nothing of it stays in this one.</summary>
    static abstract void Depart(VirtualProcessor* vp);
    /// <summary>A virtual processor came from another processor, and will run on this one.</summary>
    static abstract void Arrive(VirtualProcessor* vp);

    /// <summary>Back to the state after INIT, or after a start-up IPI with the given vector.</summary>
    static abstract void ResetVp(VirtualProcessor* vp);
    static abstract void SetStartup(VirtualProcessor* vp, byte vector);

    /// <summary>How a guest calls the hypervisor on this vendor's processors: bytes of the instruction in the hypercall page.</summary>
    static abstract System.ReadOnlySpan<byte> HypercallInstruction { get; }
}
