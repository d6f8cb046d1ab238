// Finds the UEFI firmware of the emulated machine.
using System.IO;
using System.Linq;

namespace Lamina.Tools.Run;

/// <summary>OVMF as two flash files: code (read only) and variables (copied for each machine).</summary>
public sealed record Firmware(string Code, string Variables)
{
    private static readonly string[] Folders =
        ["/usr/share/OVMF", "/usr/share/edk2/ovmf", "/usr/share/edk2/x64", "/usr/share/qemu", @"C:\Program Files\qemu\share"];
    private static readonly (string Code, string Variables)[] Names =
        [("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"), ("OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"), ("OVMF_CODE.fd", "OVMF_VARS.fd"), ("edk2-x86_64-code.fd", "edk2-i386-vars.fd")];

    /// <summary>The first pair on this machine, or null.</summary>
    public static Firmware Find() =>
        (from folder in Folders
         from name in Names
         let found = new Firmware(Path.Combine(folder, name.Code), Path.Combine(folder, name.Variables))
         where File.Exists(found.Code) && File.Exists(found.Variables)
         select found).FirstOrDefault();
}
