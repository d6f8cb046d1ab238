// Segments that a parent gives a guest, brought into the form that an entry accepts. SDM 3C, "Checks on Guest Segment Registers".

namespace Lamina.Hypervisor.Vmx;

/// <summary>Linear addresses of 48 bits.</summary>
public static class Canonical
{
    public static bool Is(ulong address) => (ulong)((long)(address << 16) >> 16) == address;
}

public static class SegmentRules
{
    /// <summary>
    /// Sets what loading the register would have set (accessed, busy, granularity). False for what no register can hold, whatever the guest's
    /// mode; what depends on the mode, or on other registers, the entry finds.
    /// </summary>
    public static bool TryMakeEnterable(int segment, ulong segmentBase, uint limit, SegmentAccessRights given, out SegmentAccessRights result)
    {
        bool isTask = segment == SegmentIndex.Tr, isSystem = isTask || segment == SegmentIndex.Ldtr;
        result = given.AsLoaded(isTask);
        if (!result.TryWithLimit(limit, out result))
            return false;
        bool hasWideBase = isSystem || segment is SegmentIndex.Fs or SegmentIndex.Gs;
        if (hasWideBase ? !Canonical.Is(segmentBase) : segmentBase >> 32 != 0)
            return false;
        // A processor always has code to run and a task to be in.
        if (result.Unusable)
            return segment is not (SegmentIndex.Cs or SegmentIndex.Tr);
        if (isSystem)
            return !result.NonSystem && (isTask ? result.Type is 3 or 11 : result.Type == 2);
        if (!result.NonSystem)
            return false;
        // In 64-bit code the default operand size is not 32 bits at once.
        if (segment == SegmentIndex.Cs)
            return (result.Type == 3 || result.Type >= 8) && !(result.Long && result.DefaultBig);
        return segment == SegmentIndex.Ss ? result.Type is 3 or 7 : result.Type < 8 || (result.Type & 2) != 0;
    }
}
