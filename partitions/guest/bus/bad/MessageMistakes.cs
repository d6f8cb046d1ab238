// Messages that the protocol does not know, has no room for, or wants at another time.
using Lamina.Abi;
using Lamina.VMBus;
using Lamina.X64;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class MessageMistakes
{
    public static void Run()
    {
        Misuse.Run("bad.message-unknown"u8, &Unknown);
        Misuse.Run("bad.message-of-hosts"u8, &OfHosts);
        Misuse.Run("bad.message-empty"u8, &Empty);
        Misuse.Run("bad.message-short"u8, &Short);
        Misuse.Run("bad.message-long"u8, &Long);
        Misuse.Run("bad.message-other-kind"u8, &OtherKind);
        Misuse.Run("bad.relid-zero"u8, &RelidZero);
        Misuse.Run("bad.relid-unknown"u8, &RelidUnknown);
        Misuse.Run("bad.relid-huge"u8, &RelidHuge);
        Misuse.Run("bad.offers-twice"u8, &OffersTwice);
        Misuse.Run("bad.before-contact"u8, &BeforeContact);
        Misuse.Run("bad.contact-without-form"u8, &ContactWithoutForm);
        Misuse.Run("bad.deaf"u8, &Deaf);
        Misuse.Run("bad.floods-messages"u8, &Floods);
    }

    private static void Unknown() => EndsBy(99);
    private static void OfHosts() => EndsBy(ChannelMessageType.OfferChannel);

    private static void EndsBy(uint type)
    {
        if (!GuestBus.Join()) return;
        Misuse.PostHeader(type);
        Misuse.ExpectSilence();
    }

    private static void Empty()
    {
        if (!GuestBus.Join()) return;
        GuestBus.Post(default);
        Misuse.ExpectSilence();
    }

    private static void Short()
    {
        if (!GuestBus.Join()) return;
        OpenChannelMessage message = default;
        message.Header.MessageType = ChannelMessageType.OpenChannel;
        GuestBus.Post(new System.ReadOnlySpan<byte>(&message, sizeof(OpenChannelMessage) - 1));
        Misuse.ExpectSilence();
    }

    // As long as a message may be: the rest means nothing. Longer ones the core refuses.
    private static void Long()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        byte* message = stackalloc byte[SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT];
        for (int i = 0; i < SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT; i++) message[i] = 0xFF;
        ModifyChannelMessage* modify = (ModifyChannelMessage*)message;
        modify->Header.MessageType = ChannelMessageType.ModifyChannel;
        modify->RelId = relid;
        GuestBus.Post(new System.ReadOnlySpan<byte>(message, SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT));
        Check.That(GuestBus.AwaitMessages(ChannelMessageType.ModifyChannelResponse, 1), "MODIFYCHANNEL is not answered"u8);
        HvInputPostMessage* input = (HvInputPostMessage*)GuestPages.Input;
        input->PayloadSize = SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT + 1;
        Check.Equal("status of HvCallPostMessage"u8, Hypercalls.Call(HypercallCode.HvCallPostMessage, GuestPages.Input, 0), HvStatus.HV_STATUS_INVALID_PARAMETER.Value);
        GuestBus.Leave();
    }

    // SynIC messages that are not of the bus.
    private static void OtherKind()
    {
        if (!GuestBus.Join()) return;
        ChannelMessageHeader message = new() { MessageType = 99 };
        foreach (uint type in (System.ReadOnlySpan<uint>)[2, 3, 0x7FFFFFFF]) GuestBus.Post(new System.ReadOnlySpan<byte>(&message, sizeof(ChannelMessageHeader)), type);
        GuestBus.Leave();
    }

    private static void RelidZero() => EndsByRelid(0);
    private static void RelidUnknown() => EndsByRelid(100);
    private static void RelidHuge() => EndsByRelid(0xFFFFFFFF);

    private static void EndsByRelid(uint relid)
    {
        if (!GuestBus.Join()) return;
        Misuse.PostClose(relid);
        Misuse.ExpectSilence();
    }

    private static void OffersTwice()
    {
        if (!GuestBus.Join()) return;
        GuestBus.Client.RequestOffers();
        Misuse.ExpectSilence();
    }

    // Without a connection nothing is heard but contact and unload.
    private static void BeforeContact()
    {
        if (!GuestBus.Join() || !GuestBus.Leave()) return;
        for (uint type = 0; type < 32; type++)
            if (type is not (ChannelMessageType.InitiateContact or ChannelMessageType.Unload)) Misuse.PostHeader(type);
        Misuse.ExpectSilence();
    }

    // Half a message, a SINT that is none, a processor that is not there, another VTL: each gets its refusal.
    private static void ContactWithoutForm()
    {
        GuestBus.Begin();
        InitiateContactMessage message = Contact();
        ExpectRefusal(new System.ReadOnlySpan<byte>(&message, 20));
        message.TargetSint = 0;
        ExpectRefusal(new System.ReadOnlySpan<byte>(&message, sizeof(InitiateContactMessage)));
        message.TargetSint = 16;
        ExpectRefusal(new System.ReadOnlySpan<byte>(&message, sizeof(InitiateContactMessage)));
        message = Contact();
        message.TargetMessageVp = 1;
        ExpectRefusal(new System.ReadOnlySpan<byte>(&message, sizeof(InitiateContactMessage)));
        message = Contact();
        message.TargetVtl = 1;
        ExpectRefusal(new System.ReadOnlySpan<byte>(&message, sizeof(InitiateContactMessage)));
    }

    private static InitiateContactMessage Contact()
    {
        InitiateContactMessage message = default;
        message.Header.MessageType = ChannelMessageType.InitiateContact;
        message.VersionRequested = VMBusVersion.V5_3;
        message.TargetSint = GuestBus.Sint;
        return message;
    }

    private static void ExpectRefusal(System.ReadOnlySpan<byte> message)
    {
        uint before = GuestBus.MessagesOf(ChannelMessageType.VersionResponse);
        GuestBus.Post(message);
        if (!Check.That(GuestBus.AwaitMessages(ChannelMessageType.VersionResponse, before + 1), "INITIATE_CONTACT is not answered"u8)) return;
        uint offers = GuestBus.MessagesOf(ChannelMessageType.AllOffersDelivered);
        Misuse.PostHeader(ChannelMessageType.RequestOffers);
        Patience.Pass(20);
        Check.Equal("offers after a refusal"u8, GuestBus.MessagesOf(ChannelMessageType.AllOffersDelivered) - offers, 0);
    }

    // Speaks with its SynIC off, and hears nothing of the answers.
    private static void Deaf()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, 0);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, 0);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIEFP, 0);
        ModifyChannelMessage message = default;
        message.Header.MessageType = ChannelMessageType.ModifyChannel;
        message.RelId = relid;
        for (int i = 0; i < 10; i++) GuestBus.Post(ref message);
        for (int i = 0; i < 10; i++) Misuse.PostHeader(ChannelMessageType.Unload);
        Patience.Pass(20);
    }

    // Questions without end, whose answers it does not take.
    private static void Floods()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        ModifyChannelMessage message = default;
        message.Header.MessageType = ChannelMessageType.ModifyChannel;
        message.RelId = relid;
        for (int i = 0; i < 500; i++) GuestBus.Post(ref message);
        // What waited in the core's buffers still comes, what waited in the root went with the connection.
        Patience.Pass(100);
        Check.Between("answers"u8, GuestBus.MessagesOf(ChannelMessageType.ModifyChannelResponse), 1, 40);
        Misuse.ExpectSilence();
    }
}
