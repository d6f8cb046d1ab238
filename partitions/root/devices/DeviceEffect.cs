// What a guest's write to a device asks of the VM worker beyond the device itself.
namespace Lamina.Root.Devices;

public enum DeviceEffectKind : byte
{
    None,
    /// <summary>The guest has turned the machine off.</summary>
    PowerOff,
    /// <summary>The guest wants the machine to start again.</summary>
    Reset,
    /// <summary>The guest ends the test run; <see cref="DeviceEffect.ExitCode"/> is the status to report.</summary>
    Exit,
}

public readonly struct DeviceEffect
{
    public readonly DeviceEffectKind Kind;
    /// <summary>(code &lt;&lt; 1) | 1 as QEMU's isa-debug-exit reports it, so never 0.</summary>
    public readonly ulong ExitCode;

    public DeviceEffect(DeviceEffectKind kind, ulong exitCode = 0)
    {
        Kind = kind;
        ExitCode = exitCode;
    }
}
