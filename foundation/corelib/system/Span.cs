// Spans: a reference and a length, bounds-checked. A violated bound ends the image (fail fast), never continues.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Internal.Runtime.CompilerHelpers;

namespace System;

public readonly ref struct Span<T>
{
    internal readonly ref T _reference;
    private readonly int _length;

    public unsafe Span(void* pointer, int length)
    {
        if (length < 0) ThrowHelpers.ThrowIndexOutOfRangeException();
        _reference = ref Unsafe.AsRef<T>(pointer);
        _length = length;
    }

    public Span(ref T reference) { _reference = ref reference; _length = 1; }

    public Span(T[] array)
    {
        if (array == null) { this = default; return; }
        _reference = ref MemoryMarshal.GetArrayDataReference(array);
        _length = array.Length;
    }

    public Span(T[] array, int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)array.Length) ThrowHelpers.ThrowIndexOutOfRangeException();
        _reference = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(array), start);
        _length = length;
    }

    internal Span(ref T reference, int length) { _reference = ref reference; _length = length; }

    public int Length { [Intrinsic] get => _length; }
    public bool IsEmpty => _length == 0;
    public static Span<T> Empty => default;

    public ref T this[int index]
    {
        [Intrinsic]
        get
        {
            if ((uint)index >= (uint)_length) ThrowHelpers.ThrowIndexOutOfRangeException();
            return ref Unsafe.Add(ref _reference, index);
        }
    }

    public Span<T> Slice(int start)
    {
        if ((uint)start > (uint)_length) ThrowHelpers.ThrowIndexOutOfRangeException();
        return new Span<T>(ref Unsafe.Add(ref _reference, start), _length - start);
    }

    public Span<T> Slice(int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)_length) ThrowHelpers.ThrowIndexOutOfRangeException();
        return new Span<T>(ref Unsafe.Add(ref _reference, start), length);
    }

    public void Clear() => SpanHelpers.ClearWithoutReferences(ref Unsafe.As<T, byte>(ref _reference), (nuint)_length * (nuint)Unsafe.SizeOf<T>());
    public void Fill(T value) { for (int i = 0; i < _length; i++) Unsafe.Add(ref _reference, i) = value; }
    public void CopyTo(Span<T> destination) => ((ReadOnlySpan<T>)this).CopyTo(destination);
    public bool TryCopyTo(Span<T> destination) => ((ReadOnlySpan<T>)this).TryCopyTo(destination);

    public ref T GetPinnableReference() => ref _reference;
    public static implicit operator ReadOnlySpan<T>(Span<T> span) => new(ref span._reference, span._length);
    public static implicit operator Span<T>(T[] array) => new(array);

    public Enumerator GetEnumerator() => new(this);
    public ref struct Enumerator
    {
        private readonly Span<T> span;
        private int index;
        internal Enumerator(Span<T> span) { this.span = span; index = -1; }
        public bool MoveNext() => ++index < span._length;
        public ref T Current => ref Unsafe.Add(ref span._reference, index);
    }
}

public readonly ref struct ReadOnlySpan<T>
{
    internal readonly ref T _reference;
    private readonly int _length;

    public unsafe ReadOnlySpan(void* pointer, int length)
    {
        if (length < 0) ThrowHelpers.ThrowIndexOutOfRangeException();
        _reference = ref Unsafe.AsRef<T>(pointer);
        _length = length;
    }

    public ReadOnlySpan(ref readonly T reference) { _reference = ref Unsafe.AsRef(in reference); _length = 1; }

    public ReadOnlySpan(T[] array)
    {
        if (array == null) { this = default; return; }
        _reference = ref MemoryMarshal.GetArrayDataReference(array);
        _length = array.Length;
    }

    public ReadOnlySpan(T[] array, int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)array.Length) ThrowHelpers.ThrowIndexOutOfRangeException();
        _reference = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(array), start);
        _length = length;
    }

    internal ReadOnlySpan(ref T reference, int length) { _reference = ref reference; _length = length; }

    public int Length { [Intrinsic] get => _length; }
    public bool IsEmpty => _length == 0;
    public static ReadOnlySpan<T> Empty => default;

    public ref readonly T this[int index]
    {
        [Intrinsic]
        get
        {
            if ((uint)index >= (uint)_length) ThrowHelpers.ThrowIndexOutOfRangeException();
            return ref Unsafe.Add(ref _reference, index);
        }
    }

    public ReadOnlySpan<T> Slice(int start)
    {
        if ((uint)start > (uint)_length) ThrowHelpers.ThrowIndexOutOfRangeException();
        return new ReadOnlySpan<T>(ref Unsafe.Add(ref _reference, start), _length - start);
    }

    public ReadOnlySpan<T> Slice(int start, int length)
    {
        if ((ulong)(uint)start + (uint)length > (uint)_length) ThrowHelpers.ThrowIndexOutOfRangeException();
        return new ReadOnlySpan<T>(ref Unsafe.Add(ref _reference, start), length);
    }

    public bool TryCopyTo(Span<T> destination)
    {
        if ((uint)_length > (uint)destination.Length) return false;
        CopyTo(destination);
        return true;
    }

    public void CopyTo(Span<T> destination)
    {
        if ((uint)_length > (uint)destination.Length) ThrowHelpers.ThrowIndexOutOfRangeException();
        // Overlap is allowed, as in .NET. References too may be copied as bytes: nobody collects garbage.
        SpanHelpers.Memmove(ref Unsafe.As<T, byte>(ref destination._reference), ref Unsafe.As<T, byte>(ref _reference), (nuint)_length * (nuint)Unsafe.SizeOf<T>());
    }

    public ref readonly T GetPinnableReference() => ref _reference;
    public static implicit operator ReadOnlySpan<T>(T[] array) => new(array);

    public Enumerator GetEnumerator() => new(this);
    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<T> span;
        private int index;
        internal Enumerator(ReadOnlySpan<T> span) { this.span = span; index = -1; }
        public bool MoveNext() => ++index < span._length;
        public ref readonly T Current => ref Unsafe.Add(ref span._reference, index);
    }
}

/// <summary>Comparison and search over spans; the same names as .NET's so that pure code compiles against both.</summary>
public static class MemoryExtensions
{
    public static bool SequenceEqual(this ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length != right.Length) return false;
        for (int i = 0; i < left.Length; i++) if (left[i] != right[i]) return false;
        return true;
    }
    public static bool SequenceEqual(this Span<byte> left, ReadOnlySpan<byte> right) => SequenceEqual((ReadOnlySpan<byte>)left, right);
    public static bool StartsWith(this ReadOnlySpan<byte> span, ReadOnlySpan<byte> value) =>
        span.Length >= value.Length && SequenceEqual(span.Slice(0, value.Length), value);
    public static bool StartsWith(this Span<byte> span, ReadOnlySpan<byte> value) => StartsWith((ReadOnlySpan<byte>)span, value);
    public static int IndexOf(this ReadOnlySpan<byte> span, byte value)
    {
        for (int i = 0; i < span.Length; i++) if (span[i] == value) return i;
        return -1;
    }
    public static int IndexOf(this Span<byte> span, byte value) => IndexOf((ReadOnlySpan<byte>)span, value);
    public static Span<T> AsSpan<T>(this T[] array) => new(array);
}
