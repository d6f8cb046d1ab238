// Log 10h: which queued command failed, and how. ACS-3, "NCQ Command Error log".
using System;

namespace Lamina.Drivers.Storage.Ahci;

public struct NcqErrorLog
{
    public const int Bytes = 512;
    private const byte NotQueued = 1 << 7, TagMask = 0x1F;

    public int Tag;
    public byte Status, Error;

    /// <summary>False: the page is damaged or names no error, as one that never came does not, or the error was not a queued command's.</summary>
    public static bool TryParse(ReadOnlySpan<byte> page, out NcqErrorLog log)
    {
        log = default;
        if (page.Length < Bytes || (page[0] & NotQueued) != 0) return false;
        byte sum = 0;
        for (int i = 0; i < Bytes; i++) sum += page[i];
        log = new NcqErrorLog { Tag = page[0] & TagMask, Status = page[2], Error = page[3] };
        return sum == 0 && (log.Status & (PortRegister.STS_ERR | PortRegister.STS_DF)) != 0;
    }
}
