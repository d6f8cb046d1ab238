// Writes ACPI Machine Language into memory that the caller supplies.
// Source: ACPI Specification, "ACPI Machine Language (AML) Specification" and "Resource Data Types for ACPI".
using System;

namespace Lamina.Root.Acpi;

/// <summary>
/// Blocks (scope, device, method, package, template) are opened by a Begin that returns a mark and closed by the End of that
/// mark, innermost first. What exceeds the capacity is dropped and <see cref="Overflowed"/> tells of it.
/// Names are written as in ASL: <c>\_SB.VMOD</c>, segments of up to four characters.
/// </summary>
public unsafe struct AmlBuilder
{
    private const byte ZeroOp = 0x00, OneOp = 0x01, NameOp = 0x08, BytePrefix = 0x0A, WordPrefix = 0x0B, DWordPrefix = 0x0C, StringPrefix = 0x0D,
        QWordPrefix = 0x0E, ScopeOp = 0x10, BufferOp = 0x11, PackageOp = 0x12, MethodOp = 0x14, DualNamePrefix = 0x2E, MultiNamePrefix = 0x2F,
        ExtOpPrefix = 0x5B, DeviceOp = 0x82, ReturnOp = 0xA4, RootChar = (byte)'\\', ParentPrefixChar = (byte)'^';
    private const byte IoPortTag = 0x47, EndTag = 0x79, InterruptTag = 0x89, QWordAddressTag = 0x8A;

    private readonly byte* _buffer;
    private readonly int _capacity;

    public AmlBuilder(byte* buffer, int capacity)
    {
        _buffer = buffer;
        _capacity = capacity;
        Length = 0;
        Overflowed = false;
    }

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }
    public bool Overflowed { get; private set; }

    public int BeginScope(ReadOnlySpan<byte> path) { Byte(ScopeOp); int mark = Length; Path(path); return mark; }
    public int BeginDevice(ReadOnlySpan<byte> path) { Byte(ExtOpPrefix); Byte(DeviceOp); int mark = Length; Path(path); return mark; }

    /// <summary>A method without arguments, not serialized.</summary>
    public int BeginMethod(ReadOnlySpan<byte> path) { Byte(MethodOp); int mark = Length; Path(path); Byte(0); return mark; }
    public int BeginPackage(byte elements) { Byte(PackageOp); int mark = Length; Byte(elements); return mark; }

    /// <summary>Closes a scope, device, method or package: its length goes in front of its body.</summary>
    public void End(int mark)
    {
        int body = Length - mark;
        // The length counts its own bytes, of which there are one to four.
        int size = body + 1 < 0x40 ? 1 : body + 2 < 0x1000 ? 2 : body + 3 < 0x100000 ? 3 : 4;
        if (!TryOpenGap(mark, size)) return;
        int total = body + size;
        if (size == 1) { _buffer[mark] = (byte)total; return; }
        _buffer[mark] = (byte)((size - 1) << 6 | total & 0xF);
        for (int i = 1, rest = total >> 4; i < size; i++, rest >>= 8) _buffer[mark + i] = (byte)rest;
    }

    /// <summary>The object that follows gets this name.</summary>
    public void Name(ReadOnlySpan<byte> path) { Byte(NameOp); Path(path); }
    public void Name(ReadOnlySpan<byte> path, ulong value) { Name(path); Integer(value); }
    public void Name(ReadOnlySpan<byte> path, ReadOnlySpan<byte> text) { Name(path); String(text); }

    public void Integer(ulong value)
    {
        if (value == 0) Byte(ZeroOp);
        else if (value == 1) Byte(OneOp);
        else if (value <= byte.MaxValue) { Byte(BytePrefix); Number(value, 1); }
        else if (value <= ushort.MaxValue) { Byte(WordPrefix); Number(value, 2); }
        else if (value <= uint.MaxValue) { Byte(DWordPrefix); Number(value, 4); }
        else { Byte(QWordPrefix); Number(value, 8); }
    }

    public void String(ReadOnlySpan<byte> text)
    {
        Byte(StringPrefix);
        Bytes(text);
        Byte(0);
    }

    /// <summary>A compressed identifier: three capitals and four hexadecimal digits (capitals) such as PNP0501.</summary>
    public void EisaId(ReadOnlySpan<byte> id)
    {
        int letters = (id[0] - '@') << 10 | (id[1] - '@') << 5 | id[2] - '@';
        Byte(DWordPrefix);
        Byte((byte)(letters >> 8));
        Byte((byte)letters);
        Byte((byte)(HexDigit(id[3]) << 4 | HexDigit(id[4])));
        Byte((byte)(HexDigit(id[5]) << 4 | HexDigit(id[6])));
    }

    public void Return(ulong value) { Byte(ReturnOp); Integer(value); }

    /// <summary>A method that returns a constant.</summary>
    public void ConstantMethod(ReadOnlySpan<byte> path, ulong value) { int mark = BeginMethod(path); Return(value); End(mark); }
    public void EmptyMethod(ReadOnlySpan<byte> path) => End(BeginMethod(path));

    public void Buffer(ReadOnlySpan<byte> bytes)
    {
        int mark = BeginBuffer();
        Bytes(bytes);
        EndBuffer(mark);
    }

    public int BeginResourceTemplate() => BeginBuffer();

    public void EndResourceTemplate(int mark)
    {
        Byte(EndTag);
        Byte(0); // a checksum of zero means: not checked
        EndBuffer(mark);
    }

    /// <summary>A window that the device hands on to its children: cacheable, read and write.</summary>
    public void QWordMemoryProducer(ulong start, ulong length)
    {
        const byte memoryRange = 0, minAndMaxFixed = 0x0C, cacheableReadWrite = 0x03;
        Byte(QWordAddressTag);
        Number(43, 2);
        Byte(memoryRange);
        Byte(minAndMaxFixed);
        Byte(cacheableReadWrite);
        Number(0, 8);
        Number(start, 8);
        Number(start + length - 1, 8);
        Number(0, 8);
        Number(length, 8);
    }

    public void Io(ushort firstPort, byte count)
    {
        const byte decode16 = 1;
        Byte(IoPortTag);
        Byte(decode16);
        Number(firstPort, 2);
        Number(firstPort, 2);
        Byte(1);
        Byte(count);
    }

    /// <summary>An exclusive interrupt, active high.</summary>
    public void Interrupt(uint gsi, bool edge)
    {
        const byte consumer = 1, edgeTriggered = 2;
        Byte(InterruptTag);
        Number(6, 2);
        Byte((byte)(consumer | (edge ? edgeTriggered : 0)));
        Byte(1);
        Number(gsi, 4);
    }

    private int BeginBuffer() { Byte(BufferOp); return Length; }

    // A buffer's body is its size as an integer object, then its bytes.
    private void EndBuffer(int mark)
    {
        int bytes = Length - mark;
        int size = bytes <= byte.MaxValue ? 1 : 2;
        if (!TryOpenGap(mark, 1 + size)) return;
        _buffer[mark] = size == 1 ? BytePrefix : WordPrefix;
        _buffer[mark + 1] = (byte)bytes;
        if (size == 2) _buffer[mark + 2] = (byte)(bytes >> 8);
        End(mark);
    }

    private void Path(ReadOnlySpan<byte> path)
    {
        int start = 0, segments = 1;
        while (start < path.Length && path[start] is RootChar or ParentPrefixChar) Byte(path[start++]);
        for (int i = start; i < path.Length; i++) if (path[i] == '.') segments++;
        if (segments == 2) Byte(DualNamePrefix);
        if (segments > 2) { Byte(MultiNamePrefix); Byte((byte)segments); }
        int used = 0;
        for (int i = start; i < path.Length; i++)
        {
            if (path[i] != '.') { Byte(path[i]); used++; continue; }
            for (; used < 4; used++) Byte((byte)'_');
            used = 0;
        }
        for (; used < 4; used++) Byte((byte)'_');
    }

    private bool TryOpenGap(int at, int size)
    {
        int body = Length - at;
        if (Overflowed || size > _capacity - Length) { Overflowed = true; return false; }
        for (int i = body - 1; i >= 0; i--) _buffer[at + size + i] = _buffer[at + i];
        Length += size;
        return true;
    }

    private void Number(ulong value, int size)
    {
        for (int i = 0; i < size; i++) Byte((byte)(value >> (8 * i)));
    }

    private void Bytes(ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++) Byte(bytes[i]);
    }

    private void Byte(byte value)
    {
        if (Length < _capacity) _buffer[Length++] = value;
        else Overflowed = true;
    }

    private static int HexDigit(byte digit) => digit <= '9' ? digit - '0' : digit - 'A' + 10;
}
