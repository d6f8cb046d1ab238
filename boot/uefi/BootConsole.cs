// Where the loader's lines go: the firmware's console and COM1, each line once on each.
using System;
using System.Runtime;
using Lamina.Boot.Efi;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Boot;

/// <summary>Lines of up to 240 bytes. After <see cref="LeaveFirmware"/> only COM1 is left.</summary>
public static unsafe class BootConsole
{
    public const int LineCapacity = 240;

    private static EfiSimpleTextOutputProtocol* firmware;
    private static bool serialPresent;
    private static bool firmwareWritesSerial;
    private static LineBuffer lineBuffer;

    private struct LineBuffer
    {
        public fixed byte Bytes[LineCapacity];
    }

    /// <summary>Must run first.</summary>
    public static void Initialize(EfiSystemTable* system)
    {
        firmware = system->ConOut;
        serialPresent = SerialPort.IsPresent();
        firmwareWritesSerial = serialPresent && FirmwareWritesToCom1(system->BootServices);
        if (serialPresent && !firmwareWritesSerial)
        {
            SerialPort.Initialize();
        }
    }

    /// <summary>Boot services are gone: from here on this code talks to COM1 itself.</summary>
    public static void LeaveFirmware()
    {
        firmware = null;
        firmwareWritesSerial = false;
    }

    /// <summary>An empty line to fill; there is one buffer, so one line at a time.</summary>
    public static TextWriter BeginLine()
    {
        fixed (byte* buffer = lineBuffer.Bytes)
        {
            return new TextWriter(buffer, LineCapacity);
        }
    }

    /// <summary>Writes what <paramref name="line"/> holds, and ends the line.</summary>
    public static void WriteLine(ref TextWriter line) => WriteLine(line.Written);

    public static void WriteLine(ReadOnlySpan<byte> text)
    {
        if (serialPresent && !firmwareWritesSerial)
        {
            foreach (byte value in text)
            {
                SerialPort.Write(value);
            }
            SerialPort.Write((byte)'\r');
            SerialPort.Write((byte)'\n');
        }
        if (firmware == null)
        {
            return;
        }
        ushort* wide = stackalloc ushort[LineCapacity + 3];
        int length = 0;
        for (; length < text.Length && length < LineCapacity; length++)
        {
            wide[length] = text[length] is >= 0x20 and < 0x7F ? text[length] : (ushort)'?';
        }
        wide[length] = '\r';
        wide[length + 1] = '\n';
        wide[length + 2] = 0;
        firmware->OutputString(firmware, wide);
    }

    /// <summary>A violated check inside this image (bounds, overflow): says so and stops. The codes are corelib's ThrowHelpers'.</summary>
    [RuntimeExport("lamina_fail_fast")]
    private static void FailFast(ulong reason)
    {
        TextWriter line = BeginLine();
        line.Text("boot: stopped: a check of the loader itself failed, code "u8).Decimal(reason);
        Stop(line.Written);
    }

    /// <summary>Says why and stops the machine: for when there is neither a core nor a firmware to go to.</summary>
    public static void Stop(ReadOnlySpan<byte> reason)
    {
        WriteLine(reason);
        while (true)
        {
            Instructions.Cli();
            Instructions.Hlt();
        }
    }

    /// <summary>Whether one of the devices that the firmware's console writes to is COM1; a firmware that does not tell answers no.</summary>
    private static bool FirmwareWritesToCom1(EfiBootServices* services)
    {
        EfiGuid marker = EfiGuid.ConsoleOutDevice;
        EfiGuid devicePath = EfiGuid.EFI_DEVICE_PATH_PROTOCOL;
        ulong count = 0;
        void** handles = null;
        if (EfiStatus.IsError(services->LocateHandleBuffer(EfiBootServices.ByProtocol, &marker, null, &count, &handles)))
        {
            return false;
        }
        bool found = false;
        for (ulong i = 0; i < count && !found; i++)
        {
            void* path = null;
            found = !EfiStatus.IsError(services->HandleProtocol(handles[i], &devicePath, &path)) && path != null
                && DevicePathScan.IsCom1((byte*)path);
        }
        services->FreePool(handles);
        return found;
    }
}
