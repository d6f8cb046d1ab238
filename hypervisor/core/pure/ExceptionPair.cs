// What an exception becomes that is raised while another one is being delivered. SDM 3A, "Interrupt 8—Double Fault Exception (#DF)".

namespace Lamina.Hypervisor.Core;

/// <summary>How two exceptions go together.</summary>
public enum ExceptionPair : byte
{
    /// <summary>The second is delivered; the first comes again when its instruction does.</summary>
    Serial,
    DoubleFault,
    /// <summary>A third one: the processor gives up.</summary>
    Shutdown,
}

public static class ExceptionPairs
{
    private const byte DoubleFault = 8, PageFault = 14;

    public static ExceptionPair Of(byte first, byte second)
    {
        bool secondIsGrave = IsContributory(second) || second == PageFault;
        if (first == DoubleFault)
            return secondIsGrave ? ExceptionPair.Shutdown : ExceptionPair.Serial;
        return IsContributory(first) && IsContributory(second) || first == PageFault && secondIsGrave ? ExceptionPair.DoubleFault : ExceptionPair.Serial;
    }

    /// <summary>#DE, #TS, #NP, #SS, #GP.</summary>
    private static bool IsContributory(byte vector) => vector is 0 or >= 10 and <= 13;
}
