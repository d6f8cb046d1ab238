// The guest's local APIC, in whichever mode it is.
using Lamina.X64;

namespace Lamina.Guest;

public static class LocalApic
{
    public const uint MaskedBit = 1 << 16, PeriodicBit = 1 << 17, TscDeadlineBit = 1 << 18;
    public const uint DivideBy1 = 0xB;
    private const uint SoftwareEnable = 1 << 8;

    public static bool IsX2Apic => new ApicBase(Instructions.RdMsr(Msr.IA32_APIC_BASE)).EXTD;

    /// <summary>Software-enabled, nothing blocked, timer masked.</summary>
    public static void Initialize()
    {
        Write(ApicRegisters.SpuriousInterruptVector, SoftwareEnable | Interrupts.SpuriousVector);
        Write(ApicRegisters.TaskPriority, 0);
        StopTimer();
    }

    public static uint Read(uint register) => IsX2Apic
        ? (uint)Instructions.RdMsr(ApicRegisters.ToMsr(register))
        : Mmio.Read32(ApicBase.DefaultAddress + register);

    public static void Write(uint register, uint value)
    {
        if (IsX2Apic) Instructions.WrMsr(ApicRegisters.ToMsr(register), value);
        else Mmio.Write32(ApicBase.DefaultAddress + register, value);
    }

    public static void EndOfInterrupt() => Write(ApicRegisters.EOI, 0);

    public static uint Id => IsX2Apic ? Read(ApicRegisters.LocalApicId) : Read(ApicRegisters.LocalApicId) >> 24;

    /// <summary>An interrupt for this processor.</summary>
    public static void SendSelf(byte vector) => Send(InterruptCommand.Of(DeliveryMode.Fixed, vector).WithDestinationShorthand(InterruptCommand.Self));

    /// <summary>To one processor, by its ID.</summary>
    public static void SendTo(uint id, InterruptCommand command) =>
        Send(IsX2Apic ? command.WithX2ApicDestination(id) : command.WithXApicDestination((byte)id));

    public static void Send(InterruptCommand command)
    {
        if (IsX2Apic)
        {
            Instructions.WrMsr(ApicRegisters.ToMsr(ApicRegisters.InterruptCommandLow), command.Value);
            return;
        }
        Write(ApicRegisters.InterruptCommandHigh, (uint)(command.Value >> 32));
        Write(ApicRegisters.InterruptCommandLow, (uint)command.Value);
    }

    /// <summary>An NMI addressed by this processor's ID: the shorthand knows fixed interrupts only.</summary>
    public static void SendNmiToSelf()
    {
        SendTo(Id, InterruptCommand.Of(DeliveryMode.NMI, 0));
    }

    public static bool IsBitSet(uint bank, byte vector) => (Read(bank + (uint)(vector >> 5) * 16) >> (vector & 31) & 1) != 0;

    /// <summary>Starts the timer; <paramref name="mode"/> of the bits above.</summary>
    public static void StartTimer(byte vector, uint mode, uint count)
    {
        Write(ApicRegisters.DivideConfiguration, DivideBy1);
        Write(ApicRegisters.LvtTimer, vector | mode);
        Write(ApicRegisters.InitialCount, count);
    }

    public static void StopTimer()
    {
        Write(ApicRegisters.LvtTimer, MaskedBit);
        Write(ApicRegisters.InitialCount, 0);
    }
}
