// The reference guest's root file system: busybox, and an init that says when it is ready.
using System.IO;
using System.Text;

namespace Lamina.Tools.Guest;

/// <summary>Builds the initrd around a static busybox.</summary>
public static class InitialRoot
{
    // lamina.run=CMD or lamina.run="CMD WITH SPACES" on the kernel command line is run once the banner is out.
    private const string Init = """
        #!/bin/busybox sh
        /bin/busybox mkdir -p /proc /sys /dev /tmp /run /root
        /bin/busybox mount -t proc proc /proc
        /bin/busybox mount -t sysfs sysfs /sys
        /bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
        /bin/busybox --install -s
        export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=linux PS1='lamina:\w# '
        hostname lamina
        exec </dev/console >/dev/console 2>&1
        tty=/dev/console
        for word in $(cat /proc/cmdline); do
            case "$word" in console=ttyS*|console=hvc*) tty=/dev/${word#console=}; tty=${tty%%,*} ;; esac
        done
        echo "LAMINA-GUEST-READY $(uname -r) $(nproc) processor(s) $(grep MemTotal /proc/meminfo | tr -s ' ' | cut -d' ' -f2,3)"
        run=$(sed -n 's/.*lamina\.run="\([^"]*\)".*/\1/p; t; s/.*"lamina\.run=\([^"]*\)".*/\1/p; t; s/.*lamina\.run=\([^ ]*\).*/\1/p' /proc/cmdline)
        cd /root
        if [ -n "$run" ]; then
            sh -c "$run"
            echo "LAMINA-RUN-ENDED $?"
        fi
        while true; do
            setsid sh -c "exec sh -i <$tty >$tty 2>&1"
            sleep 1
        done

        """;

    public static void Write(string busybox, string target)
    {
        var archive = new CpioArchive();
        foreach (string folder in new[] { "bin", "sbin", "usr", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "root", "etc" })
            archive.AddDirectory(folder);
        archive.AddCharacterDevice("dev/console", 5, 1);
        archive.AddCharacterDevice("dev/null", 1, 3);
        archive.AddFile("bin/busybox", File.ReadAllBytes(busybox), executable: true);
        archive.AddLink("bin/sh", "busybox");
        archive.AddFile("init", Encoding.UTF8.GetBytes(Init.ReplaceLineEndings("\n")), executable: true);
        archive.AddFile("etc/passwd", "root::0:0:root:/root:/bin/sh\n"u8.ToArray(), executable: false);
        archive.WriteTo(target + ".partial");
        File.Move(target + ".partial", target, overwrite: true);
    }
}
