// The console's words for virtual machines, parsed: "vm VERB NAME", the bare verbs, and "test cycle NAME COUNT".
using System;

namespace Lamina.Root.Worker;

public enum VmVerb : byte
{
    /// <summary>Not a command about VMs.</summary>
    None,
    List,
    Start,
    /// <summary>Asks the guest first.</summary>
    Stop,
    TurnOff,
    Restart,
    Connect,
    Show,
    Stats,

    /// <summary>Changes a setting, also of a VM that runs.</summary>
    Set,

    /// <summary>Who uses the processors.</summary>
    Top,
    AddDisk,
    RemoveDisk,
    Suspend,
    Resume,
    Cycle,

    /// <summary>A command about VMs that is incomplete or misspelt: print <see cref="VmCommand.Usage"/>.</summary>
    Wrong,
}

/// <summary>What "vm set" sets.</summary>
public enum VmSetting : byte { None, Weight, Cap, Reserve }

/// <summary>One console line as a command. Spans point into the line.</summary>
public ref struct VmCommand
{
    public const uint DefaultCycleMilliseconds = 10_000, MaximumCycles = 1_000_000, DefaultTopSeconds = 2, MaximumTopSeconds = 3600;

    public VmVerb Verb;
    public ReadOnlySpan<byte> Name;

    /// <summary>Cycles wanted; the LUN of the disk to remove; the value to set; seconds to measure.</summary>
    public uint Count;
    public VmSetting Setting;

    /// <summary>The disk to add: "path:NAME", "device:NAME" or "image:VOLUME:/path".</summary>
    public ReadOnlySpan<byte> Disk;
    public bool ReadOnly;

    /// <summary>How long a cycle's VM may run before it is deleted.</summary>
    public uint Milliseconds;

    /// <summary>For <see cref="VmVerb.Wrong"/>: what would have been right.</summary>
    public ReadOnlySpan<byte> Usage;

    /// <summary>Reads a line; words are separated by spaces or tabs, verbs are free of case.</summary>
    public static VmCommand Parse(ReadOnlySpan<byte> line)
    {
        var command = new VmCommand { Milliseconds = DefaultCycleMilliseconds };
        var rest = new Words(line);
        ReadOnlySpan<byte> word = rest.Take();
        if (Is(word, "test"u8)) return ParseTest(command, rest);
        bool prefixed = Is(word, "vm"u8);
        if (prefixed) word = rest.Take();
        VmVerb verb = FindVerb(word);
        if (verb == VmVerb.None) return prefixed ? Wrong(command, "vm list, or vm start|stop|turnoff|restart|suspend|resume|connect|show|stats|set|adddisk|removedisk NAME, or vm top"u8) : command;
        // These words alone may mean other things than VMs.
        if (!prefixed && verb is (VmVerb.Show or VmVerb.Stats or VmVerb.Set or VmVerb.Suspend or VmVerb.Resume)) return command;
        command.Verb = verb;
        if (verb == VmVerb.Top) return ParseTop(command, rest);
        if (verb != VmVerb.List)
        {
            command.Name = rest.Take();
            if (command.Name.Length == 0) return Wrong(command, UsageOf(verb));
        }
        return TryParseDetails(ref command, ref rest) && rest.Take().Length == 0 ? command : Wrong(command, UsageOf(verb));
    }

    /// <summary>What stands behind the name: "SOURCE [readonly]" of a disk to add, the LUN of one to remove, a setting and its value.</summary>
    private static bool TryParseDetails(ref VmCommand command, ref Words rest)
    {
        if (command.Verb == VmVerb.Set)
        {
            command.Setting = FindSetting(rest.Take());
            return command.Setting != VmSetting.None && TryNumber(rest.Take(), out command.Count);
        }
        if (command.Verb == VmVerb.RemoveDisk) return TryNumber(rest.Take(), out command.Count);
        if (command.Verb != VmVerb.AddDisk) return true;
        command.Disk = rest.Take();
        ReadOnlySpan<byte> word = rest.Take();
        command.ReadOnly = Is(word, "readonly"u8);
        return command.Disk.Length != 0 && (command.ReadOnly || word.Length == 0);
    }

    private static VmSetting FindSetting(ReadOnlySpan<byte> word)
    {
        if (Is(word, "weight"u8)) return VmSetting.Weight;
        if (Is(word, "cap"u8)) return VmSetting.Cap;
        return Is(word, "reserve"u8) ? VmSetting.Reserve : VmSetting.None;
    }

    private static VmCommand ParseTop(VmCommand command, Words rest)
    {
        command.Count = DefaultTopSeconds;
        ReadOnlySpan<byte> seconds = rest.Take();
        bool good = seconds.Length == 0 || TryNumber(seconds, out command.Count) && command.Count is not (0 or > MaximumTopSeconds) && rest.Take().Length == 0;
        return good ? command : Wrong(command, UsageOf(VmVerb.Top));
    }

    private static VmCommand ParseTest(VmCommand command, Words rest)
    {
        if (!Is(rest.Take(), "cycle"u8)) return command;
        ReadOnlySpan<byte> usage = "test cycle NAME COUNT [MILLISECONDS]"u8;
        command.Name = rest.Take();
        if (command.Name.Length == 0 || !TryNumber(rest.Take(), out command.Count)) return Wrong(command, usage);
        if (command.Count is 0 or > MaximumCycles) return Wrong(command, usage);
        ReadOnlySpan<byte> milliseconds = rest.Take();
        if (milliseconds.Length != 0 && !TryNumber(milliseconds, out command.Milliseconds)) return Wrong(command, usage);
        if (rest.Take().Length != 0) return Wrong(command, usage);
        command.Verb = VmVerb.Cycle;
        return command;
    }

    private static VmVerb FindVerb(ReadOnlySpan<byte> word)
    {
        if (Is(word, "list"u8)) return VmVerb.List;
        if (Is(word, "start"u8)) return VmVerb.Start;
        if (Is(word, "stop"u8)) return VmVerb.Stop;
        if (Is(word, "turnoff"u8)) return VmVerb.TurnOff;
        if (Is(word, "restart"u8)) return VmVerb.Restart;
        if (Is(word, "connect"u8)) return VmVerb.Connect;
        if (Is(word, "suspend"u8)) return VmVerb.Suspend;
        if (Is(word, "resume"u8)) return VmVerb.Resume;
        if (Is(word, "stats"u8)) return VmVerb.Stats;
        if (Is(word, "set"u8)) return VmVerb.Set;
        if (Is(word, "top"u8)) return VmVerb.Top;
        if (Is(word, "adddisk"u8)) return VmVerb.AddDisk;
        if (Is(word, "removedisk"u8)) return VmVerb.RemoveDisk;
        return Is(word, "show"u8) ? VmVerb.Show : VmVerb.None;
    }

    private static ReadOnlySpan<byte> UsageOf(VmVerb verb) => verb switch
    {
        VmVerb.List => "vm list"u8,
        VmVerb.Start => "vm start NAME"u8,
        VmVerb.Stop => "vm stop NAME"u8,
        VmVerb.TurnOff => "vm turnoff NAME"u8,
        VmVerb.Restart => "vm restart NAME"u8,
        VmVerb.Connect => "vm connect NAME"u8,
        VmVerb.Suspend => "vm suspend NAME"u8,
        VmVerb.Resume => "vm resume NAME"u8,
        VmVerb.Stats => "vm stats NAME"u8,
        VmVerb.Set => "vm set NAME weight|cap|reserve NUMBER"u8,
        VmVerb.Top => "top [SECONDS]"u8,
        VmVerb.AddDisk => "vm adddisk NAME path:FILE|device:NAME|image:VOLUME:/PATH [readonly]"u8,
        VmVerb.RemoveDisk => "vm removedisk NAME LUN"u8,
        _ => "vm show NAME"u8,
    };

    private static VmCommand Wrong(VmCommand command, ReadOnlySpan<byte> usage)
    {
        command.Verb = VmVerb.Wrong;
        command.Usage = usage;
        return command;
    }

    /// <summary>The words of a line that were not taken yet.</summary>
    private ref struct Words(ReadOnlySpan<byte> line)
    {
        private ReadOnlySpan<byte> _rest = line;

        /// <summary>The next word; empty at the end.</summary>
        public ReadOnlySpan<byte> Take()
        {
            int start = 0;
            while (start < _rest.Length && IsSpace(_rest[start])) start++;
            int end = start;
            while (end < _rest.Length && !IsSpace(_rest[end])) end++;
            ReadOnlySpan<byte> word = _rest.Slice(start, end - start);
            _rest = _rest.Slice(end);
            return word;
        }

        private static bool IsSpace(byte value) => value is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n';
    }

    private static bool Is(ReadOnlySpan<byte> word, ReadOnlySpan<byte> lowerCase)
    {
        if (word.Length != lowerCase.Length) return false;
        for (int i = 0; i < word.Length; i++)
        {
            byte value = word[i] is >= (byte)'A' and <= (byte)'Z' ? (byte)(word[i] | 0x20) : word[i];
            if (value != lowerCase[i]) return false;
        }
        return true;
    }

    private static bool TryNumber(ReadOnlySpan<byte> word, out uint value)
    {
        value = 0;
        if (word.Length is 0 or > 9) return false;
        for (int i = 0; i < word.Length; i++)
        {
            if (word[i] is < (byte)'0' or > (byte)'9') return false;
            value = value * 10 + (uint)(word[i] - '0');
        }
        return true;
    }
}
