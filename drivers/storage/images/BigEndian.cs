// Numbers as VHD stores them: most significant byte first, at any address.

namespace Lamina.Drivers.Storage.Images;

public static unsafe class BigEndian
{
    public static ushort Read16(byte* at) => (ushort)(at[0] << 8 | at[1]);
    public static uint Read32(byte* at) => (uint)Read16(at) << 16 | Read16(at + 2);
    public static ulong Read64(byte* at) => (ulong)Read32(at) << 32 | Read32(at + 4);

    public static void Write16(byte* at, ushort value)
    {
        at[0] = (byte)(value >> 8);
        at[1] = (byte)value;
    }

    public static void Write32(byte* at, uint value)
    {
        Write16(at, (ushort)(value >> 16));
        Write16(at + 2, (ushort)value);
    }

    public static void Write64(byte* at, ulong value)
    {
        Write32(at, (uint)(value >> 32));
        Write32(at + 4, (uint)value);
    }
}
