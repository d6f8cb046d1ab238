// The definition block of a guest: VMBus with its memory windows, processors, serial port, clock, soft off.
using System;
using Lamina.Root.Devices;

namespace Lamina.Root.Acpi;

internal static unsafe class GuestDsdt
{
    private const ulong Present = 0xF; // present, enabled, shown, working

    /// <summary>The terms behind the table header.</summary>
    public static void Write(ref AmlBuilder aml, in AcpiOptions options)
    {
        WriteSleepState(ref aml, "\\_S0"u8, 0);
        WriteSleepState(ref aml, "\\_S5"u8, AcpiPower.SleepTypeS5);
        int scope = aml.BeginScope("\\_SB"u8);
        WriteVmbus(ref aml, options);
        if (options.HasCom1) WriteCom1(ref aml);
        WriteClock(ref aml);
        for (uint i = 0; i < options.ProcessorCount; i++) WriteProcessor(ref aml, i);
        aml.End(scope);
    }

    private static void WriteSleepState(ref AmlBuilder aml, ReadOnlySpan<byte> name, byte type)
    {
        aml.Name(name);
        int package = aml.BeginPackage(4);
        aml.Integer(type); // SLP_TYP for PM1a
        aml.Integer(type); // and for PM1b, which does not exist
        aml.Integer(0);
        aml.Integer(0);
        aml.End(package);
    }

    // Clients take the memory for their devices (a framebuffer, say) from the windows of VMBus's parent.
    private static void WriteVmbus(ref AmlBuilder aml, in AcpiOptions options)
    {
        int module = aml.BeginDevice("VMOD"u8);
        aml.Name("_HID"u8, "ACPI0004"u8);
        aml.Name("_UID"u8, 0UL);
        aml.Name("_CRS"u8);
        int windows = aml.BeginResourceTemplate();
        aml.QWordMemoryProducer(options.LowWindow, options.LowWindowLength);
        aml.QWordMemoryProducer(options.HighWindow, options.HighWindowLength);
        aml.EndResourceTemplate(windows);

        int bus = aml.BeginDevice("VMBS"u8);
        aml.Name("_HID"u8, "VMBus"u8);
        aml.Name("_UID"u8, 0UL);
        aml.Name("_DDN"u8, "VMBUS"u8);
        aml.ConstantMethod("_STA"u8, Present);
        aml.EmptyMethod("_DIS"u8);
        aml.EmptyMethod("_PS0"u8);
        aml.EmptyMethod("_PS3"u8);
        aml.Name("_CRS"u8);
        aml.EndResourceTemplate(aml.BeginResourceTemplate());
        aml.End(bus);
        aml.End(module);
    }

    private static void WriteCom1(ref AmlBuilder aml)
    {
        int device = aml.BeginDevice("COM1"u8);
        aml.Name("_HID"u8);
        aml.EisaId("PNP0501"u8);
        aml.Name("_UID"u8, 1UL);
        aml.ConstantMethod("_STA"u8, Present);
        aml.Name("_CRS"u8);
        int resources = aml.BeginResourceTemplate();
        aml.Io(Uart16550.Com1, Uart16550.RegisterCount);
        aml.Interrupt(Uart16550.Com1Irq, edge: true);
        aml.EndResourceTemplate(resources);
        aml.End(device);
    }

    private static void WriteClock(ref AmlBuilder aml)
    {
        int device = aml.BeginDevice("RTC0"u8);
        aml.Name("_HID"u8);
        aml.EisaId("PNP0B00"u8);
        aml.ConstantMethod("_STA"u8, Present);
        aml.Name("_CRS"u8);
        int resources = aml.BeginResourceTemplate();
        aml.Io(CmosClock.IndexPort, 2);
        aml.EndResourceTemplate(resources);
        aml.End(device);
    }

    // _UID is what ties the device to its entry in the MADT.
    private static void WriteProcessor(ref AmlBuilder aml, uint index)
    {
        byte* name = stackalloc byte[4] { (byte)'C', (byte)'P', HexDigit(index >> 4), HexDigit(index) };
        int device = aml.BeginDevice(new ReadOnlySpan<byte>(name, 4));
        aml.Name("_HID"u8, "ACPI0007"u8);
        aml.Name("_UID"u8, index);
        aml.ConstantMethod("_STA"u8, Present);
        aml.End(device);
    }

    private static byte HexDigit(uint value) => (byte)((value & 15) < 10 ? '0' + (value & 15) : 'A' + (value & 15) - 10);
}
