// The two test devices that a VM may opt in to: debug exit and the SynIC test device (guest-contract, "Test devices").
namespace Lamina.Root.Devices;

/// <summary>Port 0xF4: a write ends the VM with a code.</summary>
public static class DebugExit
{
    public const ushort Port = 0xF4;

    public static uint Read() => 0;
    public static DeviceEffect Write(uint value) => new(DeviceEffectKind.Exit, (ulong)value << 1 | 1);
}

/// <summary>What the guest asks of the SynIC on its own behalf; numbered as written to the port.</summary>
public enum SynicTestCommandKind : byte
{
    None,
    CreateSintRoute, DestroySintRoute, RaiseSint,
    CreateMessageConnection, DestroyMessageConnection,
    CreateEventConnection, DestroyEventConnection,
}

public readonly struct SynicTestCommand
{
    public readonly SynicTestCommandKind Kind;
    public readonly byte Connection, VpIndex, Sint;

    internal SynicTestCommand(SynicTestCommandKind kind, byte connection, byte vpIndex, byte sint)
    {
        Kind = kind;
        Connection = connection;
        VpIndex = vpIndex;
        Sint = sint;
    }
}

/// <summary>Port 0x3000: connection &lt;&lt; 24 | command &lt;&lt; 16 | vcpu &lt;&lt; 8 | sint. Decodes only; the worker acts.</summary>
public static class SynicTestDevice
{
    public const ushort Port = 0x3000;
    private const int SintCount = 16;

    public static uint Read() => 0;

    /// <summary>Kind is None for what is not a command for one of the guest's processors.</summary>
    public static SynicTestCommand Decode(uint value, uint processorCount)
    {
        byte sint = (byte)value, vpIndex = (byte)(value >> 8), kind = (byte)(value >> 16);
        if (kind is 0 or > (byte)SynicTestCommandKind.DestroyEventConnection || sint >= SintCount || vpIndex >= processorCount) return default;
        return new SynicTestCommand((SynicTestCommandKind)kind, (byte)(value >> 24), vpIndex, sint);
    }
}
