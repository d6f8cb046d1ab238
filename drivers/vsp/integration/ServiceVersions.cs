// The versions that we speak, lowest first, as Hyper-V lists them; the guest chooses.

using System;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>Lists of bytes: major, minor, major, minor, …</summary>
internal static class ServiceVersions
{
    public static ReadOnlySpan<byte> Framework => new byte[] { 1, 0, 3, 0 };

    private static ReadOnlySpan<byte> Heartbeat => new byte[] { 1, 0, 3, 0 };
    private static ReadOnlySpan<byte> Shutdown => new byte[] { 1, 0, 3, 0, 3, 1, 3, 2 };
    private static ReadOnlySpan<byte> Others => new byte[] { 1, 0, 3, 0, 4, 0 };   // time synchronisation, key-value pairs

    // Spans by name: arrays in the arms themselves would be allocated.
    public static ReadOnlySpan<byte> Of(IntegrationService service) => service switch
    {
        IntegrationService.Heartbeat => Heartbeat,
        IntegrationService.Shutdown => Shutdown,
        _ => Others,
    };

    public static IcVersion At(ReadOnlySpan<byte> list, int index) => new(list[index * 2], list[index * 2 + 1]);

    public static bool Contains(ReadOnlySpan<byte> list, IcVersion version)
    {
        for (int i = 0; i < list.Length / 2; i++)
            if (At(list, i).Matches(version)) return true;
        return false;
    }
}
