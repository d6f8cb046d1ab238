// Attributes and helpers of System.Runtime.* that the C# compiler or ILC demand by name.
using System.Runtime.InteropServices;

namespace System.Runtime
{
    /// <summary>Calls a symbol of this link by its plain name: a bare near call, no P/Invoke frame.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class RuntimeImportAttribute : Attribute
    {
        public string DllName { get; }
        public string EntryPoint { get; }
        public RuntimeImportAttribute(string entry) { EntryPoint = entry; }
        public RuntimeImportAttribute(string dllName, string entry) { DllName = dllName; EntryPoint = entry; }
    }

    /// <summary>Gives a static method a plain symbol name, for NASM and for the compiler's own helper calls.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class RuntimeExportAttribute : Attribute
    {
        public string EntryPoint;
        public RuntimeExportAttribute(string entry) { EntryPoint = entry; }
    }
}

namespace System.Runtime.CompilerServices
{
    /// <summary>ILC or the JIT replaces the body of what carries this where it can.</summary>
    [AttributeUsage(AttributeTargets.All)] public sealed class IntrinsicAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Class)] internal sealed class EagerStaticClassConstructionAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class CompilerGeneratedAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class IsReadOnlyAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class IsByRefLikeAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class IsUnmanagedAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class ScopedRefAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class RefSafetyRulesAttribute : Attribute { public RefSafetyRulesAttribute(int version) { } }
    [AttributeUsage(AttributeTargets.All)] public sealed class RequiresLocationAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class ExtensionAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class ExtensionMarkerAttribute : Attribute { public ExtensionMarkerAttribute(string name) { } }
    [AttributeUsage(AttributeTargets.All)] public sealed class FixedBufferAttribute : Attribute { public FixedBufferAttribute(Type elementType, int length) { } }
    [AttributeUsage(AttributeTargets.Struct)] public sealed class UnsafeValueTypeAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Struct)] public sealed class InlineArrayAttribute : Attribute { public InlineArrayAttribute(int length) { Length = length; } public int Length { get; } }
    [AttributeUsage(AttributeTargets.All)] public sealed class SkipLocalsInitAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class DecimalConstantAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class NullableAttribute : Attribute { public NullableAttribute(byte flag) { } public NullableAttribute(byte[] flags) { } }
    [AttributeUsage(AttributeTargets.All)] public sealed class NullableContextAttribute : Attribute { public NullableContextAttribute(byte flag) { } }
    [AttributeUsage(AttributeTargets.Module)] public sealed class DisableRuntimeMarshallingAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class InternalsVisibleToAttribute : Attribute { public InternalsVisibleToAttribute(string assemblyName) { } }
    [AttributeUsage(AttributeTargets.All)] public sealed class RequiredMemberAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class SetsRequiredMembersAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class CompilerFeatureRequiredAttribute : Attribute { public CompilerFeatureRequiredAttribute(string featureName) { } }
    [AttributeUsage(AttributeTargets.Assembly)] public sealed class CompilationRelaxationsAttribute : Attribute { public CompilationRelaxationsAttribute(int relaxations) { } }
    [AttributeUsage(AttributeTargets.Assembly)] public sealed class RuntimeCompatibilityAttribute : Attribute { public bool WrapNonExceptionThrows { get; set; } }
    [AttributeUsage(AttributeTargets.Parameter)] public sealed class CallerLineNumberAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Parameter)] public sealed class CallerFilePathAttribute : Attribute { }

    public sealed class IsVolatile { }
    public sealed class IsExternalInit { }
    public static class IsUnmanaged { }
    public sealed class CallConvCdecl { }
    public sealed class CallConvStdcall { }
    public class RawArrayData { public uint Length; public uint Padding; public byte Data; }

    public enum MethodImplOptions { Unmanaged = 4, NoInlining = 8, ForwardRef = 16, Synchronized = 32, NoOptimization = 64, PreserveSig = 128, AggressiveInlining = 256, AggressiveOptimization = 512, InternalCall = 4096 }

    [AttributeUsage(AttributeTargets.Method | AttributeTargets.Constructor)]
    public sealed class MethodImplAttribute : Attribute
    {
        public MethodImplAttribute(MethodImplOptions options) { }
    }

    /// <summary>What this compiler and corelib support; the C# compiler asks before it accepts the feature.</summary>
    public static class RuntimeFeature
    {
        public const string PortablePdb = nameof(PortablePdb);
        public const string UnmanagedSignatureCallingConvention = nameof(UnmanagedSignatureCallingConvention);
        public const string ByRefFields = nameof(ByRefFields);
        public const string ByRefLikeGenerics = nameof(ByRefLikeGenerics);
        public const string VirtualStaticsInInterfaces = nameof(VirtualStaticsInInterfaces);
        public const string DefaultImplementationsOfInterfaces = nameof(DefaultImplementationsOfInterfaces);
        public const string NumericIntPtr = nameof(NumericIntPtr);
    }

    public static class RuntimeHelpers
    {
        // The bodies never run: the JIT expands both from the token at the call.
        [Intrinsic] public static ReadOnlySpan<T> CreateSpan<T>(RuntimeFieldHandle field) { Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowFeatureBodyRemoved(); return default; }
        [Intrinsic] public static void InitializeArray(Array array, RuntimeFieldHandle field) => Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowFeatureBodyRemoved();
        public static int OffsetToStringData => sizeof(long) + sizeof(int);
        [Intrinsic] public static bool IsReferenceOrContainsReferences<T>() => true;
    }

    /// <summary>Reinterpretation without checks; ILC supplies the bodies by name.</summary>
    public static unsafe class Unsafe
    {
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static ref T Add<T>(ref T source, int elementOffset) => ref AddByteOffset(ref source, (nint)elementOffset * sizeof(T));
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static ref T AddByteOffset<T>(ref T source, nint byteOffset) => ref AddByteOffset(ref source, byteOffset);
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static ref T AsRef<T>(void* source) => ref *(T*)source;
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static ref T AsRef<T>(scoped ref readonly T source) => ref AsRef(in source);
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static ref TTo As<TFrom, TTo>(ref TFrom source) => ref As<TFrom, TTo>(ref source);
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static T As<T>(object value) where T : class => As<T>(value);
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static void* AsPointer<T>(ref readonly T value) => AsPointer(in value);
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static bool IsAddressLessThan<T>(ref readonly T left, ref readonly T right) => AsPointer(in left) < AsPointer(in right);
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static int SizeOf<T>() => sizeof(T);
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static T ReadUnaligned<T>(void* source) => *(T*)source;
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static void WriteUnaligned<T>(void* destination, T value) => *(T*)destination = value;
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)] public static void SkipInit<T>(out T value) { SkipInit(out value); }
    }
}

namespace System.Diagnostics
{
    [AttributeUsage(AttributeTargets.Method | AttributeTargets.Class, AllowMultiple = true)]
    public sealed class ConditionalAttribute : Attribute { public ConditionalAttribute(string conditionString) { } }
}

namespace System.Diagnostics.CodeAnalysis
{
    [AttributeUsage(AttributeTargets.All)] public sealed class UnscopedRefAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.All)] public sealed class DoesNotReturnAttribute : Attribute { }
}

namespace System.Reflection
{
    [AttributeUsage(AttributeTargets.All)] public sealed class DefaultMemberAttribute : Attribute { public DefaultMemberAttribute(string memberName) { } }
}

namespace System.Runtime.Versioning
{
    [AttributeUsage(AttributeTargets.Assembly)] public sealed class TargetFrameworkAttribute : Attribute { public TargetFrameworkAttribute(string name) { } public string FrameworkDisplayName { get; set; } }
}

namespace System.Runtime.InteropServices
{
    public enum LayoutKind { Sequential = 0, Explicit = 2, Auto = 3 }
    public enum CharSet { None = 1, Ansi = 2, Unicode = 3, Auto = 4 }
    public enum CallingConvention { Winapi = 1, Cdecl = 2, StdCall = 3 }
    public enum UnmanagedType { Bool = 2, U1 = 4 }

    [AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct)]
    public sealed class StructLayoutAttribute : Attribute
    {
        public StructLayoutAttribute(LayoutKind layoutKind) { Value = layoutKind; }
        public LayoutKind Value { get; }
        public int Pack;
        public int Size;
        public CharSet CharSet;
    }

    [AttributeUsage(AttributeTargets.Field)] public sealed class FieldOffsetAttribute : Attribute { public FieldOffsetAttribute(int offset) { Value = offset; } public int Value { get; } }
    [AttributeUsage(AttributeTargets.Parameter)] public sealed class InAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Parameter)] public sealed class OutAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Method)] public sealed class UnmanagedCallersOnlyAttribute : Attribute { public string EntryPoint; public Type[] CallConvs; }

    /// <summary>ILC demands the type and its one method when interfaces are cast; nothing here casts so.</summary>
    public interface IDynamicInterfaceCastable { RuntimeTypeHandle GetInterfaceImplementation(RuntimeTypeHandle interfaceType); bool IsInterfaceImplemented(RuntimeTypeHandle interfaceType, bool throwIfNotImplemented); internal static nint GetDynamicInterfaceImplementation(IDynamicInterfaceCastable instance, nint type, ushort slot) => 0; }

    public static unsafe class MemoryMarshal
    {
        [System.Runtime.CompilerServices.Intrinsic]
        public static ref T GetArrayDataReference<T>(T[] array) =>
            ref System.Runtime.CompilerServices.Unsafe.As<byte, T>(ref System.Runtime.CompilerServices.Unsafe.As<System.Runtime.CompilerServices.RawArrayData>(array).Data);
        public static Span<T> CreateSpan<T>(scoped ref T reference, int length) => new(System.Runtime.CompilerServices.Unsafe.AsPointer(ref reference), length);
        public static ref T GetReference<T>(Span<T> span) => ref span._reference;
        public static ref T GetReference<T>(ReadOnlySpan<T> span) => ref span._reference;
    }
}
