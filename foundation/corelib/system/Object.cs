// The root of every type, and the types that the C# compiler looks up by name before it accepts any source at all.
using Internal.Runtime;
using System.Runtime.CompilerServices;

namespace System;

/// <summary>Base of all reference types. One word: the method table that ILC emits for the type.</summary>
public unsafe class Object
{
    // ILC addresses this field by its place (first), so nothing may come before it.
    internal MethodTable* m_pEEType;

    public Object() { }
    public virtual bool Equals(object other) => this == other;
    public virtual int GetHashCode() => 0;
    public virtual string ToString() => null;
}

public abstract class ValueType { }
public abstract class Enum : ValueType { }
public abstract class Delegate { }
public abstract class MulticastDelegate : Delegate { }
public class Exception { }

public struct Void { }
public struct RuntimeTypeHandle { }
public struct RuntimeMethodHandle { }
public struct RuntimeFieldHandle { }
public abstract class Type { public static Type GetTypeFromHandle(RuntimeTypeHandle handle) => null; }

/// <summary>ILC names this class in its dependency graph when strings are compared by type.</summary>
internal sealed class RuntimeType : Type { }

/// <summary>A value that may be absent.</summary>
public readonly struct Nullable<T> where T : struct
{
    private readonly bool hasValue;
    private readonly T value;
    public Nullable(T value) { this.value = value; hasValue = true; }
    public bool HasValue => hasValue;
    public T Value => value;
    public T GetValueOrDefault() => value;
    public static implicit operator Nullable<T>(T value) => new Nullable<T>(value);
}

public interface IDisposable { void Dispose(); }
public interface IEquatable<T> { bool Equals(T other); }
public interface IComparable<T> { int CompareTo(T other); }

public abstract class Attribute { }

[Flags]
public enum AttributeTargets
{
    Assembly = 0x0001, Module = 0x0002, Class = 0x0004, Struct = 0x0008, Enum = 0x0010, Constructor = 0x0020, Method = 0x0040,
    Property = 0x0080, Field = 0x0100, Event = 0x0200, Interface = 0x0400, Parameter = 0x0800, Delegate = 0x1000,
    ReturnValue = 0x2000, GenericParameter = 0x4000, All = 0x7FFF,
}

[AttributeUsage(AttributeTargets.Class, Inherited = true)]
public sealed class AttributeUsageAttribute : Attribute
{
    public AttributeUsageAttribute(AttributeTargets validOn) { }
    public bool AllowMultiple { get; set; }
    public bool Inherited { get; set; }
}

[AttributeUsage(AttributeTargets.Enum)] public sealed class FlagsAttribute : Attribute { }
[AttributeUsage(AttributeTargets.Parameter)] public sealed class ParamArrayAttribute : Attribute { }
[AttributeUsage(AttributeTargets.All)]
public sealed class ObsoleteAttribute : Attribute { public ObsoleteAttribute() { } public ObsoleteAttribute(string message) { } public ObsoleteAttribute(string message, bool error) { } }
[AttributeUsage(AttributeTargets.Field)] public sealed class ThreadStaticAttribute : Attribute { }
[AttributeUsage(AttributeTargets.All)] public sealed class CLSCompliantAttribute : Attribute { public CLSCompliantAttribute(bool isCompliant) { } }
