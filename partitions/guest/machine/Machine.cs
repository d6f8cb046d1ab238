// The way of a guest from its first line of C# to its end.
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>start.asm calls the guest's own export "guest_main" with what the boot loader left in EAX and EBX.</summary>
public static unsafe class Machine
{
    private const ushort DebugExitPort = 0xF4;

    /// <summary>Console, tables, APIC and clock: comes first.</summary>
    public static void Initialize(uint magic, uint information)
    {
        MaskLegacyInterrupts();
        Serial.Initialize();
        DescriptorTables.Initialize();
        LocalApic.Initialize();
        BootInformation.Initialize(magic, information);
        Clock.Initialize();
    }

    /// <summary>An exception outside of any check: there is no way on.</summary>
    public static void Die(InterruptFrame* frame)
    {
        byte* buffer = stackalloc byte[96];
        var line = new TextWriter(buffer, 96);
        line.Text("FAIL guest exception "u8).Decimal(frame->Vector).Text(" error "u8).Hex(frame->ErrorCode).Text(" at "u8).Hex(frame->Rip);
        Serial.Line(line.Written);
        Leave(2);
    }

    // A bare machine has 8259s, whose vectors are those of exceptions; where there are none, the writes vanish.
    private static void MaskLegacyInterrupts()
    {
        Instructions.Out8(0x21, 0xFF);
        Instructions.Out8(0xA1, 0xFF);
    }

    /// <summary>Ends by the debug-exit port, else stands still.</summary>
    public static void Leave(uint code)
    {
        Instructions.Out32(DebugExitPort, code);
        while (true)
        {
            Instructions.Cli();
            Instructions.Hlt();
        }
    }
}
