// The pieces of machine code that checks run, by name.
namespace Lamina.Guest;

/// <summary>In the order of guest_code_table (code.asm); those that start with After or end with At are addresses in others.</summary>
public enum Code
{
    Nop, RdMsr, WrMsr, Cpuid, VmmCall, VmCall, VmRun, VmLoad, VmSave, Stgi, Clgi, SkInit, InvlpgA, Monitor, Mwait, VmxOn, XSetBv, XGetBv,
    In8, In16, In32, Out8, Out16, Out32, InImmediate, OutImmediate, RepInsb, RepOutsb, RepInsd, RepOutsd, Insw, Outsw,
    Load32, Store32, StoreImmediate, LoadByte, LoadWord, Load64, LoadLow8, Exchange, And, Compare, Test, OrNothing, Lodsd, RepMovsd, PushMemory, LoadIndexed,
    Divide, Undefined, Breakpoint, StepOverCpuid, StepOverPort, DoubleFault, UserVmmCall, UserHlt,
    UserPort, UserRdMsr, UserCpuid, StepOverLoad, StiLoad, WbInvd, RdTscP,
    StiShadow, StiCpuid, StiHlt, HltOpen, Spin,
    AfterStepCpuid, AfterStepPort, AfterStiCpuid, AfterStepLoad, AfterStiLoad, UserVmmCallAt, Cpuid32,
}
