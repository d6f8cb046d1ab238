// Whether a hypercall is well formed: everything that follows from the input value, the descriptor and two addresses. TLFS, "Hypercall Inputs".
using Lamina.Abi;

namespace Lamina.Hypervisor.Hypercalls;

public static class HypercallRules
{
    /// <summary>Largest fixed and variable header together that any call may have.</summary>
    public const uint MaximumHeaderBytes = 576;

    /// <summary>Input that fits into the two parameter registers of a fast call.</summary>
    public const uint FastBytes = 16;

    private const uint PageBytes = 4096;

    /// <summary>
    /// HV_STATUS_INVALID_HYPERCALL_INPUT for an input value that this call cannot have, HV_STATUS_INVALID_ALIGNMENT for
    /// parameter blocks that are misaligned or cross a page. Addresses are looked at only where there is such a block.
    /// </summary>
    public static HvStatus Check(HypercallInput input, in HypercallDescriptor call, ulong inputGpa, ulong outputGpa, out HypercallShape shape)
    {
        shape = default;
        uint variable = input.VariableHeaderSize * 8;
        if (input.HasReservedBits || input.IsNested || variable != 0 && !call.AllowsVariableHeader || call.Input + variable > MaximumHeaderBytes)
            return HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT;
        bool repsAreSound = call.IsRep ? input.RepStartIndex < input.RepCount : (input.RepCount | input.RepStartIndex) == 0;
        if (!repsAreSound)
            return HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT;

        shape.HeaderBytes = call.Input + variable;
        shape.InputBytes = shape.HeaderBytes + input.RepCount * call.InputElement;
        shape.OutputBytes = call.Output + input.RepCount * call.OutputElement;
        if (input.IsFast)
            return shape.InputBytes <= FastBytes && shape.OutputBytes == 0 ? HvStatus.HV_STATUS_SUCCESS : HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT;
        bool placed = (shape.InputBytes == 0 || IsPlaceable(inputGpa, shape.InputBytes)) && (shape.OutputBytes == 0 || IsPlaceable(outputGpa, shape.OutputBytes));
        return placed ? HvStatus.HV_STATUS_SUCCESS : HvStatus.HV_STATUS_INVALID_ALIGNMENT;
    }

    // A block lies in one page: so one translation covers it, and nothing is ever half done.
    private static bool IsPlaceable(ulong gpa, uint bytes) => (gpa & 7) == 0 && (gpa & (PageBytes - 1)) + bytes <= PageBytes;
}
