// All processors at work without end: for whoever takes the guest away in the middle of it.
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

/// <summary>Interrupts, halts, timers, flushes and plain work in a random order on every processor.</summary>
public static unsafe class Busy
{
    private const byte Vector = 0x68;

    public static void Run()
    {
        Serial.Line("smp: busy"u8);
        Crew.Begin();
        Processors.GiveOthers(&Work);
        Work(Processors.At(0));
    }

    private static void Work(Processor* processor)
    {
        while (true)
        {
            Processor* other = Processors.At((int)(processor->Random() % (uint)Processors.Count));
            switch (processor->Random() % 5)
            {
                case 0:
                    LocalApic.SendTo(other->ApicId, InterruptCommand.Of(DeliveryMode.Fixed, Vector));
                    break;
                case 1:
                    LocalApic.StartTimer(Vector, 0, 20_000 + processor->Random() % 50_000);
                    Instructions.StiHlt();
                    Instructions.Cli();
                    break;
                case 2:
                    if (Processors.CanCall) FlushAll(processor);
                    break;
                case 3:
                    CpuidLeafValue.Read(1);
                    break;
                default:
                    for (uint i = processor->Random() % 5000; i > 0; i--) Volatile.Write(ref *(ulong*)processor->Scratch, i);
                    break;
            }
        }
    }

    private static void FlushAll(Processor* processor)
    {
        HvInputFlushVirtualAddressSpace* input = (HvInputFlushVirtualAddressSpace*)processor->Input;
        *input = new() { AddressSpace = Instructions.ReadCr3(), Flags = HvFlushFlags.HV_FLUSH_ALL_PROCESSORS };
        Processors.Call(HypercallCode.HvCallFlushVirtualAddressSpace, (ulong)input);
    }
}
