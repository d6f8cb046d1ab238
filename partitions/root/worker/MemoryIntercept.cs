// Accesses of a guest to addresses without RAM: its IOAPIC, or nothing. TLFS, "HV_X64_MEMORY_INTERCEPT_MESSAGE".
using System;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;
using Lamina.X64.Decode;

namespace Lamina.Root.Worker;

internal static unsafe class MemoryIntercept
{
    private const int RegisterCount = 16;

    // In the order in which instructions number them.
    private static ReadOnlySpan<uint> RegisterNames => [
        HvRegisterName.HvX64RegisterRax, HvRegisterName.HvX64RegisterRcx, HvRegisterName.HvX64RegisterRdx, HvRegisterName.HvX64RegisterRbx,
        HvRegisterName.HvX64RegisterRsp, HvRegisterName.HvX64RegisterRbp, HvRegisterName.HvX64RegisterRsi, HvRegisterName.HvX64RegisterRdi,
        HvRegisterName.HvX64RegisterR8, HvRegisterName.HvX64RegisterR9, HvRegisterName.HvX64RegisterR10, HvRegisterName.HvX64RegisterR11,
        HvRegisterName.HvX64RegisterR12, HvRegisterName.HvX64RegisterR13, HvRegisterName.HvX64RegisterR14, HvRegisterName.HvX64RegisterR15,
    ];

    private static ReadOnlySpan<uint> SegmentNames => [
        HvRegisterName.HvX64RegisterEs, HvRegisterName.HvX64RegisterCs, HvRegisterName.HvX64RegisterSs,
        HvRegisterName.HvX64RegisterDs, HvRegisterName.HvX64RegisterFs, HvRegisterName.HvX64RegisterGs,
    ];

    public static VmEnd Handle(Vm* vm, HvX64MemoryInterceptMessage* message)
    {
        vm->Machine->Counters.Memory++;
        if (message->Header.InterceptAccessType == HvInterceptAccessType.HvInterceptAccessExecute)
            return Refuse(vm, message, "executes where there is no memory"u8);
        if (message->MemoryAccessInfo.GvaValid && !message->MemoryAccessInfo.GvaGpaValid)
            return Refuse(vm, message, "has page tables where there is no memory"u8);
        // As the core does for its APIC page.
        if (!TryDecode(vm, message, out MmioInstruction instruction)) return InjectGeneralProtection(vm, message);
        ulong* registers = stackalloc ulong[RegisterCount];
        if (!TryReadRegisters(vm, message->Header.VpIndex, registers)) return VmEnd.Failed;
        return instruction.IsString ? ExecuteString(vm, message, ref instruction, registers) : Execute(vm, message, ref instruction, registers);
    }

    private static VmEnd Execute(Vm* vm, HvX64MemoryInterceptMessage* message, ref MmioInstruction instruction, ulong* registers)
    {
        ulong address = message->GuestPhysicalAddress.Value;
        ulong rflags = message->Header.Rflags;
        ulong* before = stackalloc ulong[RegisterCount];
        for (int i = 0; i < RegisterCount; i++) before[i] = registers[i];
        ulong value = instruction.ReadsMemory ? Read(vm, address, instruction.Size) : 0;
        if (instruction.Execute(registers, ref rflags, value, out ulong result)) Write(vm, address, instruction.Size, result);
        var completion = new Completion(vm->Machine, &message->Header);
        SetChanged(ref completion, before, registers);
        if (rflags != message->Header.Rflags) completion.Set(HvRegisterName.HvX64RegisterRflags, rflags);
        return completion.Finish(instruction.Length);
    }

    /// <summary>One element of a string instruction; the next is a new intercept.</summary>
    private static VmEnd ExecuteString(Vm* vm, HvX64MemoryInterceptMessage* message, ref MmioInstruction instruction, ulong* registers)
    {
        var completion = new Completion(vm->Machine, &message->Header);
        var memory = new GuestVirtual(vm->Machine, message->Header);
        ulong* before = stackalloc ulong[RegisterCount];
        for (int i = 0; i < RegisterCount; i++) before[i] = registers[i];
        ulong rflags = message->Header.Rflags;
        bool done = instruction.IsStringFinished(registers);
        if (!done)
        {
            ulong value = 0;
            if (instruction.ReadsMemory)
            {
                if (!TryLinear(vm, message, instruction.Segment, instruction.StringSourceOffset(registers), out ulong source)) return VmEnd.Failed;
                if (!memory.TryTranslate(source, false, out ulong from)) return Fault(ref completion, memory.Fault);
                value = Read(vm, from, instruction.Size);
            }
            ulong to = 0;
            if (instruction.WritesMemory)
            {
                if (!TryLinear(vm, message, SegmentRegister.ES, instruction.EffectiveOffset(registers, 0), out ulong destination)) return VmEnd.Failed;
                if (!memory.TryTranslate(destination, true, out to)) return Fault(ref completion, memory.Fault);
            }
            if (instruction.Execute(registers, ref rflags, value, out ulong result)) Write(vm, to, instruction.Size, result);
            done = instruction.AdvanceString(registers, rflags);
        }
        SetChanged(ref completion, before, registers);
        return done ? completion.Finish(instruction.Length) : completion.Commit();
    }

    /// <summary>Reads from RAM or a device; all ones where there is neither, with one line for each region.</summary>
    private static ulong Read(Vm* vm, ulong address, int size)
    {
        ulong value = 0;
        if (vm->Machine->Memory.TryCopyOut(address, new Span<byte>(&value, size))) return value;
        if (VmDevices.TryReadMemory(vm, address, size, out value)) return value;
        ReportUnmapped(vm, address, "read"u8);
        return ulong.MaxValue;
    }

    private static void Write(Vm* vm, ulong address, int size, ulong value)
    {
        if (vm->Machine->Memory.TryCopyIn(address, new ReadOnlySpan<byte>(&value, size))) return;
        if (!VmDevices.TryWriteMemory(vm, address, size, value)) ReportUnmapped(vm, address, "write"u8);
    }

    private static void ReportUnmapped(Vm* vm, ulong address, ReadOnlySpan<byte> what)
    {
        if (!vm->Machine->Unmapped.IsNew(address)) return;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text(what).Text(" at "u8).Hex(address).Text(", where there is neither memory nor a device: reads as ones, writes vanish"u8);
        ConsoleOutput.Line(line.Written);
    }

    private static VmEnd Fault(ref Completion completion, in GuestFault fault)
    {
        completion.InjectPageFault(fault);
        return completion.Commit();
    }

    private static VmEnd InjectGeneralProtection(Vm* vm, HvX64MemoryInterceptMessage* message)
    {
        ulong address = message->GuestPhysicalAddress.Value;
        if (vm->Machine->Unmapped.IsNew(address))
        {
            byte* buffer = stackalloc byte[VmLog.LineCapacity];
            TextWriter line = VmLog.Begin(vm, buffer);
            line.Text("#GP for an instruction that is not emulated for addresses without memory: address "u8).Hex(address)
                .Text(", RIP "u8).Hex(message->Header.Rip);
            ConsoleOutput.Line(line.Written);
        }
        var completion = new Completion(vm->Machine, &message->Header);
        completion.InjectGeneralProtection();
        return completion.Commit();
    }

    private static VmEnd Refuse(Vm* vm, HvX64MemoryInterceptMessage* message, ReadOnlySpan<byte> what)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("the guest "u8).Text(what).Text(": address "u8).Hex(message->GuestPhysicalAddress.Value).Text(", RIP "u8).Hex(message->Header.Rip);
        ConsoleOutput.Line(line.Written);
        return VmEnd.Failed;
    }

    private static bool TryDecode(Vm* vm, HvX64MemoryInterceptMessage* message, out MmioInstruction instruction)
    {
        byte* fetched = stackalloc byte[16];
        byte* bytes = message->InstructionBytes;
        int count = Math.Min((int)message->InstructionByteCount, 16);
        if (count == 0)
        {
            var memory = new GuestVirtual(vm->Machine, message->Header);
            count = memory.ReadInstruction(message->Header, new Span<byte>(fetched, 15));
            bytes = fetched;
        }
        return MmioInstruction.TryDecode(new ReadOnlySpan<byte>(bytes, count), InterceptMode.Of(message->Header), out instruction);
    }

    private static bool TryReadRegisters(Vm* vm, VpIndex vp, ulong* registers)
    {
        HvRegisterValue* values = stackalloc HvRegisterValue[RegisterCount];
        if (!VirtualProcessorCalls.Get(&vm->Machine->Account, vp, RegisterNames, values).IsSuccess) return false;
        for (int i = 0; i < RegisterCount; i++) registers[i] = values[i].Reg64;
        return true;
    }

    /// <summary>The base of one segment of a processor.</summary>
    public static bool TryReadSegmentBase(Vm* vm, VpIndex vp, SegmentRegister segment, out ulong segmentBase)
    {
        HvRegisterValue value = default;
        bool success = VirtualProcessorCalls.Get(&vm->Machine->Account, vp, SegmentNames.Slice((int)segment, 1), &value).IsSuccess;
        segmentBase = value.Segment.Base;
        return success;
    }

    private static bool TryLinear(Vm* vm, HvX64MemoryInterceptMessage* message, SegmentRegister segment, ulong offset, out ulong linear)
    {
        linear = offset;
        bool is64 = InterceptMode.Is64(message->Header);
        if (is64 && segment is not (SegmentRegister.FS or SegmentRegister.GS)) return true;
        if (!TryReadSegmentBase(vm, message->Header.VpIndex, segment, out ulong segmentBase)) return false;
        linear += segmentBase;
        if (!is64) linear = (uint)linear;
        return true;
    }

    private static void SetChanged(ref Completion completion, ulong* before, ulong* after)
    {
        for (int i = 0; i < RegisterCount; i++) if (after[i] != before[i]) completion.Set(RegisterNames[i], after[i]);
    }
}
