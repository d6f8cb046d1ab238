// A CD that GRUB starts lamina.mb2 from, on a BIOS machine.
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>ISO 9660 with an El Torito image of GRUB, made with grub-mkimage and xorriso.</summary>
public static class GrubDisc
{
    private const string Kernel = "boot/lamina.mb2";

    /// <summary>What GRUB needs to find the files, to load them and to say on COM1 what went wrong.</summary>
    private static readonly string[] Modules = ["biosdisk", "iso9660", "normal", "multiboot2", "serial", "terminal", "vbe", "vga"];

    /// <param name="screen">What GRUB leaves on the screen.</param>
    public static async Task WriteAsync(string disc, BootFiles files, GrubScreen screen)
    {
        string root = Directory.CreateTempSubdirectory("lamina-disc-").FullName;
        try
        {
            string core = Path.Combine(root, "eltorito.img"), configuration = Path.Combine(root, "grub.cfg");
            await ChildProcess.RequireAsync("grub-mkimage", ["-O", "i386-pc-eltorito", "-p", "/boot/grub", "-o", core, .. Modules]);
            await File.WriteAllTextAsync(configuration, GrubConfiguration.Text("/" + Kernel, files, screen));
            var content = new Dictionary<string, string>(files.Beside)
            {
                [Kernel] = files.Multiboot2, ["boot/grub/grub.cfg"] = configuration, ["boot/grub/eltorito.img"] = core,
            };
            await ChildProcess.RequireAsync("xorriso",
            [
                "-as", "mkisofs", "-quiet", "-o", disc, "-V", "LAMINA", "-R", "-J", "-b", "boot/grub/eltorito.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
                "-graft-points", .. content.Select(c => Escape(c.Key) + "=" + Escape(c.Value)),
            ]);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    // In a graft point a backslash protects the next character.
    private static string Escape(string path) => path.Replace("\\", "\\\\").Replace("=", "\\=");
}

/// <summary>What GRUB leaves on the screen: the framebuffer that lamina.mb2 asks for, or text.</summary>
public enum GrubScreen { Framebuffer, Text }

/// <summary>grub.cfg.</summary>
public static class GrubConfiguration
{
    /// <param name="kernel">Path of lamina.mb2 on the medium.</param>
    public static string Text(string kernel, BootFiles files, GrubScreen screen)
    {
        var text = new StringBuilder();
        text.Append("if serial --unit=0 --speed=115200; then terminal_output console serial; fi\n");
        text.Append($"multiboot2 {Quote(kernel)}\n");
        foreach (string name in files.Files.Keys)
            text.Append($"module2 {Quote("/" + NamedFiles.Place(name))} {Quote(name)}\n");
        // The kernel's wish has been taken down by now, so this overrides it.
        if (screen == GrubScreen.Text)
            text.Append("set gfxpayload=text\n");
        return text.Append("boot\n").ToString();
    }

    private static string Quote(string word) => "'" + word.Replace("'", "'\\''") + "'";
}
