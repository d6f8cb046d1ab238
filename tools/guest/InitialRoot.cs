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
        dmesg -n 5 # what the kernel says from here on would break into lines
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

    // What a Linux guest can say about the partition it is in: PASS and FAIL lines, as the boot tests count them.
    private const string Checks = """
        #!/bin/sh
        result() { if [ "$2" = 0 ]; then echo "PASS $1"; else echo "FAIL $1 $3"; fi; }
        dmesg -n 1; log=/tmp/dmesg; dmesg > $log
        source=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
        grep -q 'Hypervisor detected: Microsoft Hyper-V' $log; result hypervisor-detected $? "dmesg does not name Hyper-V"
        [ "$source" = hyperv_clocksource_tsc_page ]; result hyperv-clocksource $? "current clocksource is $source"
        grep -q 'Hyper-V clockevent' /sys/devices/system/clockevents/clockevent0/current_device
        result hyperv-clockevent $? "clock event device is $(cat /sys/devices/system/clockevents/clockevent0/current_device)"
        stimer=$(sed -n 's/^ *HVS: *\([0-9]*\).*/\1/p' /proc/interrupts)
        [ "${stimer:-0}" -gt 0 ]; result direct-stimer $? "/proc/interrupts counts no stimer0 interrupt"
        ! grep -Eq '^ *0:.*timer' /proc/interrupts; result no-pit $? "$(grep -E '^ *0:' /proc/interrupts)"
        grep -q 'Using NULL legacy PIC' $log; result no-pic $? "dmesg does not say NULL legacy PIC"
        bad=$(grep -E 'WARNING:|BUG:|Oops|Call Trace|cut here|ACPI (BIOS )?(Error|Warning)|soft lockup|rcu.*stall|Spurious' $log | head -n 3 | tr '\n' ';')
        [ -z "$bad" ]; result no-warnings $? "$bad"
        before=$(cut -d. -f1 /proc/uptime); sleep 2; after=$(cut -d. -f1 /proc/uptime)
        [ $((after - before)) -ge 1 ] && [ $((after - before)) -le 4 ]; result sleep $? "2 s of sleep took $((after - before)) s"
        [ "$(date +%Y)" -ge 2024 ]; result wall-clock $? "$(date)"
        cat /proc/interrupts
        echo "CHECKS-ENDED"

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
        archive.AddFile("bin/guest-checks", Encoding.UTF8.GetBytes(Checks.ReplaceLineEndings("\n")), executable: true);
        archive.AddFile("etc/passwd", "root::0:0:root:/root:/bin/sh\n"u8.ToArray(), executable: false);
        archive.WriteTo(target + ".partial");
        File.Move(target + ".partial", target, overwrite: true);
    }
}
