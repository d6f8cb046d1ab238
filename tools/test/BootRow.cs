// One row of the boot tests, as its file in tests/boot says it.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Lamina.Tools.Test;

/// <summary>Wait for a line, then act; each part may be left out.</summary>
public sealed record Step
{
    /// <summary>Regular expression on the serial log, looked for after the match of the step before.</summary>
    public string Expect { get; init; }
    /// <summary>Typed once the expectation has come.</summary>
    public string Send { get; init; }
    /// <summary>A command to the emulator itself: its name ("system_reset"), or {"execute": …, "arguments": {…}}.</summary>
    public JsonNode Qmp { get; init; }
    /// <summary>True: the power is cut here and turned on again; volume and disks stay, memory and what the emulator held back are lost.</summary>
    public bool Restart { get; init; }
    /// <summary>Seconds for this step; default: what is left of the row's.</summary>
    public double? Timeout { get; init; }
}

/// <summary>Lines "PASS name", "FAIL name why" and "SKIP name why", each a test of its own.</summary>
public sealed record GuestTests
{
    /// <summary>The VM whose lines count (prefixed "NAME| " by the console); null: lines without prefix.</summary>
    public string Vm { get; init; }
    /// <summary>False where it is known that much is skipped: such lines are then left out of the count.</summary>
    public bool CountSkips { get; init; } = true;
    /// <summary>With fewer passed and failed than this the row fails, so that no test can vanish.</summary>
    public int Minimum { get; init; } = 1;
    /// <summary>Regular expression of the line that says all have run.</summary>
    public string End { get; init; }
}

/// <summary>A kernel that the emulator loads itself, without Lamina: the bare machine.</summary>
public sealed record DirectBoot
{
    public string Kernel { get; init; }
    public string Initrd { get; init; }
    public string CommandLine { get; init; }
}

/// <summary>A boot test. Unknown keys are errors.</summary>
public sealed record BootRow
{
    public string Name { get; init; }
    /// <summary>What it shows, for the reader.</summary>
    public string About { get; init; }
    /// <summary>amd, intel, or a processor model of the emulator.</summary>
    public string Cpu { get; init; } = "amd";
    /// <summary>Processors of Bochs (intel, or a model's name) that the row is run on, too, as rows NAME-PROCESSOR with twice the time; "args" are QEMU's and left out.</summary>
    public string[] Also { get; init; } = [];
    /// <summary>qemu or bochs; default: the one that emulates the vendor.</summary>
    public string Emulator { get; init; }
    /// <summary>uefi, or bios: GRUB and lamina.mb2. Default: uefi in QEMU, bios in Bochs.</summary>
    public string Firmware { get; init; }
    public int Smp { get; init; } = 1;
    /// <summary>Each processor in a thread of the emulator's own. Default: they take turns, which an emulator on a busy host does better (docs/decisions/0005).</summary>
    public bool Parallel { get; init; }
    public string Memory { get; init; } = "2G";
    public string[] Args { get; init; } = [];
    public bool EndOnReset { get; init; } = true;
    /// <summary>lamina.json: an object, the name of a file beside the row, or absent for the reference guest.</summary>
    public JsonNode Config { get; init; }
    /// <summary>lamina.json as text, line by line, for what is no JSON.</summary>
    public string[] ConfigText { get; init; }
    /// <summary>
    /// Files in the volume's lamina folder: name to source. A source is a name (guest material, a product, a file beside the row),
    /// or {"text": …}, {"random": BYTES, "seed": N}, {"of": SOURCE, "bytes": N}. Files that the configuration names come by themselves.
    /// </summary>
    public Dictionary<string, JsonNode> Files { get; init; } = [];
    /// <summary>Disks of the machine, made fresh for each run.</summary>
    public RowDisk[] Disks { get; init; } = [];
    public DirectBoot Direct { get; init; }
    public double Timeout { get; init; } = 180;
    public Step[] Script { get; init; } = [];
    /// <summary>Regular expressions that must each match somewhere in the log, in whatever order; waited for after the script.</summary>
    public string[] Require { get; init; } = [];
    /// <summary>Regular expressions that must not match anywhere in the log.</summary>
    public string[] Forbid { get; init; } = [];
    public GuestTests Tests { get; init; }
    /// <summary>True: after the script the machine must end by itself.</summary>
    public bool MachineEnds { get; init; }
    /// <summary>Checks of the disks once the machine has ended, or was ended without warning because the script was through.</summary>
    public AfterCheck[] After { get; init; } = [];
    /// <summary>Says why this row is not run; it then counts as skipped.</summary>
    public string Skip { get; init; }

    /// <summary>What it boots from, as run's --boot names it.</summary>
    public string Boot { get; init; }

    /// <summary>The emulator as run's --accel names it.</summary>
    [JsonIgnore] public string Accel => Emulator switch
    {
        null => "auto",
        "qemu" => Cpu == "intel" ? "tcg" : "auto",
        "bochs" => "bochs",
        _ => throw new Failure($"emulator {Emulator}: there are qemu and bochs"),
    };

    /// <summary>Whether a step talks to the emulator itself.</summary>
    [JsonIgnore] public bool NeedsControls => Script.Any(s => s.Qmp != null);

    /// <summary>Folder of the row's file.</summary>
    [JsonIgnore] public string Folder { get; init; }

    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web)
    {
        ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    };

    private BootRow On(string processor) => this with { Name = $"{Name}-{processor}", Cpu = processor, Emulator = "bochs", Also = [], Args = [], Timeout = 2 * Timeout };

    /// <summary>All rows of a folder; a file holds one row or an array of them.</summary>
    public static List<BootRow> ReadAll(string folder)
    {
        var rows = new List<BootRow>();
        if (!Directory.Exists(folder))
            return rows;
        foreach (string file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal))
            rows.AddRange(Read(file));
        if (rows.GroupBy(r => r.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new Failure($"{folder}: two rows are named {twice.Key}");
        return rows;
    }

    /// <summary>The rows of one file.</summary>
    /// <exception cref="Failure">File, place and what is wrong.</exception>
    public static BootRow[] Read(string file)
    {
        try
        {
            string text = File.ReadAllText(file);
            BootRow[] rows = text.TrimStart().StartsWith('[')
                ? JsonSerializer.Deserialize<BootRow[]>(text, Format)
                : [JsonSerializer.Deserialize<BootRow>(text, Format)];
            return rows.Select(r => r.Name == null ? throw new Failure($"{file}: a row without a name") : r with { Folder = Path.GetDirectoryName(file) })
                .SelectMany(r => (BootRow[])[r, .. r.Also.Select(r.On)]).ToArray();
        }
        catch (JsonException e)
        {
            throw new Failure($"{file}: {e.Message}");
        }
    }
}
