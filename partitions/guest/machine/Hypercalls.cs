// Hypercalls by way of the hypercall page. TLFS, "Hypercall Interface".
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>Calls by way of the hypercall page.</summary>
public static unsafe class Hypercalls
{
    private const ulong GuestIdentity = 0x8100_0000_0000_0000; // open source, not Linux

    public static void Enable()
    {
        Instructions.WrMsr(HvMsr.HV_X64_MSR_GUEST_OS_ID, GuestIdentity);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_HYPERCALL, GuestPages.Hypercall | 1);
    }

    public static bool IsEnabled => new HypercallMsr(Instructions.RdMsr(HvMsr.HV_X64_MSR_HYPERCALL)).Enable;

    /// <summary>The registers after the call.</summary>
    public static RunState Run(ulong control, ulong input, ulong output)
    {
        RunState state = new() { Rcx = control, Rdx = input, R8 = output };
        state.RunAt(GuestPages.Hypercall);
        return state;
    }

    /// <summary>The status; 0xFFFF when an exception came.</summary>
    public static ushort Call(ulong control, ulong input, ulong output)
    {
        RunState state = Run(control, input, output);
        return state.Returned ? (ushort)state.Rax : (ushort)0xFFFF;
    }

    /// <summary>Parameters in the page for input, eight words of them.</summary>
    public static ushort CallWith(ushort code, ulong first, ulong second = 0, ulong third = 0)
    {
        ulong* input = (ulong*)GuestPages.Input;
        for (int i = 0; i < 32; i++) input[i] = 0;
        input[0] = first;
        input[1] = second;
        input[2] = third;
        return Call(code, GuestPages.Input, GuestPages.Output);
    }

    public static ushort CallFast(ushort code, ulong p1, ulong p2) => Call(new HypercallInput(code).WithFast(true).Value, p1, p2);
}
