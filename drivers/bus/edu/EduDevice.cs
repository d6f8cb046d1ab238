// QEMU's educational PCI device: computes factorials and interrupts by MSI. It shows that a device's message reaches its driver.
// QEMU documentation, "EDU device".
using System;
using Lamina.Drivers.Bus.Pci;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Drivers.Bus.Edu;

/// <summary>One test run at a time; the outcome is one line: PASS msi, FAIL msi with a reason, or skipped.</summary>
public unsafe struct EduTest<THost> where THost : struct, IDriverHost
{
    private const ushort Vendor = 0x1234, Device = 0x11E8;

    // Registers behind base address 0
    private const ulong Identification = 0x00, Factorial = 0x08, Status = 0x20, InterruptStatus = 0x24, InterruptAcknowledge = 0x64;
    private const ulong RegisterBytes = 0x100;
    private const uint IdentificationLow = 0xED, RaiseWhenDone = 0x80;
    private const uint Number = 5, ExpectedFactorial = 120;
    private const ulong Patience = 10_000_000; // 1 s

    private PciFunction function;
    private ulong registers;
    private InterruptMessage message;
    private WorkItem arrived;
    private DeadlineTimer overdue;
    private uint interruptStatus;
    private bool running;

    /// <summary>Asks the device for a factorial with an interrupt at its end. <paramref name="test"/> must stay where it is.</summary>
    public static void Start(EduTest<THost>* test)
    {
        if (test->running)
        {
            THost.Report("test msi: still running"u8);
            return;
        }
        if (!PciBus.TryFind(Vendor, Device, out test->function))
        {
            THost.Report("skipped: no edu device"u8);
            return;
        }
        test->running = true;
        test->interruptStatus = 0;
        test->arrived = new WorkItem { Handler = &OnArrived, Context = test };
        test->overdue = new DeadlineTimer { Handler = &OnOverdue, Context = test };
        test->function.Enable();
        if (!test->function.TryMapRegisters<THost>(0, RegisterBytes, out test->registers)) test->Fail("its registers cannot be mapped"u8, 0);
        else if ((Mmio.Read32(test->registers + Identification) & 0xFF) != IdentificationLow) test->Fail("identification is "u8, Mmio.Read32(test->registers));
        else if (!THost.TryConnectMessage(test->function.Address, &OnInterrupt, test, out test->message)) test->Fail("no message was allotted"u8, 0);
        else if (!PciMessages.TryEnableMsi(test->function, test->message)) test->Fail("no MSI capability"u8, 0);
        else Compute(test);
    }

    private static void Compute(EduTest<THost>* test)
    {
        THost.Arm(&test->overdue, THost.Now + Patience);
        Mmio.Write32(test->registers + Status, RaiseWhenDone);
        Mmio.Write32(test->registers + Factorial, Number);
    }

    private static void OnInterrupt(void* context)
    {
        EduTest<THost>* test = (EduTest<THost>*)context;
        test->interruptStatus = Mmio.Read32(test->registers + InterruptStatus);
        Mmio.Write32(test->registers + InterruptAcknowledge, test->interruptStatus);
        THost.Queue(&test->arrived);
    }

    private static void OnArrived(void* context)
    {
        EduTest<THost>* test = (EduTest<THost>*)context;
        THost.Cancel(&test->overdue);
        uint result = Mmio.Read32(test->registers + Factorial);
        if (test->interruptStatus == 0) test->Fail("interrupt without a cause"u8, 0);
        else if (result != ExpectedFactorial) test->Fail("factorial is "u8, result);
        else test->End("PASS msi"u8);
    }

    private static void OnOverdue(void* context)
    {
        EduTest<THost>* test = (EduTest<THost>*)context;
        test->Fail("no interrupt within a second, status "u8, Mmio.Read32(test->registers + InterruptStatus));
    }

    private void Fail(ReadOnlySpan<byte> why, uint value)
    {
        byte* buffer = stackalloc byte[96];
        TextWriter line = new(buffer, 96);
        line.Text("FAIL msi "u8).Text(why);
        if (value != 0) line.Hex(value);
        End(line.Written);
    }

    private void End(ReadOnlySpan<byte> outcome)
    {
        PciMessages.DisableMsi(function);
        if (message.Vector != 0) THost.DisconnectMessage(function.Address, message);
        message = default;
        running = false;
        THost.Report(outcome);
    }
}
