// Where one of a VM's disks is, as the configuration or the console says: kept as long as the root lives, whether the VM runs or not.
using System;
using Lamina.Root.Config;

namespace Lamina.Root.Worker;

/// <summary>A place on a VM's disk controller; its number is the disk's LUN.</summary>
public unsafe struct DiskPlace
{
    public const int NameCapacity = 255;

    public DiskSource Source;
    public bool IsReadOnly;
    public bool IsUsed;
    private fixed byte _name[NameCapacity];
    private int _length;

    /// <summary>What the key "path", "device" or "image" says, or would say.</summary>
    public ReadOnlySpan<byte> Name
    {
        get { fixed (byte* text = _name) return new ReadOnlySpan<byte>(text, _length); }
    }

    /// <summary>False: the name is too long.</summary>
    public bool TrySet(DiskSource source, ReadOnlySpan<byte> name, bool isReadOnly)
    {
        if (name.Length > NameCapacity) return false;
        Source = source;
        IsReadOnly = isReadOnly;
        IsUsed = true;
        _length = name.Length;
        fixed (byte* text = _name) name.CopyTo(new Span<byte>(text, NameCapacity));
        return true;
    }

    /// <summary>Reads "path:NAME", "device:NAME" or "image:VOLUME:/path". False: it is none of these.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out DiskSource source, out ReadOnlySpan<byte> name)
    {
        source = default;
        name = default;
        int colon = text.IndexOf((byte)':');
        if (colon < 0) return false;
        ReadOnlySpan<byte> word = text.Slice(0, colon);
        name = text.Slice(colon + 1);
        if (word.SequenceEqual("path"u8)) source = DiskSource.BootModule;
        else if (word.SequenceEqual("device"u8)) source = DiskSource.Device;
        else if (word.SequenceEqual("image"u8)) source = DiskSource.Image;
        else return false;
        return name.Length != 0;
    }

    public static ReadOnlySpan<byte> Word(DiskSource source) => source switch
    {
        DiskSource.BootModule => "path"u8,
        DiskSource.Device => "device"u8,
        _ => "image"u8,
    };
}
