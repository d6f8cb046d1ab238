// The services in words, for the console: pieces of lines, without line ends.

using System;
using Lamina.Text;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>Words follow Hyper-V's Get-VMIntegrationService. What the guest said is shown in printable ASCII.</summary>
public static class IntegrationText
{
    /// <summary>E.g. "heartbeat 3.0: OK, applications healthy, answered 1 s ago".</summary>
    public static void AppendTo(this in HeartbeatService service, ref TextWriter line, ulong now)
    {
        if (!AppendBeginning("heartbeat"u8, service.Channel, service.Version, ref line)) return;
        switch (service.State)
        {
            case HeartbeatState.NoContact: line.Text("No Contact"u8); return;
            case HeartbeatState.Ok: line.Text("OK"u8); break;
            case HeartbeatState.LostCommunication: line.Text("Lost Communication"u8); break;
            default: line.Text("Error "u8).Hex(service.LastStatus); break;
        }
        switch (service.ApplicationState)
        {
            case ApplicationState.Healthy: line.Text(", applications healthy"u8); break;
            case ApplicationState.Critical: line.Text(", applications critical"u8); break;
            case ApplicationState.Stopped: line.Text(", applications stopped"u8); break;
        }
        line.Text(", answered "u8);
        AppendAge(service.LastAnswer, now, ref line);
    }

    /// <summary>E.g. "shutdown 3.2: OK" or "shutdown 3.2: power off accepted".</summary>
    public static void AppendTo(this in ShutdownService service, ref TextWriter line)
    {
        if (!AppendBeginning("shutdown"u8, service.Channel, service.Version, ref line) && service.Phase == ShutdownPhase.None) return;
        if (service.Phase == ShutdownPhase.None)
        {
            line.Text("OK"u8);
            return;
        }
        if (service.Channel != ServiceState.Ready) line.Text(", "u8);
        line.Text(service.Kind switch { ShutdownKind.PowerOff => "power off "u8, ShutdownKind.Restart => "restart "u8, _ => "hibernation "u8 });
        switch (service.Phase)
        {
            case ShutdownPhase.Asked: line.Text("asked for"u8); break;
            case ShutdownPhase.Accepted: line.Text("accepted"u8); break;
            case ShutdownPhase.Refused: line.Text("refused, "u8).Hex(service.Status); break;
            case ShutdownPhase.Abandoned: line.Text("not answered"u8); break;
            case ShutdownPhase.Restarted: line.Text("ended in a new start"u8); break;
            default: line.Text("not done in time"u8); break;
        }
    }

    /// <summary>E.g. "time synchronization 4.0: OK, 1 sync and 12 samples, last sync 60 s ago".</summary>
    public static void AppendTo(this in TimeSynchronizationService service, ref TextWriter line, ulong now)
    {
        if (!AppendBeginning("time synchronization"u8, service.Channel, service.Version, ref line)) return;
        if (service.Answers == 0) line.Text("No Contact"u8);
        else if (service.LastStatus != IcStatus.Success) line.Text("Error "u8).Hex(service.LastStatus);
        else line.Text("OK"u8);
        line.Text(", "u8).Decimal(service.Syncs).Text(service.Syncs == 1 ? " sync and "u8 : " syncs and "u8)
            .Decimal(service.Samples).Text(service.Samples == 1 ? " sample"u8 : " samples"u8);
        if (service.Syncs == 0) return;
        line.Text(", last sync "u8);
        AppendAge(service.LastSync, now, ref line);
    }

    /// <summary>E.g. "key-value pairs 4.0: OK, 10 pairs".</summary>
    public static void AppendTo(this in KeyValueService service, ref TextWriter line)
    {
        if (!AppendBeginning("key-value pairs"u8, service.Channel, service.Version, ref line)) return;
        switch (service.State)
        {
            case KeyValueState.Reading: line.Text("reading"u8); break;
            case KeyValueState.Failing: line.Text("Error "u8).Hex(service.LastStatus); break;
            case KeyValueState.Silent: line.Text("Lost Communication"u8); break;
            default: line.Text("OK"u8); break;
        }
        line.Text(", "u8).Decimal(service.Count).Text(service.Count == 1 ? " pair"u8 : " pairs"u8);
        if (service.IsTruncated) line.Text(" and more"u8);
    }

    /// <summary>E.g. "Debian GNU/Linux 12, build 6.1.0-18-amd64, x86_64, host name vm.example". False: the guest has not said, and nothing was written.</summary>
    public static bool AppendSystemTo(this in KeyValueService service, ref TextWriter line)
    {
        int before = line.Length;
        AppendValue(in service, "OSName"u8, default, ref line, before);
        // Linux tells its distribution's version here and its kernel's as the build.
        if (service.TryGet("OSMajorVersion"u8, out ReadOnlySpan<byte> major) && major.Length != 0)
        {
            if (line.Length != before) line.Char((byte)' ');
            line.Printable(major);
            if (service.TryGet("OSMinorVersion"u8, out ReadOnlySpan<byte> minor) && minor.Length != 0) line.Char((byte)'.').Printable(minor);
        }
        AppendValue(in service, "OSBuildNumber"u8, "build "u8, ref line, before);
        AppendValue(in service, "ProcessorArchitecture"u8, default, ref line, before);
        AppendValue(in service, "FullyQualifiedDomainName"u8, "host name "u8, ref line, before);
        return line.Length != before;
    }

    /// <summary>IPv4, then IPv6, as the guest lists them. False: it has named none, and nothing was written.</summary>
    public static bool AppendAddressesTo(this in KeyValueService service, ref TextWriter line)
    {
        int before = line.Length;
        AppendValue(in service, "NetworkAddressIPv4"u8, default, ref line, before);
        AppendValue(in service, "NetworkAddressIPv6"u8, default, ref line, before);
        return line.Length != before;
    }

    private static void AppendValue(in KeyValueService service, ReadOnlySpan<byte> key, ReadOnlySpan<byte> word, ref TextWriter line, int before)
    {
        if (!service.TryGet(key, out ReadOnlySpan<byte> value) || value.Length == 0) return;
        if (line.Length != before) line.Text(", "u8);
        line.Text(word).Printable(value);
    }

    // True: the service is at work, and its own words follow.
    private static bool AppendBeginning(ReadOnlySpan<byte> name, ServiceState channel, IcVersion version, ref TextWriter line)
    {
        line.Text(name);
        switch (channel)
        {
            case ServiceState.Closed: line.Text(": not in use by the guest"u8); return false;
            case ServiceState.Negotiating: line.Text(": No Contact"u8); return false;
            case ServiceState.Incompatible: line.Text(": the guest takes none of our versions"u8); return false;
        }
        line.Char((byte)' ').Decimal(version.Major).Char((byte)'.').Decimal(version.Minor).Text(": "u8);
        return true;
    }

    private static void AppendAge(ulong then, ulong now, ref TextWriter line)
    {
        ulong seconds = now > then ? (now - then) / IntegrationClock.Second : 0;
        line.Decimal(seconds).Text(" s ago"u8);
    }
}
