// The files that a lamina.json names.
using System.Linq;
using System.Text.RegularExpressions;

namespace Lamina.Tools.Run;

public static partial class NamedFiles
{
    /// <summary>Found by pattern, so that it works on a broken lamina.json too.</summary>
    public static string[] In(string config) =>
        Named().Matches(config).Select(m => m.Groups[1].Value.Replace('\\', '/')).Distinct().ToArray();

    [GeneratedRegex("""(?<![\\\w])"(?:kernel|initrd|path)"\s*:\s*"([^"\n]+)""")]
    private static partial Regex Named();
}
