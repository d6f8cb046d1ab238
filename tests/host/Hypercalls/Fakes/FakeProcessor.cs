// The machine under the core, replaced: instructions, device registers, clocks, and the end of the world as an exception.
using System;
using System.Collections.Generic;
using Lamina.X64.Paging;

namespace Lamina.X64
{
    /// <summary>The few instructions that the core's logic uses. Time goes on by itself, a little with each look at it.</summary>
    public static unsafe class Instructions
    {
        internal static ulong Tsc = 1_000_000;
        internal static readonly Dictionary<uint, ulong> Msrs = [];
        /// <summary>Not 0: CPUID says anything, by this seed.</summary>
        [ThreadStatic] internal static int RandomCpuid;

        public static ulong RdTsc() => System.Threading.Interlocked.Add(ref Tsc, 100);
        public static ulong RdMsr(uint msr) => Msrs.GetValueOrDefault(msr);
        public static void WrMsr(uint msr, ulong value) => Msrs[msr] = value;
        public static ulong XGetBv(uint register) => 0;
        public static void XSetBv(uint register, ulong value) { }
        public static void Out8(ushort port, byte value) { }
        public static void Pause() => System.Threading.Thread.Yield();

        public static void CpuidInPlace(ulong* registers, uint leaf)
        {
            uint* result = stackalloc uint[4];
            Cpuid(leaf, (uint)registers[1], result);
            registers[0] = result[0];
            registers[3] = result[1];
            registers[1] = result[2];
            registers[2] = result[3];
        }

        public static void Cpuid(uint leaf, uint subleaf, uint* registers)
        {
            registers[0] = registers[1] = registers[2] = registers[3] = 0;
            if (RandomCpuid != 0)
            {
                // The same leaf always says the same.
                var random = new Random(HashCode.Combine(RandomCpuid, leaf, subleaf));
                for (int i = 0; i < 4; i++) registers[i] = (uint)random.NextInt64();
                return;
            }
            switch (leaf)
            {
                case 0: registers[0] = 0x16; break;
                case 0x80000000: registers[0] = 0x80000008; break;
                case 0x80000001: registers[3] = 1 << 26 | 1 << 27; break;
                case 0x80000007: registers[3] = 1 << 8; break;
                case 0x80000008: registers[0] = 48; break;
            }
        }
    }

    /// <summary>One I/O APIC: an index register and a window.</summary>
    public static class Mmio
    {
        private static uint _index;
        internal static readonly uint[] IoApic = new uint[0x100];

        public static uint Read32(ulong address) => (address & 0x10) == 0 ? _index : _index == 1 ? 23 << 16 | 0x11 : IoApic[_index & 0xFF];

        public static void Write32(ulong address, uint value)
        {
            if ((address & 0x10) == 0) _index = value;
            else IoApic[_index & 0xFF] = value;
        }
    }
}

namespace Lamina.Hypervisor.Diagnostics
{
    public static class Panic
    {
        public static unsafe void Stop(Core.InterruptFrame* frame) => throw new InvalidOperationException($"PANIC exception {frame->Vector}");
        public static void Stop(ReadOnlySpan<byte> text) => throw new InvalidOperationException("PANIC " + System.Text.Encoding.UTF8.GetString(text));
    }

    public static class DebugConsole
    {
        public static void Line(ReadOnlySpan<byte> text) { }
    }
}

namespace Lamina.Hypervisor.Core
{
    public static unsafe class PhysicalApic
    {
        public const byte TimerVector = 0xF0, KickVector = 0xF1, SpuriousVector = 0xFF;
        [ThreadStatic] private static ulong deadline;
        /// <summary>What the executing processor's timer is set to; MaxValue for none.</summary>
        internal static ulong Deadline { get => deadline == 0 ? ulong.MaxValue : deadline; set => deadline = value; }
        public static void SetTimer(ulong deadline, uint ticks) => Deadline = deadline;

        public static void EndOfInterrupt() { }

        /// <summary>What happens when one processor interrupts another.</summary>
        internal static Action<int> OnKick = _ => { };
        public static void Kick(LogicalProcessor* processor) => OnKick(processor->Index);
    }

    public struct HostTables { }
    public struct ProcessorMeeting { }

    /// <summary>Nothing lies above this machine's RAM.</summary>
    public static class RootPartition<TBackend> where TBackend : struct, IBackend
    {
        public static bool TryMapOnTouch(ulong gpa) => false;
    }

    public static class AcpiTables
    {
        public static bool IsMachineBochs => false;
        public static bool TryGetIoApic(int index, out byte id, out ulong address, out uint firstGsi)
        {
            id = 2;
            address = 0xFEC00000;
            firstGsi = 0;
            return index == 0;
        }
    }

    public static class CoreAddressSpace
    {
        public static ulong MapDevice(ulong physical, ulong length, MemoryType type) => 0xFFFFF000;
    }

    public static unsafe class Clock
    {
        public const uint VirtualApicHz = 200_000_000;
        public const ulong TscHz = 2_000_000_000;
        public static ulong Now => X64.Instructions.RdTsc();
        public static ulong FromMicroseconds(ulong microseconds) => TscHz / 1_000_000 * microseconds;
        public static ulong ToReferenceTicks(ulong tscTicks) => tscTicks / (TscHz / 10_000_000);
        public static uint ToApicTicks(ulong tscTicks) => 1;
        public static ulong ReferenceTime(Partition* partition) => partition->Time.FromTsc(X64.Instructions.RdTsc() + partition->TscOffset);
        public static ulong ToTsc(Partition* partition, ulong reference, ulong now) =>
            GuestDeadline.ToHost(partition->Time.ToTsc(reference), partition->TscOffset, now);
    }
}
