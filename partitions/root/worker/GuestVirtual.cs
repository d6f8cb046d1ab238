// A guest's virtual memory from outside: translated page by page as its processor would, with the faults that it would take.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.X64.Decode;

namespace Lamina.Root.Worker;

/// <summary>A page fault that an access would raise. SDM 3A, "Interrupt 14—Page-Fault Exception (#PF)".</summary>
public struct GuestFault
{
    public bool IsRaised;
    public ulong Address;
    public uint ErrorCode;
}

/// <summary>Access to the virtual memory of the processor that an intercept message came from.</summary>
internal unsafe ref struct GuestVirtual
{
    private const uint ErrorPresent = 1, ErrorWrite = 2, ErrorUser = 4, ErrorReserved = 8;

    private readonly VmMachine* _machine;
    private readonly VpIndex _vp;
    private readonly bool _user;

    // The page translated last: string instructions stay in one for long.
    private ulong _page;
    private ulong _pagePhysical;
    private bool _pageWritable;

    public GuestFault Fault;

    public GuestVirtual(VmMachine* machine, in HvX64InterceptMessageHeader header)
    {
        this = default;
        _machine = machine;
        _vp = header.VpIndex;
        _user = header.ExecutionState.Cpl == 3;
        _page = ulong.MaxValue;
    }

    /// <summary>Guest-physical address of a byte. False: <see cref="Fault"/> is set.</summary>
    public bool TryTranslate(ulong linear, bool write, out ulong physical)
    {
        ulong page = linear >> PageCount.PageShift;
        if (page != _page || write && !_pageWritable)
        {
            ulong flags = HvTranslateGvaControlFlags.HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS
                | (write ? HvTranslateGvaControlFlags.HV_TRANSLATE_GVA_VALIDATE_WRITE : HvTranslateGvaControlFlags.HV_TRANSLATE_GVA_VALIDATE_READ);
            if (!MemoryCalls.TryTranslate(&_machine->Account, _vp, linear, flags, out physical, out uint result) && !IsBehindTables(result, physical))
            {
                Fault = new GuestFault { IsRaised = true, Address = linear, ErrorCode = ErrorCode(result, write) };
                return false;
            }
            _page = page;
            _pagePhysical = physical & ~(PageCount.PageSize - 1);
            _pageWritable = write;
        }
        physical = _pagePhysical + (linear & PageCount.PageSize - 1);
        return true;
    }

    /// <summary>Whether all of the bytes can be written; the fault of the first that cannot is in <see cref="Fault"/>.</summary>
    public bool TryProbeWrite(ulong linear, int length)
    {
        int first = PageSplit.BytesInPage(linear, length);
        return TryTranslate(linear, true, out _) && (first == length || TryTranslate(linear + (uint)first, true, out _));
    }

    /// <summary>Reads up to two pages' worth of bytes; those that are no RAM read as ones. False: <see cref="Fault"/> is set.</summary>
    public bool TryRead(ulong linear, Span<byte> destination)
    {
        for (int done = 0; done < destination.Length;)
        {
            if (!TryTranslate(linear + (uint)done, false, out ulong physical)) return false;
            int part = PageSplit.BytesInPage(linear + (uint)done, destination.Length - done);
            Span<byte> piece = destination.Slice(done, part);
            if (!_machine->Memory.TryCopyOut(physical, piece)) piece.Fill(0xFF);
            done += part;
        }
        return true;
    }

    /// <summary>Writes; bytes that are no RAM vanish. False: <see cref="Fault"/> is set, a part may have been written.</summary>
    public bool TryWrite(ulong linear, ReadOnlySpan<byte> source)
    {
        for (int done = 0; done < source.Length;)
        {
            if (!TryTranslate(linear + (uint)done, true, out ulong physical)) return false;
            int part = PageSplit.BytesInPage(linear + (uint)done, source.Length - done);
            _machine->Memory.TryCopyIn(physical, source.Slice(done, part));
            done += part;
        }
        return true;
    }

    /// <summary>The instruction that an intercept was about, when the message does not carry it. Returns the bytes that could be read.</summary>
    public int ReadInstruction(in HvX64InterceptMessageHeader header, Span<byte> destination)
    {
        ulong linear = header.CsSegment.Base + header.Rip;
        if (!InterceptMode.Is64(header)) linear = (uint)linear;
        int first = PageSplit.BytesInPage(linear, destination.Length);
        int read = 0;
        if (TryRead(linear, destination.Slice(0, first))) read = first;
        if (read == first && first < destination.Length && TryRead(linear + (uint)first, destination.Slice(first))) read = destination.Length;
        Fault = default;
        return read;
    }

    // The tables were fine, only what lies behind them is no memory: the access goes to a device, or nowhere. When it is a table
    // that cannot be read, the address is not to be trusted: it may even be RAM.
    private readonly bool IsBehindTables(uint result, ulong physical) =>
        result is HvTranslateGvaResultCode.HvTranslateGvaGpaUnmapped or HvTranslateGvaResultCode.HvTranslateGvaGpaNoReadAccess
            or HvTranslateGvaResultCode.HvTranslateGvaGpaNoWriteAccess
        && !_machine->Memory.TryGetPointer(physical, 1, out _);

    private readonly uint ErrorCode(uint result, bool write) =>
        (result switch
        {
            HvTranslateGvaResultCode.HvTranslateGvaPageNotPresent => 0,
            HvTranslateGvaResultCode.HvTranslateGvaInvalidPageTableFlags => ErrorPresent | ErrorReserved,
            _ => ErrorPresent,
        }) | (write ? ErrorWrite : 0) | (_user ? ErrorUser : 0);
}

/// <summary>The processor's mode at an intercept.</summary>
internal static class InterceptMode
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Is64(in HvX64InterceptMessageHeader header) => header.ExecutionState.EferLma && header.CsSegment.Attributes.Long;

    public static ProcessorMode Of(in HvX64InterceptMessageHeader header)
    {
        if (Is64(header)) return ProcessorMode.Long64;
        if (!header.ExecutionState.Cr0Pe) return ProcessorMode.Real16;
        return header.CsSegment.Attributes.Default ? ProcessorMode.Protected32 : ProcessorMode.Protected16;
    }
}
