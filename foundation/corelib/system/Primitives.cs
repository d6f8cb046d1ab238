// The primitive types. Their layout is the compiler's own knowledge; only the constants that code uses stand here.
namespace System;

public struct Boolean { }
public struct Char { public const char MinValue = '\0', MaxValue = '\uFFFF'; }
public struct SByte { public const sbyte MinValue = -128, MaxValue = 127; }
public struct Byte { public const byte MinValue = 0, MaxValue = 255; }
public struct Int16 { public const short MinValue = -32768, MaxValue = 32767; }
public struct UInt16 { public const ushort MinValue = 0, MaxValue = 65535; }
public struct Int32 { public const int MinValue = -2147483648, MaxValue = 2147483647; }
public struct UInt32 { public const uint MinValue = 0, MaxValue = 4294967295; }
public struct Int64 { public const long MinValue = -9223372036854775808, MaxValue = 9223372036854775807; }
public struct UInt64 { public const ulong MinValue = 0, MaxValue = 18446744073709551615; }
public struct Single { }
public struct Double { }
public struct IntPtr { public static readonly nint Zero; }
public struct UIntPtr { public static readonly nuint Zero; }
