// What is measured, and the bars it is held to (the table "How well" of the design).
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Lamina.Tools.Bench;

/// <summary>A machine that is measured; the order is that of the columns.</summary>
public enum Subject { Limit, Lamina, Kvm, Xen }

/// <summary>One bar: a limit on Lamina's value, alone or against another's.</summary>
/// <param name="Text">As a reader wants it.</param>
/// <param name="Holds">null: it cannot be judged, since a value is missing.</param>
public sealed record Bar(string Text, Func<BenchRow, BenchResults, bool?> Holds)
{
    public static Bar AtMost(double most, string text) => new(text, (row, results) => results.Get(row.Name, Subject.Lamina) is { } value ? value <= most : null);

    /// <summary>Lamina's value is at most so many times another's.</summary>
    public static Bar Times(double factor, Subject other, string text) => new(text, (row, results) =>
        results.Get(row.Name, Subject.Lamina) is { } value && results.Get(row.Name, other) is { } theirs ? value <= factor * theirs : null);
}

/// <summary>One row of the table.</summary>
/// <param name="Unit">Of every value in it; empty: retired instructions.</param>
/// <param name="Counted">The emulator counts it, so that it comes out the same each time; else a clock on the wall does.</param>
public sealed record BenchRow(string Name, string Title, string Unit, bool Counted, params Bar[] Bars);

/// <summary>All rows, in order.</summary>
public static class BenchRows
{
    private static readonly Bar[] InCore =
        [Bar.AtMost(250, "<= 250"), Bar.Times(3, Subject.Limit, "<= 3 x limit"), Bar.Times(0.1, Subject.Kvm, "<= KVM / 10"), Bar.Times(0.05, Subject.Xen, "<= Xen / 20")];
    private static readonly Bar[] Fifth = [Bar.Times(0.2, Subject.Kvm, "<= KVM / 5")];

    /// <summary>Named as the cost guests name them.</summary>
    public static readonly BenchRow[] RoundTrips =
    [
        new("cpuid", "CPUID", "", true, InCore),
        new("rdmsr-efer", "RDMSR EFER", "", true, InCore),
        new("hypercall-unknown", "hypercall, unknown code", "", true, InCore),
        new("wrmsr-eoi", "WRMSR x2APIC EOI", "", true),
        new("in-no-device", "IN, port without a device", "", true),
        new("in-uart", "IN, port of a UART (root's worker, QEMU)", "", true, Bar.Times(0.5, Subject.Kvm, "<= KVM / 2")),
        new("in-uart-least", "the same; on KVM the least program, no QEMU", "", true, Bar.Times(0.5, Subject.Kvm, "<= KVM / 2")),
        new("page-first-touch", "first touch of a page", "", true, Fifth),
        new("apic-page-read", "read of the APIC page", "", true),
        new("self-ipi-page", "self-IPI by the APIC page, to the end of its handler", "", true, Fifth),
        new("self-ipi", "self-IPI by x2APIC, to the end of its handler", "", true, Fifth),
        new("timer-arm", "APIC timer: arming", "", true),
        new("timer-hlt", "APIC timer due at once: arming, HLT, interrupt", "", true, Fifth),
        new("hlt-wake", "HLT for 100 us by the APIC timer: what is over it", "", true, Fifth),
        new("signal-and-back", "SignalEvent to a VSP, its answer, the interrupt", "", true),
        new("read-4k", "read of 4 KiB from a disk in memory, alone", "", true),
        new("read-4k-of-32", "the same, each of 32 at once", "", true),
        new("signals-of-32", "signals to the VSP for 32 reads at once", "signals", true, Bar.AtMost(1, "<= 1 a batch")),
        new("answers-of-32", "signals back", "signals", true, Bar.AtMost(1, "<= 1 a batch")),
    ];

    public static readonly BenchRow[] Whole =
    [
        new("boot", "guest: kernel's entry to userspace (limit: the bare emulator)", "M", true, Bar.Times(1.1, Subject.Limit, "<= 1.1 x bare")),
        new("power-on", "hypervisor's first instruction to a guest's userspace", "M", true),
        new("added", "the same, beyond that kernel on the bare emulator", "M", true, Bar.Times(0.2, Subject.Kvm, "<= KVM / 5"), Bar.Times(0.2, Subject.Xen, "<= Xen / 5")),
        new("vm-memory", "memory for a VM of 512 MiB beyond the guest's own", "KiB", false, Bar.AtMost(4096, "<= 4096 KiB")),
        new("host-memory", "memory of hypervisor and root, no VM", "MiB", false, Bar.AtMost(64, "<= 64 MiB")),
        new("idle", "guest idle: entries for its own timers", "1/s", false),
        new("idle-root", "guest idle: entries of the root's processor", "1/s", false, Bar.AtMost(1, "none periodic")),
        new("core-size", "code and data of the core (KVM: its two modules)", "KiB", false, Bar.AtMost(300, "<= 300 KiB")),
        new("wall-boot", "by the clock: start of the emulator to a guest's userspace (limit: bare)", "s", false),
        new("wall-read-1", "by the clock: reads of 4 KiB from a disk in memory, one at a time", "1/s", false),
        new("wall-read-32", "the same, 32 at once", "1/s", false),
    ];

    public static IEnumerable<BenchRow> All => RoundTrips.Concat(Whole);
}

/// <summary>The values that were found, and why others were not.</summary>
public sealed class BenchResults
{
    private readonly Dictionary<(string Row, Subject Subject), double> values = [];
    private readonly Dictionary<(string Row, Subject Subject), string> reasons = [];

    public double? Get(string row, Subject subject) => values.TryGetValue((row, subject), out double value) ? value : null;
    public string ReasonFor(string row, Subject subject) => reasons.GetValueOrDefault((row, subject));
    public void Set(string row, Subject subject, double value) => values[(row, subject)] = value;
    public void Skip(string row, Subject subject, string reason) => reasons[(row, subject)] = reason;
    public bool Has(Subject subject) => values.Keys.Any(k => k.Subject == subject);

    /// <summary>The medians of a cost guest.</summary>
    public void Add(Subject subject, CostLines lines)
    {
        foreach (BenchRow row in BenchRows.RoundTrips)
            if (lines.Costs.TryGetValue(row.Name, out Cost cost))
                Set(row.Name, subject, cost.Median);
            else if (lines.Skipped.TryGetValue(row.Name, out string reason))
                Skip(row.Name, subject, reason);
    }

    /// <summary>How many times Lamina's value another's is; null: one of them is missing or nothing.</summary>
    public double? Ratio(string row, Subject numerator, Subject denominator) =>
        Get(row, numerator) is { } above && Get(row, denominator) is { } below && below > 0 ? above / below : null;

    /// <summary>Three significant digits, or whole numbers.</summary>
    public static string Show(double? value) => value switch
    {
        null => "-",
        { } v when v >= 100 || v == Math.Floor(v) => v.ToString("#,0", CultureInfo.InvariantCulture),
        { } v => v.ToString(v >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture),
    };

    /// <summary>Rows whose value left the one of another run by more than a share; only what the emulator counts.</summary>
    public static IEnumerable<string> Differences(BenchResults ours, BenchResults theirs, double share) =>
        from row in BenchRows.All
        where row.Counted
        from subject in Enum.GetValues<Subject>()
        let before = theirs.Get(row.Name, subject)
        let now = ours.Get(row.Name, subject)
        where before != null && now != null && Math.Abs(now.Value - before.Value) > share * Math.Abs(before.Value)
        select $"{row.Name}, {subject}: {Show(now)}, before {Show(before)}";
}
