// What ILC looks up by name in its system module: runtime structures, throw helpers, casts and bulk memory.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Internal.Runtime
{
    /// <summary>The head of ILC's type descriptor: all that an allocator needs of it.</summary>
    public struct MethodTable
    {
        internal ushort ComponentSize;
        private ushort flags;
        internal uint BaseSize;
        public uint InstanceSize => BaseSize;
        public ushort ElementSize => ComponentSize;
    }
}

namespace Internal.Runtime.CompilerHelpers
{
    /// <summary>A violated check (bounds, overflow, division) ends the image through its own panic, by symbol so that each image brings one.</summary>
    public static class ThrowHelpers
    {
        [RuntimeImport("*", "lamina_fail_fast"), MethodImpl(MethodImplOptions.InternalCall)]
        private static extern void FailFast(ulong reason);

        public static void ThrowIndexOutOfRangeException() => Stop(1);
        public static void ThrowOverflowException() => Stop(2);
        public static void ThrowDivideByZeroException() => Stop(3);
        public static void ThrowNullReferenceException() => Stop(4);
        public static void ThrowPlatformNotSupportedException() => Stop(5);
        public static void ThrowFeatureBodyRemoved() => Stop(6);
        public static void ThrowInvalidProgramException(int id) => Stop(7);
        public static void ThrowInvalidProgramExceptionWithArgument(int id, string argument) => Stop(7);
        public static void ThrowTypeLoadException(int id, string typeName, string moduleName) => Stop(8);
        public static void ThrowArgumentOutOfRangeException() => Stop(1);
        public static void ThrowArgumentException() => Stop(9);
        public static void ThrowNotImplementedException() => Stop(10);
        public static void ThrowNotSupportedException() => Stop(11);

        private static void Stop(ulong reason)
        {
            FailFast(reason);
            while (true) { }
        }
    }

    internal static class LdTokenHelpers
    {
        private static RuntimeTypeHandle GetRuntimeTypeHandle(nint type) => default;
        private static RuntimeMethodHandle GetRuntimeMethodHandle(nint method) => default;
        private static RuntimeFieldHandle GetRuntimeFieldHandle(nint field) => default;
    }
}

namespace System
{
    /// <summary>Bulk memory for struct copies and spans; the bodies are NASM string instructions (memory.asm).</summary>
    public static unsafe class SpanHelpers
    {
        [RuntimeImport("*", "lamina_memmove"), MethodImpl(MethodImplOptions.InternalCall)]
        private static extern void CopyBytes(void* destination, void* source, nuint length);
        [RuntimeImport("*", "lamina_memset"), MethodImpl(MethodImplOptions.InternalCall)]
        private static extern void FillBytes(void* destination, byte value, nuint length);

        [Intrinsic] public static void Memmove(ref byte destination, ref byte source, nuint length) => CopyBytes(Unsafe.AsPointer(ref destination), Unsafe.AsPointer(ref source), length);
        [Intrinsic] public static void ClearWithoutReferences(ref byte destination, nuint length) => FillBytes(Unsafe.AsPointer(ref destination), 0, length);
        [Intrinsic] public static void Fill(ref byte destination, byte value, nuint length) => FillBytes(Unsafe.AsPointer(ref destination), value, length);

        /// <summary>Copies bytes; the ranges may overlap.</summary>
        public static void Copy(void* destination, void* source, ulong length) => CopyBytes(destination, source, (nuint)length);
        /// <summary>Writes zeros.</summary>
        public static void Zero(void* destination, ulong length) => FillBytes(destination, 0, (nuint)length);
    }

    internal static class Buffer
    {
        private static void BulkMoveWithWriteBarrier(ref byte destination, ref byte source, nuint length) => SpanHelpers.Memmove(ref destination, ref source, length);
    }
}

namespace System.Runtime
{
    /// <summary>Casts are not used: every entry ends the image, so that a cast that slipped in is found at once.</summary>
    internal static class TypeCast
    {
        [RuntimeExport("RhTypeCast_CheckCastAny")] private static object CheckCastAny(nint type, object value) => Refuse(value);
        [RuntimeExport("RhTypeCast_CheckCastInterface")] private static object CheckCastInterface(nint type, object value) => Refuse(value);
        [RuntimeExport("RhTypeCast_CheckCastClass")] private static object CheckCastClass(nint type, object value) => Refuse(value);
        [RuntimeExport("RhTypeCast_CheckCastClassSpecial")] private static object CheckCastClassSpecial(nint type, object value) => Refuse(value);
        [RuntimeExport("RhTypeCast_IsInstanceOfAny")] private static object IsInstanceOfAny(nint type, object value) => Refuse(value);
        [RuntimeExport("RhTypeCast_IsInstanceOfInterface")] private static object IsInstanceOfInterface(nint type, object value) => Refuse(value);
        [RuntimeExport("RhTypeCast_IsInstanceOfClass")] private static object IsInstanceOfClass(nint type, object value) => Refuse(value);
        [RuntimeExport("RhTypeCast_IsInstanceOfException")] private static bool IsInstanceOfException(nint type, object value) { Refuse(value); return false; }
        private static void StelemRef(object[] array, nint index, object value) => Refuse(value);

        private static object Refuse(object value)
        {
            Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowNotSupportedException();
            return value;
        }
    }

    internal static class RuntimeExports
    {
        private static object RhBox(nint type, ref byte data) { Internal.Runtime.CompilerHelpers.ThrowHelpers.ThrowNotSupportedException(); return null; }
    }
}
