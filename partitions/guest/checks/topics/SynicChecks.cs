// Messages and events, by way of the SynIC test device. TLFS, "Inter-Partition Communication".
using System;
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>The device that makes connections to this processor's SynIC.</summary>
public static unsafe class SynicDevice
{
    private const ushort Port = 0x3000;
    private const uint CreateRoute = 1, DestroyRoute = 2, Raise = 3, CreateMessage = 4, DestroyMessage = 5, CreateEvent = 6, DestroyEvent = 7;

    /// <summary>An absent device's port reads all ones.</summary>
    public static bool IsPresent => Instructions.In32(Port) != 0xFFFFFFFF;

    /// <summary>HvCallPostMessage with 16 bytes of payload.</summary>
    public static ushort Post(uint connection, uint type, ulong first, ulong second = 0)
    {
        HvInputPostMessage* input = (HvInputPostMessage*)GuestPages.Input;
        input->ConnectionId = connection;
        input->Reserved = 0;
        input->MessageType = type;
        input->PayloadSize = 16;
        input->Payload[0] = first;
        input->Payload[1] = second;
        return Hypercalls.Call(HypercallCode.HvCallPostMessage, GuestPages.Input, 0);
    }

    public static ushort Signal(uint connection, uint flag = 0) => Hypercalls.CallFast(HypercallCode.HvCallSignalEvent, connection | (ulong)flag << 32, 0);

    public static void RaiseSint(uint sint) => Command(Raise, 0, sint);
    public static void ConnectMessage(uint connection, uint sint) => Command(CreateMessage, connection, sint);
    public static void DisconnectMessage(uint connection, uint sint) => Command(DestroyMessage, connection, sint);
    public static void ConnectEvent(uint connection, uint sint) => Command(CreateEvent, connection, sint);
    public static void DisconnectEvent(uint connection, uint sint) => Command(DestroyEvent, connection, sint);
    public static void AddRoute(uint sint) => Command(CreateRoute, 0, sint);
    public static void RemoveRoute(uint sint) => Command(DestroyRoute, 0, sint);

    private static void Command(uint command, uint connection, uint sint) => Instructions.Out32(Port, connection << 24 | command << 16 | sint);
}

public static unsafe class SynicChecks
{
    private const uint Sint = 3, OtherSint = 7, Connection = 0x21, EventConnection = 0x22;
    private const byte Vector = 0x63, OtherVector = 0x73;
    private const uint Type = 0x1234;

    public static void Run()
    {
        Check.RunHv("synic.registers-at-reset"u8, &RegistersAtReset);
        Check.RunHv("synic.pages-are-zero"u8, &PagesAreZero);
        RunWithDevice("synic.raise"u8, &Raise);
        RunWithDevice("synic.raise-every-sint"u8, &RaiseEverySint);
        RunWithDevice("synic.masked"u8, &Masked);
        RunWithDevice("synic.auto-eoi"u8, &AutoEoi);
        RunWithDevice("synic.message"u8, &Message);
        RunWithDevice("synic.message-full-payload"u8, &FullPayload);
        RunWithDevice("synic.message-pending-and-eom"u8, &PendingAndEom);
        RunWithDevice("synic.message-order"u8, &MessageOrder);
        RunWithDevice("synic.message-buffers-end"u8, &BuffersEnd);
        RunWithDevice("synic.message-polling"u8, &Polling);
        RunWithDevice("synic.message-synic-disabled"u8, &SynicDisabled);
        RunWithDevice("synic.message-two-sints"u8, &TwoSints);
        RunWithDevice("synic.message-disconnected"u8, &MessageDisconnected);
        RunWithDevice("synic.event"u8, &Event);
        RunWithDevice("synic.event-already-set"u8, &EventAlreadySet);
        RunWithDevice("synic.event-flag-out-of-range"u8, &EventFlagOutOfRange);
        RunWithDevice("synic.event-wrong-kind"u8, &WrongKind);
        RunWithDevice("synic.event-disconnected"u8, &EventDisconnected);
    }

    private static void RunWithDevice(ReadOnlySpan<byte> name, delegate*<void> body)
    {
        if (HvCpuid.IsPresent && !SynicDevice.IsPresent) Check.RunHv(name, &NoDevice);
        else Check.RunHv(name, body);
    }

    private static void NoDevice() => Check.Skip("no SynIC test device"u8);

    private static void RegistersAtReset()
    {
        for (uint sint = 0; sint < 16; sint++)
            Check.Equal("a SINT"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_SINT0 + sint), SintMsr.Reset.Value);
        Check.Equal("SCONTROL"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_SCONTROL), 0);
    }

    // TLFS, "SIMP Register": enabling zeroes nothing that the guest sees but what the overlay brings; ours starts as zeros.
    private static void PagesAreZero()
    {
        for (int i = 0; i < 512; i++) ((ulong*)GuestPages.Messages)[i] = ((ulong*)GuestPages.Events)[i] = 0;
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, GuestPages.Messages | 1);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIEFP, GuestPages.Events | 1);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, 1);
        for (int i = 0; i < 512; i++)
        {
            Check.Equal("a word of the message page"u8, Mmio.Read64(GuestPages.Messages + (ulong)i * 8), 0);
            Check.Equal("a word of the event page"u8, Mmio.Read64(GuestPages.Events + (ulong)i * 8), 0);
        }
        Check.Equal("SIMP"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_SIMP), GuestPages.Messages | 1);
        Check.Equal("SIEFP"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_SIEFP), GuestPages.Events | 1);
    }

    private static void Raise()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.AddRoute(Sint);
        for (uint i = 1; i <= 5; i++)
        {
            SynicDevice.RaiseSint(Sint);
            if (!Check.That(Interrupts.Wait(Vector, i), "no interrupt"u8)) break;
        }
        SynicDevice.RemoveRoute(Sint);
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 5);
    }

    private static void RaiseEverySint()
    {
        Synic.Enable();
        for (uint sint = 0; sint < 16; sint++)
        {
            byte vector = (byte)(0x80 + sint);
            Synic.SetSint(sint, Synic.Vector(vector));
            SynicDevice.RaiseSint(sint);
            if (!Interrupts.Wait(vector)) Check.Fail("no interrupt from SINT "u8, sint);
        }
    }

    private static void Masked()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector).WithMasked(true));
        SynicDevice.RaiseSint(Sint);
        SynicDevice.ConnectMessage(Connection, Sint);
        SynicDevice.Post(Connection, Type, 1);
        Interrupts.Open(1000);
        SynicDevice.DisconnectMessage(Connection, Sint);
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 0);
    }

    // The handler writes no EOI, and still the next one and lower ones come.
    private static void AutoEoi()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector).WithAutoEoi(true));
        Interrupts.WithoutEoi(Vector);
        for (uint i = 1; i <= 3; i++)
        {
            SynicDevice.RaiseSint(Sint);
            if (!Check.That(Interrupts.Wait(Vector, i), "no interrupt"u8)) return;
            Check.That(!LocalApic.IsBitSet(ApicRegisters.InService, Vector), "the in-service bit is set"u8);
        }
        LocalApic.SendSelf(0x41);
        Check.That(Interrupts.Wait(0x41), "a lower interrupt is blocked"u8);
    }

    private static void Message()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectMessage(Connection, Sint);
        Check.Equal("status"u8, SynicDevice.Post(Connection, Type, 0x1122334455667788, 0x99), 0);
        Check.That(Interrupts.Wait(Vector), "no interrupt"u8);
        HvMessage* slot = Synic.Slot(Sint);
        Check.Equal("type"u8, Synic.TypeIn(Sint), Type);
        Check.Equal("payload size"u8, slot->Header.PayloadSize, 16);
        Check.Equal("flags"u8, slot->Header.MessageFlags, 0);
        Check.Equal("port"u8, slot->Header.SenderOrPort, Connection);
        Check.Equal("payload"u8, slot->Payload[0], 0x1122334455667788);
        Check.Equal("second word"u8, slot->Payload[1], 0x99);
        Synic.Free(Sint);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    private static void FullPayload()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectMessage(Connection, Sint);
        HvInputPostMessage* input = (HvInputPostMessage*)GuestPages.Input;
        input->ConnectionId = Connection;
        input->Reserved = 0;
        input->MessageType = Type;
        input->PayloadSize = 240;
        for (int i = 0; i < 30; i++) input->Payload[i] = 0x0101010101010101 * (ulong)(i + 1);
        Check.Equal("status"u8, Hypercalls.Call(HypercallCode.HvCallPostMessage, GuestPages.Input, 0), 0);
        Check.That(Interrupts.Wait(Vector), "no interrupt"u8);
        HvMessage* slot = Synic.Slot(Sint);
        Check.Equal("payload size"u8, slot->Header.PayloadSize, 240);
        for (int i = 0; i < 30; i++) Check.Equal("a word"u8, slot->Payload[i], 0x0101010101010101 * (ulong)(i + 1));
        Synic.Free(Sint);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    private static void PendingAndEom()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectMessage(Connection, Sint);
        SynicDevice.Post(Connection, Type, 1);
        Interrupts.Wait(Vector);
        Check.That(!Synic.IsPending(Sint), "pending without a second message"u8);
        Check.Equal("status of the second"u8, SynicDevice.Post(Connection, Type, 2), 0);
        Check.That(Synic.IsPending(Sint), "not pending"u8);
        Check.Equal("payload while the slot is taken"u8, Synic.Slot(Sint)->Payload[0], 1);
        Interrupts.Open(300);
        Check.Equal("interrupts before EOM"u8, Interrupts.Count(Vector), 1);
        Synic.Free(Sint);
        Check.That(Interrupts.Wait(Vector, 2), "no interrupt after EOM"u8);
        Check.Equal("payload after EOM"u8, Synic.Slot(Sint)->Payload[0], 2);
        Check.That(!Synic.IsPending(Sint), "still pending"u8);
        Synic.Free(Sint);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    private static void MessageOrder()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectMessage(Connection, Sint);
        for (ulong i = 1; i <= 8; i++) Check.Equal("status"u8, SynicDevice.Post(Connection, Type, i), 0);
        for (ulong i = 1; i <= 8; i++)
        {
            if (!Check.That(Synic.WaitForMessage(Sint), "a message is missing"u8)) break;
            Check.Equal("payload"u8, Synic.Slot(Sint)->Payload[0], i);
            Synic.Free(Sint);
        }
        Clock.Spin(200);
        Check.Equal("type of what follows the last"u8, Synic.TypeIn(Sint), 0);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    // A sender cannot fill the hypervisor's memory: some day the answer is "no buffers", and everything accepted arrives.
    private static void BuffersEnd()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector).WithPolling(true));
        SynicDevice.ConnectMessage(Connection, Sint);
        uint accepted = 0;
        ushort status = 0;
        while (accepted < 1000 && (status = SynicDevice.Post(Connection, Type, accepted)) == 0) accepted++;
        Check.Equal("status at the end"u8, status, HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS.Value);
        uint arrived = 0;
        while (arrived < accepted && Synic.WaitForMessage(Sint))
        {
            if (!Check.Equal("payload"u8, Synic.Slot(Sint)->Payload[0], arrived)) break;
            arrived++;
            Synic.Free(Sint);
        }
        Check.Equal("messages that arrived"u8, arrived, accepted);
        Check.Equal("status afterwards"u8, SynicDevice.Post(Connection, Type, 0), 0);
        Synic.Free(Sint);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    private static void Polling()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector).WithPolling(true));
        SynicDevice.ConnectMessage(Connection, Sint);
        SynicDevice.Post(Connection, Type, 77);
        Check.That(Synic.WaitForMessage(Sint), "no message"u8);
        Interrupts.Open(300);
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 0);
        Synic.Free(Sint);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    private static void SynicDisabled()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectMessage(Connection, Sint);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, 0);
        ushort status = SynicDevice.Post(Connection, Type, 1);
        Check.That(status != 0, "a message for a disabled message page is accepted"u8);
        Interrupts.Open(300);
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 0);
        Check.Equal("type in the slot"u8, Synic.TypeIn(Sint), 0);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    private static void TwoSints()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        Synic.SetSint(OtherSint, Synic.Vector(OtherVector));
        SynicDevice.ConnectMessage(Connection, Sint);
        SynicDevice.ConnectMessage(Connection + 8, OtherSint);
        SynicDevice.Post(Connection, Type, 1);
        SynicDevice.Post(Connection, Type, 2);
        SynicDevice.Post(Connection + 8, Type + 1, 3);
        Check.That(Interrupts.Wait(OtherVector), "a full slot holds up another SINT"u8);
        Check.Equal("type in the other slot"u8, Synic.TypeIn(OtherSint), Type + 1);
        Synic.Free(OtherSint);
        Synic.Free(Sint);
        Synic.WaitForMessage(Sint);
        Synic.Free(Sint);
        SynicDevice.DisconnectMessage(Connection + 8, OtherSint);
        SynicDevice.DisconnectMessage(Connection, Sint);
    }

    private static void MessageDisconnected()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectMessage(Connection, Sint);
        SynicDevice.DisconnectMessage(Connection, Sint);
        Check.Equal("status"u8, SynicDevice.Post(Connection, Type, 1), HvStatus.HV_STATUS_INVALID_CONNECTION_ID.Value);
    }

    private static void Event()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectEvent(EventConnection, Sint);
        Check.Equal("status"u8, SynicDevice.Signal(EventConnection), 0);
        Check.That(Interrupts.Wait(Vector), "no interrupt"u8);
        Check.That(Synic.IsFlagSet(Sint, EventConnection), "the flag of the connection's number is clear"u8);
        SynicDevice.DisconnectEvent(EventConnection, Sint);
    }

    private static void EventAlreadySet()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectEvent(EventConnection, Sint);
        SynicDevice.Signal(EventConnection);
        Interrupts.Wait(Vector);
        Check.Equal("status of the second"u8, SynicDevice.Signal(EventConnection), 0);
        Interrupts.Open(300);
        Check.Equal("interrupts while the flag is set"u8, Interrupts.Count(Vector), 1);
        Synic.ClearFlags(Sint);
        SynicDevice.Signal(EventConnection);
        Check.That(Interrupts.Wait(Vector, 2), "no interrupt after the flag was cleared"u8);
        SynicDevice.DisconnectEvent(EventConnection, Sint);
    }

    private static void EventFlagOutOfRange()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectEvent(EventConnection, Sint);
        Check.Equal("status of a flag beyond the port's one"u8, SynicDevice.Signal(EventConnection, 1), HvStatus.HV_STATUS_INVALID_PARAMETER.Value);
        Check.Equal("status of flag 0xFFFF"u8, SynicDevice.Signal(EventConnection, 0xFFFF), HvStatus.HV_STATUS_INVALID_PARAMETER.Value);
        SynicDevice.DisconnectEvent(EventConnection, Sint);
    }

    private static void WrongKind()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
        SynicDevice.ConnectMessage(Connection, Sint);
        Check.Equal("an event to a message connection"u8, SynicDevice.Signal(Connection), HvStatus.HV_STATUS_INVALID_CONNECTION_ID.Value);
        SynicDevice.DisconnectMessage(Connection, Sint);
        SynicDevice.ConnectEvent(EventConnection, Sint);
        Check.Equal("a message to an event connection"u8, SynicDevice.Post(EventConnection, Type, 1), HvStatus.HV_STATUS_INVALID_CONNECTION_ID.Value);
        SynicDevice.DisconnectEvent(EventConnection, Sint);
    }

    private static void EventDisconnected()
    {
        Synic.Enable();
        SynicDevice.ConnectEvent(EventConnection, Sint);
        SynicDevice.DisconnectEvent(EventConnection, Sint);
        Check.Equal("status"u8, SynicDevice.Signal(EventConnection), HvStatus.HV_STATUS_INVALID_CONNECTION_ID.Value);
    }
}
