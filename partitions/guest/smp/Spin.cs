// All processors use all that they can get, without an exit: what share that is, the root's counters say.
using System.Threading;

namespace Lamina.Guest.Smp;

public static unsafe class Spin
{
    public static void Run()
    {
        Serial.Line("smp: spinning"u8);
        Crew.Begin();
        Processors.GiveOthers(&Work);
        Work(Processors.At(0));
    }

    private static void Work(Processor* processor)
    {
        for (ulong i = 0; ; i++) Volatile.Write(ref *(ulong*)processor->Scratch, i);
    }
}
