// The files that a lamina.json names, and where they are on a boot medium.
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;

namespace Lamina.Tools.Run;

public static partial class NamedFiles
{
    /// <summary>As the loaders understand them: escapes resolved, forward slashes. Found by pattern, so that it works on a broken lamina.json too.</summary>
    public static string[] In(string config) =>
        Named().Matches(config).Select(m => Slashes().Replace(Escape().Replace(m.Groups[1].Value, Unescape), "/")).Distinct().ToArray();

    /// <summary>Path on the medium: in the folder lamina, or, of a name with a leading slash, from the volume's root on.</summary>
    public static string Place(string name) => IsRooted(name) ? Relative(name) : "lamina/" + name;

    /// <summary>The name as it is looked for in a folder of this machine.</summary>
    public static string Relative(string name) => name.TrimStart('/');

    private static bool IsRooted(string name) => name.StartsWith('/');

    // What is no escape of JSON is a mistake that the root reports: most likely a separator.
    private static string Unescape(Match escape) => escape.Value[1] switch
    {
        '"' => "\"",
        'u' when escape.Length == 6 => ((char)int.Parse(escape.ValueSpan[2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToString(),
        '\\' or '/' => "/",
        char other => "/" + other,
    };

    [GeneratedRegex("""(?<![\\\w])"(?:kernel|initrd|path)"\s*:\s*"((?:[^"\\\n]|\\.)+)""")]
    private static partial Regex Named();

    [GeneratedRegex(@"\\(?:u[0-9a-fA-F]{4}|.)")]
    private static partial Regex Escape();

    [GeneratedRegex(@"[/\\]+")]
    private static partial Regex Slashes();
}
