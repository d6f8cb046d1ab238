// The firmware's way in.
using System;
using System.Runtime;
using Lamina.Boot.Efi;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Boot;

public static unsafe class EntryPoint
{
    private const ulong TenSeconds = 100_000_000; // 100 ns each

    /// <summary>UEFI Specification 2.10, "EFI_IMAGE_ENTRY_POINT". Returns only when Lamina could not be started.</summary>
    [RuntimeExport("efi_main")]
    private static ulong Main(void* imageHandle, EfiSystemTable* system)
    {
        ulong bootTsc = Instructions.RdTsc();
        FirmwareConsole.Initialize(system);
        LoaderMemory.Initialize(system->BootServices);
        system->BootServices->SetWatchdogTimer(0, 0, 0, null); // reading a big disk may take longer than its five minutes
        Greet(system);
        Loader loader = new(imageHandle, system, bootTsc);
        loader.Run();
        LoaderMemory.FreeAll();
        WaitForReader(system);
        return EfiStatus.EFI_ABORTED;
    }

    private static void Greet(EfiSystemTable* system)
    {
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: Lamina on UEFI "u8).Decimal(system->Hdr.Revision >> 16).Text("."u8).Decimal((system->Hdr.Revision & 0xFFFF) / 10).Text(", "u8);
        for (int i = 0; i < 60 && system->FirmwareVendor != null && system->FirmwareVendor[i] != 0; i++)
        {
            line.Char(system->FirmwareVendor[i] is >= 0x20 and < 0x7F ? (byte)system->FirmwareVendor[i] : (byte)'?');
        }
        BootConsole.WriteLine(ref line);
    }

    /// <summary>Leaves the reason on the screen until a key is pressed, ten seconds at most.</summary>
    private static void WaitForReader(EfiSystemTable* system)
    {
        BootConsole.WriteLine("boot: not started; back to the firmware at a key, or in 10 s"u8);
        void** events = stackalloc void*[2];
        void* timer = null;
        if (EfiStatus.IsError(system->BootServices->CreateEvent(EfiBootServices.EVT_TIMER, 0, null, null, &timer)))
        {
            return;
        }
        system->BootServices->SetTimer(timer, EfiTimerDelay.TimerRelative, TenSeconds);
        events[0] = timer;
        ulong count = 1;
        if (system->ConIn != null)
        {
            system->ConIn->Reset(system->ConIn, 0); // a key still waiting from the boot menu is no answer
            events[1] = system->ConIn->WaitForKey;
            count = 2;
        }
        ulong index;
        system->BootServices->WaitForEvent(count, events, &index);
        system->BootServices->CloseEvent(timer);
    }
}
