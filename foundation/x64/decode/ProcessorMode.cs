// The modes that change how instruction bytes are read.
namespace Lamina.X64.Decode;

/// <summary>Default operand and address size of the code segment: CS.D, CS.L and whether protection is on.</summary>
public enum ProcessorMode : byte
{
    Real16,
    Protected16,
    Protected32,
    Long64,
}

/// <summary>Segment registers by the numbers that instructions use.</summary>
public enum SegmentRegister : byte
{
    ES = 0,
    CS = 1,
    SS = 2,
    DS = 3,
    FS = 4,
    GS = 5,
}
