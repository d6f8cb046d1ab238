// String literals: ILC freezes them into .rdata. Text inside the images is UTF-8 spans; strings exist for names and attributes.
using System.Runtime.CompilerServices;

namespace System;

public sealed class String
{
    // The layout that ILC's frozen literals have: length, then UTF-16 units.
    private readonly int length;
    private char firstChar;

    [Intrinsic]
    public int Length => length;

    public unsafe char this[int index]
    {
        [Intrinsic]
        get
        {
            if ((uint)index >= (uint)length)
                Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowIndexOutOfRangeException();
            return Unsafe.Add(ref firstChar, index);
        }
    }
}
