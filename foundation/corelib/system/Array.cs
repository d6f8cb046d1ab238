// Arrays: the header that ILC and the JIT expect (length word, padded to eight), then the elements.
namespace System;

public abstract class Array
{
    internal int _numComponents;
#pragma warning disable CS0169, CS0414 // padding of the header on 64-bit targets
    private readonly int _padding;
#pragma warning restore
    public int Length => _numComponents;
}

/// <summary>The generic view of <c>T[]</c>; ILC asks for it by name.</summary>
public class Array<T> : Array { }
