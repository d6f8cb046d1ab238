// From an idle port to a disk that works: reset of the link, signature, IDENTIFY. AHCI 1.3.1, "Port Reset", "Detect and Initialize".
using System;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Ahci;

internal enum ResetCause : byte
{
    Start,
    /// <summary>The link or the adapter failed: requests are tried again, a few times.</summary>
    Fault,
    /// <summary>Some command failed, and nobody knows which: each is tried alone.</summary>
    UnknownCommand,
}

public unsafe partial struct AhciPort<THost, TRegisters>
{
    private const uint MostResets = 8;
    private const ulong StopPatience = 500 * Millisecond, LinkPatience = 2000 * Millisecond, NobodyPatience = 200 * Millisecond;
    private const ulong StartPatience = 30_000 * Millisecond, InternalPatience = 10_000 * Millisecond;

    /// <summary>Stops the port and resets the link; then all begins anew. Requests stay until it has stopped.</summary>
    private void BeginReset(ResetCause cause)
    {
        registers.Write(PortRegister.IE, 0);
        if (++resets > MostResets)
        {
            Die("it had to be reset again and again"u8);
            return;
        }
        resetCause = cause;
        SetCommand(0, PortRegister.CMD_ST);
        Enter(AhciPortState.Stopping, StopPatience, Millisecond);
    }

    private static void OnPace(void* context) => ((AhciPort<THost, TRegisters>*)context)->Step();

    /// <summary>One look at what is being waited for.</summary>
    private void Step()
    {
        bool overdue = THost.Now >= deadline;
        switch (state)
        {
            case AhciPortState.Stopping when overdue || !IsCommandBitSet(PortRegister.CMD_CR):
                SetCommand(0, PortRegister.CMD_FRE);
                Enter(AhciPortState.StoppingReceive, StopPatience, Millisecond);
                break;
            case AhciPortState.StoppingReceive when overdue || !IsCommandBitSet(PortRegister.CMD_FR): ResetLink(); break;
            case AhciPortState.Resetting:
                registers.Write(PortRegister.SCTL, PortRegister.SCTL_IPM_NONE);
                TakeBack(resetCause);
                linkingSince = THost.Now;
                Enter(AhciPortState.Linking, LinkPatience, 5 * Millisecond);
                break;
            case AhciPortState.Linking: LookForLink(overdue); break;
            case AhciPortState.Settling: LookForDisk(overdue); break;
            case AhciPortState.Halting when !IsCommandBitSet(PortRegister.CMD_CR): Judge(); break;
            case AhciPortState.Halting when overdue: BeginReset(ResetCause.UnknownCommand); break;
            case AhciPortState.Identifying or AhciPortState.ReadingLog when overdue: OnInternal(IsInternalDone); break;
            default: THost.Arm(&self->pace, THost.Now + interval); break;
        }
    }

    private void ResetLink()
    {
        SetCommand(PortRegister.CMD_SUD | PortRegister.CMD_POD | PortRegister.CMD_ICC_ACTIVE, PortRegister.CMD_ICC_MASK);
        SetCommand(PortRegister.CMD_FRE, 0);
        registers.Write(PortRegister.SERR, uint.MaxValue);
        registers.Write(PortRegister.SCTL, PortRegister.SCTL_IPM_NONE | PortRegister.DET_COMRESET);
        Enter(AhciPortState.Resetting, 0, 2 * Millisecond);
    }

    private void LookForLink(bool overdue)
    {
        uint detection = Detection;
        if (detection == PortRegister.DET_ESTABLISHED)
        {
            ClearEvents(0);
            Enter(AhciPortState.Settling, StartPatience, 5 * Millisecond);
        }
        // One that was there may be starting anew within; whoever is told that it is gone does not ask again.
        else if (detection != PortRegister.DET_PRESENT && THost.Now - linkingSince >= (isAnnounced ? LinkPatience : NobodyPatience)) SwitchOff(default);
        else if (overdue) SwitchOff("there is a device that does not speak"u8);
        else THost.Arm(&self->pace, THost.Now + interval);
    }

    private void LookForDisk(bool overdue)
    {
        if ((registers.Read(PortRegister.TFD) & (PortRegister.STS_BSY | PortRegister.STS_DRQ)) == 0)
        {
            Classify(registers.Read(PortRegister.SIG));
            return;
        }
        if (Detection != PortRegister.DET_ESTABLISHED) SwitchOff("the link went away"u8);
        else if (overdue) SwitchOff("the device does not become ready"u8);
        else THost.Arm(&self->pace, THost.Now + 2 * interval);
    }

    private void Classify(uint signature)
    {
        switch (signature)
        {
            case PortSignature.Ata:
                StartEngine();
                Internal(AtaCommand.Identify, AtaIdentity.Bytes, AhciPortState.Identifying);
                break;
            case PortSignature.Atapi: SwitchOff("skipped: an ATAPI device"u8); break;
            case PortSignature.PortMultiplier: SwitchOff("skipped: a port multiplier"u8); break;
            case PortSignature.EnclosureManagement: SwitchOff("skipped: an enclosure"u8); break;
            default: SwitchOff("skipped: a device of unknown kind"u8); break;
        }
    }

    /// <summary>From now on the port takes commands and tells its events.</summary>
    private readonly void StartEngine()
    {
        ClearEvents(WorkEvents);
        SetCommand(PortRegister.CMD_ST, 0);
    }

    /// <summary>A command of the driver's own, alone on the port; its data goes into the port's page.</summary>
    private void Internal(in AtaCommand command, uint bytes, AhciPortState meanwhile)
    {
        Enter(meanwhile, InternalPatience, InternalPatience);
        Issue(command, bytes);
    }

    private void Issue(in AtaCommand command, uint bytes)
    {
        new Span<byte>(page.Address + DataOffset, (int)bytes).Clear();
        CommandTable.Build(Headers, page.Address + InternalTableOffset, page.Physical + InternalTableOffset, command, page.Physical + DataOffset, bytes);
        registers.Write(PortRegister.CI, 1);
    }

    private readonly bool IsInternalDone => (registers.Read(PortRegister.CI) & 1) == 0;

    /// <summary>The driver's own command has ended, or has to.</summary>
    private void OnInternal(bool well)
    {
        well &= (registers.Read(PortRegister.TFD) & (PortRegister.STS_ERR | PortRegister.STS_DF)) == 0;
        THost.Cancel(&self->pace);
        if (state == AhciPortState.ReadingLog) OnLog(well);
        else if (well) OnIdentified();
        else BeginReset(ResetCause.Fault);
    }

    private void OnIdentified()
    {
        // Copied once: the disk could go on writing.
        byte* data = stackalloc byte[AtaIdentity.Bytes];
        new ReadOnlySpan<byte>(page.Address + DataOffset, AtaIdentity.Bytes).CopyTo(new Span<byte>(data, AtaIdentity.Bytes));
        AtaVerdict verdict = AtaIdentity.TryParse(new ReadOnlySpan<byte>(data, AtaIdentity.Bytes), out AtaIdentity found);
        if (verdict == AtaVerdict.Usable) Adopt(found);
        else SwitchOff(verdict switch
        {
            AtaVerdict.TooOld => "skipped: a disk without DMA or 48-bit commands"u8,
            AtaVerdict.StrangeBlocks => "skipped: a disk whose blocks have a size that cannot be used"u8,
            AtaVerdict.Locked => "skipped: a disk that is locked with a password"u8,
            _ => "skipped: a disk that does not say what it is"u8,
        });
    }

    /// <summary>The disk is new, or the one that was there before the reset.</summary>
    private void Adopt(AtaIdentity found)
    {
        if (isAnnounced)
        {
            bool same = found.Serial.SequenceEqual(identity.Serial) && found.SizeInBytes == identity.SizeInBytes && found.BlockBytes == identity.BlockBytes;
            if (!same)
            {
                SwitchOff("another disk than before; it is not used"u8);
                return;
            }
        }
        else if (!TryMakeDevice(found)) return;
        identity = found;
        state = AhciPortState.Ready;
        stopped = BlockStatus.Success;
        if (!isAnnounced)
        {
            isAnnounced = true;
            adapter->Registry->AddDisk(adapter->Controller, number, 0, &self->device);
        }
        Settle();
        Run();
    }

    private bool TryMakeDevice(AtaIdentity found)
    {
        slotCount = adapter->SlotCount;
        useQueueing = found.QueueDepth != 0 && adapter->Has(HbaRegister.CAP_SNCQ);
        if (useQueueing) slotCount = Math.Min(slotCount, found.QueueDepth);
        ulong bytes = slotCount * (CommandTable.Bytes + (ulong)sizeof(AhciSlot));
        if (!THost.TryAllocateDma(bytes, out tables) || !IsReachable(tables.Physical + bytes))
        {
            Die("no memory that the adapter reaches"u8);
            return false;
        }
        slots = (AhciSlot*)(tables.Address + slotCount * CommandTable.Bytes);
        device.Limits = found.MakeLimits(slotCount);
        device.SetSerial(found.Serial);
        device.QueueCount = 1;
        device.Context = self;
        device.SubmitFunction = &Submit;
        device.KickFunction = &Kick;
        return true;
    }

    /// <summary>There is nothing to be used here; one who had used it learns that it is gone.</summary>
    private void SwitchOff(ReadOnlySpan<byte> why)
    {
        if (isAnnounced && why.Length == 0) why = "the disk is gone"u8;
        if (why.Length != 0) Report(why);
        SetCommand(0, PortRegister.CMD_ST);
        state = AhciPortState.Off;
        resets = 0;
        ClearEvents(LinkEvents);
        GiveUpAll(BlockStatus.Gone);
        Settle();
    }
}
