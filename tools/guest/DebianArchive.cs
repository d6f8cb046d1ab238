// Fetches Debian packages without touching the machine's own package state.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Formats.Tar;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

namespace Lamina.Tools.Guest;

/// <summary>One version of a package, as the archive lists it.</summary>
public sealed record DebianPackage(string Name, string Version, string Depends);

/// <summary>
/// apt with its own lists and sources under the cache: the suites wanted, from the site that the machine itself uses.
/// Needs no privilege.
/// </summary>
public sealed partial class DebianArchive(string folder)
{
    public const string Suite = "bookworm";
    private const string Keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    private bool updated;

    private Dictionary<string, string> Environment => new() { ["APT_CONFIG"] = Path.Combine(folder, "apt.conf"), ["LC_ALL"] = "C" };

    /// <summary>Every version of a package that the suites offer.</summary>
    public async Task<List<DebianPackage>> VersionsAsync(string package)
    {
        await UpdateAsync();
        Outcome shown = await ChildProcess.RunAsync("apt-cache", ["show", package], environment: Environment);
        return shown.Output.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Select(stanza => new DebianPackage(package, Field(stanza, "Version"), Field(stanza, "Depends"))).ToList();
    }

    /// <summary>The file with the suites wanted, as apt and mmdebstrap read it.</summary>
    public async Task<string> SourcesAsync()
    {
        await UpdateAsync();
        return Path.Combine(folder, "sources.list");
    }

    /// <summary>What an installation of these packages, besides the essential ones, consists of: "name version", in order.</summary>
    public async Task<string[]> ResolveAsync(IEnumerable<string> packages)
    {
        await UpdateAsync();
        // apt counts itself among the essential packages, mmdebstrap does not.
        Outcome plan = await ChildProcess.RequireAsync("apt-get",
            ["install", "-s", "-q", "--no-install-recommends", "?and(?essential,?not(?exact-name(apt)))", .. packages], environment: Environment);
        return Planned().Matches(plan.Output).Select(m => $"{m.Groups[1].Value} {m.Groups[2].Value}").Order(StringComparer.Ordinal).ToArray();
    }

    /// <summary>Downloads one version; the file stays in the cache.</summary>
    public async Task<string> DownloadAsync(DebianPackage package)
    {
        string target = FileOf(package);
        if (File.Exists(target))
            return target;
        await UpdateAsync();
        string work = Directory.CreateDirectory(target + ".partial").FullName;
        string Progress() => Directory.EnumerateFiles(work).Sum(f => new FileInfo(f).Length) is var n and > 0 ? $"{n / 1e6:0.0} MB" : "";
        await Report.StepAsync($"downloading {package.Name} {package.Version}",
            () => ChildProcess.RequireAsync("apt-get", ["download", "-q", $"{package.Name}={package.Version}"], folder: work, environment: Environment), Progress);
        File.Move(Directory.EnumerateFiles(work, "*.deb").Single(), target, overwrite: true);
        Directory.Delete(work, recursive: true);
        return target;
    }

    /// <summary>Downloads packages and what they depend on, recommendations left out; the files stay in the cache.</summary>
    public async Task<string[]> DownloadWithDependenciesAsync(params string[] packages)
    {
        await UpdateAsync();
        Outcome plan = await ChildProcess.RequireAsync("apt-get", ["install", "-s", "-q", "--no-install-recommends", .. packages], environment: Environment);
        DebianPackage[] planned = Planned().Matches(plan.Output).Select(m => new DebianPackage(m.Groups[1].Value, m.Groups[2].Value, "")).ToArray();
        DebianPackage[] missing = planned.Where(p => !File.Exists(FileOf(p))).ToArray();
        if (missing.Length > 0)
        {
            string work = Directory.CreateDirectory(Path.Combine(folder, "packages.partial")).FullName;
            string Progress() => $"{Directory.EnumerateFiles(work, "*.deb").Count()} of {missing.Length} packages";
            await Report.StepAsync($"downloading {string.Join(' ', packages)}", () => ChildProcess.RequireAsync("apt-get",
                ["download", "-q", .. missing.Select(p => $"{p.Name}={p.Version}")], folder: work, environment: Environment), Progress);
            foreach (string file in Directory.EnumerateFiles(work, "*.deb"))
                File.Move(file, Path.Combine(folder, "packages", WithoutArchitecture(Path.GetFileName(file))), overwrite: true);
            Directory.Delete(work, recursive: true);
        }
        return planned.Select(FileOf).ToArray();
    }

    private string FileOf(DebianPackage package) => Path.Combine(folder, "packages", $"{package.Name}_{package.Version.Replace(":", "%3a")}.deb");

    // "name_version_amd64.deb"
    private static string WithoutArchitecture(string file) => file[..file.LastIndexOf('_')] + ".deb";

    /// <summary>Writes the first file of a package whose path matches to <paramref name="target"/>.</summary>
    public static async Task ExtractAsync(string package, string pathPattern, string target)
    {
        var start = new ProcessStartInfo("dpkg-deb") { RedirectStandardOutput = true, ArgumentList = { "--fsys-tarfile", package } };
        using Process process = Process.Start(start);
        await using var tar = new TarReader(process.StandardOutput.BaseStream);
        try
        {
            while (await tar.GetNextEntryAsync() is { } entry)
            {
                if (entry.DataStream == null || !Regex.IsMatch(entry.Name, pathPattern))
                    continue;
                await using (FileStream file = File.Create(target + ".partial"))
                    await entry.DataStream.CopyToAsync(file);
                File.Move(target + ".partial", target, overwrite: true);
                return;
            }
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
        throw new Failure($"{Path.GetFileName(package)} holds no {pathPattern}");
    }

    private async Task UpdateAsync()
    {
        if (updated)
            return;
        if (ChildProcess.Find("apt-get") == null || !File.Exists(Keyring))
            throw new Failure("the guest material comes from Debian packages: apt-get and the Debian archive keyring are needed", 3);
        foreach (string name in new[] { "lists/partial", "cache/archives/partial", "packages" })
            Directory.CreateDirectory(Path.Combine(folder, name));
        (string site, string security) = await SitesAsync();
        string options = $"deb [arch=amd64 signed-by={Keyring}]";
        File.WriteAllText(Path.Combine(folder, "sources.list"),
            $"{options} {site} {Suite} main\n{options} {site} {Suite}-backports main\n{options} {security} {Suite}-security main\n");
        File.WriteAllText(Path.Combine(folder, "status"), "");
        File.WriteAllText(Path.Combine(folder, "apt.conf"), $"""
            Dir::State "{folder}"; Dir::State::status "{folder}/status"; Dir::State::lists "{folder}/lists"; Dir::Cache "{folder}/cache";
            Dir::Etc::sourcelist "{folder}/sources.list"; Dir::Etc::sourceparts "-"; Dir::Etc::preferences "-"; Dir::Etc::preferencesparts "-";
            APT::Sandbox::User ""; APT::Architecture "amd64"; Acquire::Languages "none"; Acquire::Retries "3";
            """);
        string last = "";
        Outcome outcome = await Report.StepAsync("reading Debian's package lists",
            () => ChildProcess.RunAsync("apt-get", ["update", "-q"], line: l => last = l, environment: Environment), () => last);
        if (outcome.ExitCode != 0)
            Report.Say($"note: apt-get update: {outcome.Errors.Trim()}");
        updated = true;
    }

    /// <summary>Where this machine gets Debian from: the main archive and the security archive.</summary>
    private static async Task<(string Main, string Security)> SitesAsync()
    {
        Outcome targets = await ChildProcess.RequireAsync("apt-get", ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
            environment: new Dictionary<string, string> { ["LC_ALL"] = "C" });
        string[][] rows = targets.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')).Where(r => r.Length == 3 && r[2] == "main").ToArray();
        string security = rows.FirstOrDefault(r => r[1].EndsWith("-security"))?[0];
        string main = rows.FirstOrDefault(r => MainSuite().IsMatch(r[1]) && r[0].Contains("debian") && r[0] != security)?[0]
            ?? throw new Failure("this machine's apt sources name no Debian archive to fetch the guest material from", 3);
        return (main, security ?? main.TrimEnd('/') + "-security/");
    }

    private static string Field(string stanza, string name) =>
        Regex.Match(stanza, $"^{name}: (.*)$", RegexOptions.Multiline).Groups[1].Value.Trim();

    // "Inst base-files (12.4+deb12u11 Debian:12.11/stable [amd64])"
    [GeneratedRegex(@"^Inst (\S+) \((\S+) ", RegexOptions.Multiline)]
    private static partial Regex Planned();

    [GeneratedRegex("^(bookworm|trixie|forky|stable|testing|sid|unstable)$")]
    private static partial Regex MainSuite();
}
