// The guest's end, doing what Linux's hv_utils and hv_kvp_daemon do (6.1, 6.12): answers are the requests themselves, changed in place.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Lamina.Drivers.Vsp.Integration;

namespace Lamina.Tests.Host.Integration;

public enum Daemon
{
    /// <summary>Not started: the KVP channel is not even looked at.</summary>
    Absent,
    Running,
    /// <summary>Takes questions and says nothing: the kernel fails them after 30 seconds.</summary>
    Hanging,
}

public sealed class LinuxGuest
{
    private const uint Fail = 0x80004005, NoMoreItems = 0x80070103;

    /// <summary>Highest first, major in the upper half.</summary>
    public uint[] Framework = [0x30000, 0x10000];
    public uint[][] Versions = [[0x30000, 0x10000], [0x30002, 0x30001, 0x30000, 0x10000], [0x40000, 0x30000, 0x10000], [0x40000, 0x30000, 0x10000]];
    public bool Alive = true;
    public bool Hibernates;
    /// <summary>What the heartbeat's reserved words are answered with; Linux leaves them 0.</summary>
    public uint ApplicationState;
    public Daemon Daemon = Daemon.Running;
    public List<(string Key, string Value)> Pairs =
    [
        ("FullyQualifiedDomainName", "vm.example"), ("IntegrationServicesVersion", "3.1"), ("NetworkAddressIPv4", "192.0.2.7;192.0.2.8"),
        ("NetworkAddressIPv6", "2001:db8::7"), ("OSBuildNumber", "6.1.0-18-amd64"), ("OSName", "Debian GNU/Linux"), ("OSMajorVersion", "12"),
        ("OSMinorVersion", ""), ("OSVersion", "6.1.0"), ("ProcessorArchitecture", "x86_64"),
    ];
    /// <summary>What the host has set, by pool.</summary>
    public readonly Dictionary<(byte Pool, string Key), string> Set = [];
    public readonly List<uint> ShutdownFlags = [];
    public readonly List<(ulong Time, ulong Reference, byte Flags)> Times = [];
    public readonly List<ulong> Sequence = [];
    public readonly uint[] Agreed = new uint[4];

    private byte[] asked;
    private ulong failsAt = ulong.MaxValue;

    /// <summary>When the guest does something unasked.</summary>
    public ulong Deadline => failsAt;

    /// <summary>Takes and answers what lies in the rings; false if there was nothing to do.</summary>
    public bool Run(IntegrationBench bench)
    {
        if (!Alive) return false;
        bool any = false;
        foreach (IntegrationService service in IntegrationBench.All)
            while (TryNext(bench, service, out byte[] packet))
            {
                any = true;
                if (Answer(service, packet, bench)) bench.Deliver(service, packet);
            }
        if (asked == null || bench.Now < failsAt) return any;
        byte[] failed = asked;
        asked = null;
        failsAt = ulong.MaxValue;
        bench.Deliver(IntegrationService.KeyValuePairs, Finish(failed, Fail));
        return true;
    }

    // The kernel reads one KVP message at a time, and none while it has no daemon.
    private bool TryNext(IntegrationBench bench, IntegrationService service, out byte[] packet)
    {
        packet = null;
        bool looks = service != IntegrationService.KeyValuePairs || (Daemon != Daemon.Absent && asked == null);
        return looks && bench.ToGuest[(int)service].TryDequeue(out packet);
    }

    private bool Answer(IntegrationService service, byte[] packet, IntegrationBench bench)
    {
        ushort type = BitConverter.ToUInt16(packet, 12);
        uint status = BitConverter.ToUInt32(packet, 20);
        if (type == 0) Negotiate(service, packet);
        else if (type == 1) Heartbeat(packet);
        else if (type == 3) status = Shutdown(packet);
        else if (type == 4) TimeSync(packet);
        else if (type == 2)
        {
            if (Daemon == Daemon.Hanging)
            {
                asked = packet;
                failsAt = bench.Now + 30 * IntegrationBench.Second;
                return false;
            }
            status = Exchange(packet);
        }
        else throw new InvalidOperationException("type " + type);
        Finish(packet, status);
        return true;
    }

    private static byte[] Finish(byte[] packet, uint status)
    {
        BitConverter.TryWriteBytes(packet.AsSpan(20), status);
        packet[25] = 5;
        return packet;
    }

    private void Negotiate(IntegrationService service, byte[] packet)
    {
        int frameworks = BitConverter.ToUInt16(packet, 28), versions = BitConverter.ToUInt16(packet, 30);
        uint[] offered = Enumerable.Range(0, frameworks + versions).Select(i => (uint)(BitConverter.ToUInt16(packet, 36 + i * 4) << 16 | BitConverter.ToUInt16(packet, 38 + i * 4))).ToArray();
        uint framework = Framework.FirstOrDefault(version => offered.Take(frameworks).Contains(version));
        uint chosen = Versions[(int)service].FirstOrDefault(version => offered.Skip(frameworks).Contains(version));
        bool found = framework != 0 && chosen != 0;
        Agreed[(int)service] = chosen;
        BitConverter.TryWriteBytes(packet.AsSpan(18), (ushort)16);
        BitConverter.TryWriteBytes(packet.AsSpan(28), (ushort)(found ? 1 : 0));
        BitConverter.TryWriteBytes(packet.AsSpan(30), (ushort)(found ? 1 : 0));
        PutVersion(packet, 36, found ? framework : (uint)frameworks << 16);
        PutVersion(packet, 40, found ? chosen : (uint)versions << 16);
    }

    private static void PutVersion(byte[] packet, int at, uint version)
    {
        BitConverter.TryWriteBytes(packet.AsSpan(at), (ushort)(version >> 16));
        BitConverter.TryWriteBytes(packet.AsSpan(at + 2), (ushort)version);
    }

    private void Heartbeat(byte[] packet)
    {
        ulong number = BitConverter.ToUInt64(packet, 28);
        Sequence.Add(number);
        BitConverter.TryWriteBytes(packet.AsSpan(28), number + 1);
        BitConverter.TryWriteBytes(packet.AsSpan(36), ApplicationState);
    }

    private uint Shutdown(byte[] packet)
    {
        if (packet.Length < 28 + 2060) throw new InvalidOperationException("short shutdown message");
        uint flags = BitConverter.ToUInt32(packet, 36);
        ShutdownFlags.Add(flags);
        return flags switch { < 4 => 0, < 6 => Hibernates ? 0 : Fail, _ => Fail };
    }

    private void TimeSync(byte[] packet)
    {
        bool hasReference = Agreed[2] > 0x30000;
        if (packet.Length < 28 + (hasReference ? 22 : 25)) throw new InvalidOperationException("short time message");
        Times.Add((BitConverter.ToUInt64(packet, 28), hasReference ? BitConverter.ToUInt64(packet, 36) : 0, packet[hasReference ? 44 : 52]));
    }

    private uint Exchange(byte[] packet)
    {
        byte operation = packet[28], pool = packet[29];
        switch (operation)
        {
            case 1:
                Set[(pool, TextAt(packet, 44, BitConverter.ToUInt32(packet, 36)))] = TextAt(packet, 44 + 512, BitConverter.ToUInt32(packet, 40));
                if (BitConverter.ToUInt32(packet, 32) != 1) throw new InvalidOperationException("not a string");
                return 0;
            case 2:
                return Set.Remove((pool, TextAt(packet, 36, BitConverter.ToUInt32(packet, 32)))) ? 0 : NoMoreItems;
            case 3:
                int index = BitConverter.ToInt32(packet, 32);
                if (pool != 2) throw new InvalidOperationException("pool " + pool);
                if (index >= Pairs.Count) return NoMoreItems;
                PutPair(packet, Pairs[index].Key, Pairs[index].Value);
                return 0;
            default:
                throw new InvalidOperationException("operation " + operation);
        }
    }

    private static string TextAt(byte[] packet, int at, uint size)
    {
        string text = Encoding.Unicode.GetString(packet, at, (int)size);
        return text.EndsWith('\0') ? text[..^1] : throw new InvalidOperationException("no terminator");
    }

    /// <summary>Writes a pair into an ENUMERATE message, cut as the kernel cuts it.</summary>
    public static void PutPair(byte[] packet, string key, string value)
    {
        key = key[..Math.Min(key.Length, 254)];
        value = value[..Math.Min(value.Length, 1022)];
        BitConverter.TryWriteBytes(packet.AsSpan(36), 1u);
        BitConverter.TryWriteBytes(packet.AsSpan(40), (uint)(2 * (key.Length + 1)));
        BitConverter.TryWriteBytes(packet.AsSpan(44), (uint)(2 * (value.Length + 1)));
        packet.AsSpan(48, 512 + 2048).Clear();
        Encoding.Unicode.GetBytes(key, packet.AsSpan(48));
        Encoding.Unicode.GetBytes(value, packet.AsSpan(48 + 512));
    }
}
