// What the interface says of one hypercall before anyone looks at its parameters.
using Lamina.Abi;

namespace Lamina.Hypervisor.Hypercalls;

/// <summary>Shape and privilege of a hypercall. Sizes in bytes; multiples of 8 but for elements, so that a block's parts stay aligned.</summary>
public readonly struct HypercallDescriptor
{
    /// <summary>What the caller's partition must hold.</summary>
    public readonly PartitionPrivileges Privilege;
    /// <summary>Fixed input header.</summary>
    public readonly ushort Input;
    /// <summary>Output of a simple call.</summary>
    public readonly ushort Output;
    /// <summary>Input of one rep.</summary>
    public readonly ushort InputElement;
    /// <summary>Output of one rep.</summary>
    public readonly ushort OutputElement;
    public readonly bool IsRep;
    public readonly bool AllowsVariableHeader;

    private HypercallDescriptor(PartitionPrivileges privilege, int input, int output, int inputElement, int outputElement, bool isRep, bool variable)
    {
        Privilege = privilege;
        Input = (ushort)input;
        Output = (ushort)output;
        InputElement = (ushort)inputElement;
        OutputElement = (ushort)outputElement;
        IsRep = isRep;
        AllowsVariableHeader = variable;
    }

    /// <summary>A simple call.</summary>
    public static HypercallDescriptor Simple(PartitionPrivileges privilege, int input, int output = 0, bool variable = false) =>
        new(privilege, input, output, 0, 0, false, variable);

    /// <summary>A rep call.</summary>
    public static HypercallDescriptor Rep(PartitionPrivileges privilege, int input, int inputElement, int outputElement = 0, bool variable = false) =>
        new(privilege, input, 0, inputElement, outputElement, true, variable);
}

/// <summary>Sizes of one call's blocks, once its input value is known to be sound.</summary>
public struct HypercallShape
{
    /// <summary>Fixed and variable header.</summary>
    public uint HeaderBytes;
    /// <summary>Headers and all elements.</summary>
    public uint InputBytes;
    public uint OutputBytes;
}
