// The keys that lamina.json knows, and the nearest of them to one that it does not.
using System;

namespace Lamina.Root.Config;

internal enum KeySet : byte { Machine, Switch, Vm, Disk, Nic }

internal static unsafe class ConfigKeys
{
    public const int MaxKeyLength = 32;

    /// <summary>The key with this number in its set, empty beyond the last.</summary>
    public static ReadOnlySpan<byte> Get(KeySet set, int index) => set switch
    {
        KeySet.Machine => index switch { 0 => "switches"u8, 1 => "vms"u8, _ => default },
        KeySet.Switch => index switch { 0 => "name"u8, 1 => "type"u8, _ => default },
        KeySet.Disk => index switch { 0 => "path"u8, 1 => "device"u8, 2 => "image"u8, 3 => "readonly"u8, _ => default },
        KeySet.Nic => index switch { 0 => "switch"u8, 1 => "mac"u8, _ => default },
        _ => index switch
        {
            0 => "name"u8, 1 => "autostart"u8, 2 => "processors"u8, 3 => "memory"u8, 4 => "kernel"u8, 5 => "initrd"u8,
            6 => "cmdline"u8, 7 => "disks"u8, 8 => "nics"u8, 9 => "weight"u8, 10 => "cap"u8, 11 => "reserve"u8,
            12 => "com1"u8, 13 => "debugExit"u8, 14 => "synicTestDevice"u8, _ => default,
        },
    };

    /// <summary>The number of <paramref name="key"/> in its set, -1 when it is not there.</summary>
    public static int Find(KeySet set, ReadOnlySpan<byte> key)
    {
        for (int i = 0; Get(set, i).Length != 0; i++) if (Get(set, i).SequenceEqual(key)) return i;
        return -1;
    }

    /// <summary>The key that is fewest edits away, -1 when none is near enough to have been meant.</summary>
    public static int FindNearest(KeySet set, ReadOnlySpan<byte> key)
    {
        int best = -1, bestDistance = int.MaxValue;
        for (int i = 0; Get(set, i).Length != 0; i++)
        {
            int distance = Distance(key, Get(set, i));
            if (distance < bestDistance && distance <= Math.Max(2, Get(set, i).Length / 2)) { best = i; bestDistance = distance; }
        }
        return best;
    }

    /// <summary>Edits (insert, delete, replace; case is free) from one word to the other. Both at most MaxKeyLength bytes.</summary>
    public static int Distance(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length > MaxKeyLength || right.Length > MaxKeyLength) return int.MaxValue;
        int* row = stackalloc int[MaxKeyLength + 1];
        for (int j = 0; j <= right.Length; j++) row[j] = j;
        for (int i = 1; i <= left.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= right.Length; j++)
            {
                int replaced = diagonal + (Lower(left[i - 1]) == Lower(right[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[right.Length];
    }

    public static byte Lower(byte value) => value is >= (byte)'A' and <= (byte)'Z' ? (byte)(value | 0x20) : value;

    /// <summary>Names are compared without regard to the case of ASCII letters, as Hyper-V's cmdlets do.</summary>
    public static bool SameName(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length != right.Length) return false;
        for (int i = 0; i < left.Length; i++) if (Lower(left[i]) != Lower(right[i])) return false;
        return true;
    }
}
