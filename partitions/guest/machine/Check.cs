// Runs one check after the other and prints what came of each: "PASS name", "FAIL name why" or "SKIP name why".
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Text;

namespace Lamina.Guest;

/// <summary>A check is a method; its first failed expectation is what gets printed. An exception fails the check and no other.</summary>
public static unsafe class Check
{
    private const int WhyCapacity = 160;

    private struct Storage
    {
        public fixed byte Why[WhyCapacity];
        public int WhyLength;
        public bool Failed, Skipped;
        public ulong Passed, FailedCount, SkippedCount;
        public ulong ProtectedStack;
    }

    private static Storage storage;

    [RuntimeImport("*", "guest_protected_call"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern uint ProtectedCall(nint function, ulong* stackVariable);

    public static ulong Failures => storage.FailedCount;

    /// <summary>Where to continue after an exception that no run expects; 0: no check is running.</summary>
    public static ulong ProtectedStack => storage.ProtectedStack;

    /// <summary>Runs a check that any PC passes.</summary>
    public static void Run(ReadOnlySpan<byte> name, delegate*<void> body) => Run(name, body, null);

    /// <summary>The same with a second part, which runs if the first has not failed, and like it begins on a clean processor.</summary>
    public static void Run(ReadOnlySpan<byte> name, delegate*<void> body, delegate*<void> next)
    {
        storage.Failed = storage.Skipped = false;
        storage.WhyLength = 0;
        RunProtected(body);
        if (next != null && !storage.Failed && !storage.Skipped) RunProtected(next);
        Print(name);
    }

    private static void RunProtected(delegate*<void> body)
    {
        uint ended;
        fixed (ulong* variable = &storage.ProtectedStack) ended = ProtectedCall((nint)body, variable);
        if (ended != 0) FailByException();
        Cleanup.AfterCheck();
    }

    /// <summary>Runs a check of the Hyper-V interface; skipped where there is none.</summary>
    public static void RunHv(ReadOnlySpan<byte> name, delegate*<void> body)
    {
        if (HvCpuid.IsPresent) Run(name, body);
        else
        {
            storage.Failed = false;
            Skip("no Hyper-V interface"u8);
            Print(name);
        }
    }

    /// <summary>The last line: "DONE name N passed, M failed".</summary>
    public static void Summary(ReadOnlySpan<byte> name)
    {
        byte* buffer = stackalloc byte[96];
        var line = new TextWriter(buffer, 96);
        line.Text("DONE "u8).Text(name).Text(" "u8).Decimal(storage.Passed).Text(" passed, "u8).Decimal(storage.FailedCount).Text(" failed"u8);
        if (storage.SkippedCount != 0) line.Text(", "u8).Decimal(storage.SkippedCount).Text(" skipped"u8);
        Serial.Line(line.Written);
    }

    /// <summary>An expectation. Returns it, so that a check can stop.</summary>
    public static bool That(bool condition, ReadOnlySpan<byte> why)
    {
        if (!condition) Fail(why);
        return condition;
    }

    /// <summary>A value that must be another.</summary>
    public static bool Equal(ReadOnlySpan<byte> what, ulong actual, ulong expected)
    {
        if (actual == expected) return true;
        if (!BeginFailure(out TextWriter why)) return false;
        why.Text(what).Text(" is "u8).Hex(actual).Text(", expected "u8).Hex(expected);
        storage.WhyLength = why.Length;
        return false;
    }

    /// <summary>A value that must lie between two others, both included. Shown in decimal.</summary>
    public static bool Between(ReadOnlySpan<byte> what, ulong actual, ulong least, ulong most)
    {
        if (actual >= least && actual <= most) return true;
        if (!BeginFailure(out TextWriter why)) return false;
        why.Text(what).Text(" is "u8).Decimal(actual).Text(", expected "u8).Decimal(least).Text(" to "u8).Decimal(most);
        storage.WhyLength = why.Length;
        return false;
    }

    /// <summary>A run that must have been ended by this exception.</summary>
    public static bool Faulted(ReadOnlySpan<byte> what, in RunState state, ulong vector)
    {
        if (state.Vector == vector) return true;
        if (!BeginFailure(out TextWriter why)) return false;
        why.Text(what).Text(": "u8);
        if (state.Returned) why.Text("no exception"u8);
        else why.Text("exception "u8).Decimal(state.Vector);
        why.Text(", expected exception "u8).Decimal(vector);
        storage.WhyLength = why.Length;
        return false;
    }

    /// <summary>A run that must have returned.</summary>
    public static bool Returned(ReadOnlySpan<byte> what, in RunState state)
    {
        if (state.Returned) return true;
        if (!BeginFailure(out TextWriter why)) return false;
        why.Text(what).Text(": exception "u8).Decimal(state.Vector).Text(" error "u8).Hex(state.ErrorCode).Text(" at "u8).Hex(state.FaultRip);
        storage.WhyLength = why.Length;
        return false;
    }

    public static void Fail(ReadOnlySpan<byte> text)
    {
        if (!BeginFailure(out TextWriter why)) return;
        why.Text(text);
        storage.WhyLength = why.Length;
    }

    /// <summary>With a number, such as that of a register.</summary>
    public static void Fail(ReadOnlySpan<byte> text, ulong value)
    {
        if (!BeginFailure(out TextWriter why)) return;
        why.Text(text).Hex(value);
        storage.WhyLength = why.Length;
    }

    /// <summary>This machine lacks what the check needs.</summary>
    public static void Skip(ReadOnlySpan<byte> text)
    {
        if (storage.Failed) return;
        storage.Skipped = true;
        fixed (byte* buffer = storage.Why)
        {
            var why = new TextWriter(buffer, WhyCapacity);
            why.Text(text);
            storage.WhyLength = why.Length;
        }
    }

    /// <summary>Called by the exception handler, so that the failure names the place.</summary>
    public static void NoteException(InterruptFrame* frame)
    {
        if (!BeginFailure(out TextWriter why)) return;
        why.Text("unexpected exception "u8).Decimal(frame->Vector).Text(" error "u8).Hex(frame->ErrorCode).Text(" at "u8).Hex(frame->Rip)
            .Text(" rcx "u8).Hex(frame->Rcx);
        storage.WhyLength = why.Length;
    }

    private static void FailByException() => Fail("unexpected exception"u8);

    // The first failure is the one to show.
    private static bool BeginFailure(out TextWriter why)
    {
        fixed (byte* buffer = storage.Why) why = new TextWriter(buffer, WhyCapacity);
        bool first = !storage.Failed;
        storage.Failed = true;
        return first;
    }

    private static void Print(ReadOnlySpan<byte> name)
    {
        byte* buffer = stackalloc byte[WhyCapacity + 80];
        var line = new TextWriter(buffer, WhyCapacity + 80);
        if (storage.Failed) storage.FailedCount++;
        else if (storage.Skipped) storage.SkippedCount++;
        else storage.Passed++;
        line.Text(storage.Failed ? "FAIL "u8 : storage.Skipped ? "SKIP "u8 : "PASS "u8).Text(name);
        fixed (byte* why = storage.Why)
            if (storage.Failed || storage.Skipped) line.Text(" "u8).Text(new ReadOnlySpan<byte>(why, storage.WhyLength));
        Serial.Line(line.Written);
    }
}
