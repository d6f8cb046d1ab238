// The Multiboot2 loader's way in.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Boot;

public static unsafe class EntryPoint
{
    /// <summary>The header's address tag, whose third and fifth number say where this image begins and ends (start.asm).</summary>
    [RuntimeImport("*", "multiboot2_address_tag"), MethodImpl(MethodImplOptions.InternalCall)] private static extern uint* AddressTag();

    /// <param name="magic">What the loader left in EAX.</param>
    /// <param name="information">What it left in EBX: the address of the boot information.</param>
    [RuntimeExport("multiboot2_main")]
    private static void Main(uint magic, uint information)
    {
        ulong bootTsc = Instructions.RdTsc();
        BootConsole.UseSerialPort(configured: false);
        if (magic != Multiboot2Tags.LoaderMagic)
        {
            TextWriter line = BootConsole.BeginLine();
            line.Text("boot: stopped: EAX is "u8).Hex(magic).Text(": expected 36D76289, which a Multiboot2 loader leaves there"u8);
            BootConsole.Stop(line.Written);
        }
        uint* tag = AddressTag();
        Loader loader = new((byte*)(ulong)information, bootTsc);
        loader.Run(tag[3], tag[5]);
        BootConsole.Stop("boot: stopped: not started, for the reason above"u8);
    }
}
