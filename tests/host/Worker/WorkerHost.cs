// A root with VMs on the fake core, and a hand that plays the guests.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Lamina.Abi;
using Lamina.Root.Kernel;
using Lamina.Root.Worker;
using Xunit;

namespace Lamina.Tests.Host.Worker;

public static unsafe class WorkerHost
{
    public const string TwoVms = """
        { "vms": [
          { "name": "tiny", "memory": "4M", "kernel": "tiny.bin", "processors": 2, "debugExit": true, "synicTestDevice": true },
          { "name": "other", "memory": "8M", "kernel": "tiny.bin" } ] }
        """;

    /// <summary>A Multiboot image of one page, loaded at 1 MiB.</summary>
    public static byte[] TinyKernel()
    {
        byte[] image = new byte[4096];
        uint[] header = [0x1BADB002, 0x10000, unchecked(0u - 0x1BADB002 - 0x10000), 0x100000, 0x100000, 0x101000, 0x101000, 0x100020];
        Buffer.BlockCopy(header, 0, image, 0, header.Length * 4);
        return image;
    }

    /// <summary>The worker as after boot, with nothing running.</summary>
    public static void BootRoot(string json = TwoVms)
    {
        FakeCore.Reset();
        BootModules.Files.Clear();
        BootModules.Files["lamina.json"] = Encoding.UTF8.GetBytes(json);
        BootModules.Files["tiny.bin"] = TinyKernel();
        PhysicalMemory.Limit = 1 << 16;
        StorageDrivers.Reset();
        ImageVolumes.Reset();
        VmWorker.Initialize();
        ConsoleOutput.Lines.Clear();
        ConsoleOutput.RawText.Clear();
        FakeCore.Reset();
    }

    /// <summary>Types a console command; returns the lines that it printed.</summary>
    public static List<string> Command(string line)
    {
        int before = ConsoleOutput.Lines.Count;
        Assert.True(VmWorker.TryCommand(Encoding.UTF8.GetBytes(line)));
        return ConsoleOutput.Lines.Skip(before).ToList();
    }

    /// <summary>Lets time pass.</summary>
    public static void Wait(ulong milliseconds)
    {
        ReferenceClock.Now += milliseconds * 10_000;
        while (VmWorker.OnTimer(ReferenceClock.Now) <= ReferenceClock.Now) { }
    }

    public static void Type(string text)
    {
        foreach (char value in text) VmWorker.OnInput((byte)value);
    }

    private static HvX64InterceptMessageHeader Header(byte access, byte length, ulong rflags = 2) => new()
    {
        InstructionLengthAndCr8 = length,
        InterceptAccessType = access,
        ExecutionState = default(HvX64VpExecutionState).WithCr0Pe(true).WithEferLma(true),
        CsSegment = new HvX64SegmentRegister { Attributes = new HvX64SegmentAttributes(0xA09B) },
        Rip = 0x1000,
        Rflags = rflags,
    };

    private static void Send(uint type, void* payload, int size, ulong partition = 0)
    {
        HvMessage message = default;
        message.Header.MessageType = type;
        message.Header.SenderOrPort = partition == 0 ? FakeCore.ChildId : partition;
        Buffer.MemoryCopy(payload, message.Payload, 240, size);
        VmWorker.OnMessage(&message);
        if (VmWorker.IsReplyPending) VmWorker.SendReply(thenIdle: false);
    }

    /// <summary>The guest executes OUT.</summary>
    public static void Out(ushort port, uint value, byte size = 1, ulong rflags = 2)
    {
        HvX64IoPortInterceptMessage message = default;
        message.Header = Header(HvInterceptAccessType.HvInterceptAccessWrite, 1, rflags);
        message.PortNumber = port;
        message.AccessInfo = new HvX64IoPortAccessInfo(size, false, false);
        message.Rax = value;
        Send(HvMessageType.HvMessageTypeX64IoPortIntercept, &message, sizeof(HvX64IoPortInterceptMessage));
    }

    /// <summary>The guest executes IN; returns RAX, which was all ones. With a REP prefix, which does nothing, the core does not say the length either.</summary>
    public static ulong In(ushort port, byte size = 1, ulong rflags = 2, bool rep = false)
    {
        HvX64IoPortInterceptMessage message = default;
        message.Header = Header(HvInterceptAccessType.HvInterceptAccessRead, (byte)(rep ? 0 : 1), rflags);
        message.PortNumber = port;
        message.AccessInfo = new HvX64IoPortAccessInfo(size, false, rep);
        if (rep)
        {
            message.InstructionByteCount = 2;
            message.InstructionBytes[0] = 0xF3;
            message.InstructionBytes[1] = 0xEC;
        }
        message.Rax = ulong.MaxValue;
        Send(HvMessageType.HvMessageTypeX64IoPortIntercept, &message, sizeof(HvX64IoPortInterceptMessage));
        return FakeCore.Child.Register(HvRegisterName.HvX64RegisterRax);
    }

    /// <summary>The guest executes REP INSB or REP OUTSB.</summary>
    public static void StringPort(bool input, ushort port, ulong address, ulong count, bool withBytes = true)
    {
        byte[] instruction = [0xF3, (byte)(input ? 0x6C : 0x6E)];
        HvX64IoPortInterceptMessage message = default;
        message.Header = Header(input ? HvInterceptAccessType.HvInterceptAccessRead : HvInterceptAccessType.HvInterceptAccessWrite, 2);
        message.PortNumber = port;
        message.AccessInfo = new HvX64IoPortAccessInfo(1, true, true);
        if (withBytes)
        {
            message.InstructionByteCount = 2;
            for (int i = 0; i < 2; i++) message.InstructionBytes[i] = instruction[i];
        }
        message.Rcx = count;
        message.Rsi = address;
        message.Rdi = address;
        Send(HvMessageType.HvMessageTypeX64IoPortIntercept, &message, sizeof(HvX64IoPortInterceptMessage));
    }

    /// <summary>The guest executes an instruction that touches <paramref name="address"/>, where there is no RAM.</summary>
    public static void Access(ulong address, byte[] instruction, byte access = HvInterceptAccessType.HvInterceptAccessRead)
    {
        HvX64MemoryInterceptMessage message = default;
        message.Header = Header(access, (byte)instruction.Length);
        message.GuestPhysicalAddress = new GuestPhysicalAddress(address);
        message.InstructionByteCount = (byte)instruction.Length;
        for (int i = 0; i < instruction.Length; i++) message.InstructionBytes[i] = instruction[i];
        Send(HvMessageType.HvMessageTypeUnmappedGpa, &message, sizeof(HvX64MemoryInterceptMessage));
    }

    /// <summary>MOV [RBX], EAX to device memory.</summary>
    public static void Store32(ulong address, uint value)
    {
        SetRegister(HvRegisterName.HvX64RegisterRax, value);
        Access(address, [0x89, 0x03], HvInterceptAccessType.HvInterceptAccessWrite);
    }

    /// <summary>MOV EAX, [RBX] from device memory.</summary>
    public static uint Load32(ulong address)
    {
        SetRegister(HvRegisterName.HvX64RegisterRax, ulong.MaxValue);
        Access(address, [0x8B, 0x03]);
        return (uint)FakeCore.Child.Register(HvRegisterName.HvX64RegisterRax);
    }

    public static void WriteMsr(uint msr, ulong value)
    {
        HvX64MsrInterceptMessage message = default;
        message.Header = Header(HvInterceptAccessType.HvInterceptAccessWrite, 2);
        message.MsrNumber = msr;
        message.Rax = (uint)value;
        message.Rdx = value >> 32;
        Send(HvMessageType.HvMessageTypeMsrIntercept, &message, sizeof(HvX64MsrInterceptMessage));
    }

    public static void TripleFault()
    {
        HvX64UnrecoverableExceptionMessage message = default;
        message.Header = Header(0, 0);
        Send(HvMessageType.HvMessageTypeUnrecoverableException, &message, sizeof(HvX64UnrecoverableExceptionMessage));
    }

    public static void EndOfInterrupt(byte vector)
    {
        HvX64ApicEoiMessage message = default;
        message.InterruptVector = vector;
        Send(HvMessageType.HvMessageTypeX64ApicEoi, &message, sizeof(HvX64ApicEoiMessage));
    }

    public static void Unknown(uint type, ulong partition = 0)
    {
        ulong payload = 0;
        Send(type, &payload, 8, partition);
    }

    public static void Print(string text)
    {
        foreach (char value in text) Out(0x3F8, value);
    }

    public static void SetRegister(uint name, ulong value) => FakeCore.Child.Registers[(0, name)] = new HvRegisterValue(value);

    /// <summary>The guest's RAM at a guest-physical address below its end.</summary>
    public static byte* Ram(ulong gpa) => (byte*)((FakeCore.Child.Map[gpa >> 12] << 12) + (gpa & 0xFFF));
}
