// Walks the stack of compiled code by its unwind tables, since it keeps no frame pointers.
// PE/COFF, "The .pdata Section"; Microsoft x64 ABI, "x64 exception handling" ("struct UNWIND_INFO", "struct UNWIND_CODE").
using System.Runtime.InteropServices;

namespace Lamina.Root.Kernel;

/// <summary>RUNTIME_FUNCTION: one function (or part of one), by offsets from the image's base.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RuntimeFunction
{
    public uint BeginAddress;
    public uint EndAddress;
    public uint UnwindInfo;
}

/// <summary>
/// The state of the walk: an instruction pointer and the registers that the callees so far must have preserved. Reads only the
/// image's tables and words inside the given stack; a broken stack ends the walk.
/// </summary>
public unsafe struct StackUnwinder
{
    private const byte UNW_FLAG_CHAININFO = 4;
    private const byte UWOP_PUSH_NONVOL = 0, UWOP_ALLOC_LARGE = 1, UWOP_ALLOC_SMALL = 2, UWOP_SET_FPREG = 3, UWOP_SAVE_NONVOL = 4,
        UWOP_SAVE_NONVOL_FAR = 5, UWOP_SAVE_XMM128 = 8, UWOP_SAVE_XMM128_FAR = 9;

    private readonly byte* imageBase;
    private readonly RuntimeFunction* functions;
    private readonly int functionCount;
    private readonly ulong stackStart;
    private readonly ulong stackEnd;
    private fixed ulong registers[16]; // by number; RSP is Rsp

    public ulong Rip;
    public ulong Rsp;

    /// <param name="functions">Sorted by address, as the linker leaves them.</param>
    /// <param name="stackStart">Lowest address of the stack.</param>
    /// <param name="stackEnd">The address after its highest.</param>
    public StackUnwinder(byte* imageBase, RuntimeFunction* functions, int functionCount, ulong stackStart, ulong stackEnd)
    {
        this = default;
        this.imageBase = imageBase;
        this.functions = functions;
        this.functionCount = functionCount;
        this.stackStart = stackStart;
        this.stackEnd = stackEnd;
    }

    /// <summary>A register by its number in machine code: 0 RAX, 1 RCX, 2 RDX, 3 RBX, 5 RBP, 6 RSI, 7 RDI, 8..15.</summary>
    public void SetRegister(int number, ulong value) => registers[number] = value;

    /// <summary>Goes to the caller; false when the stack ends or cannot be read.</summary>
    public bool TryStep()
    {
        ulong offset = Rip - (ulong)imageBase;
        int index = offset <= uint.MaxValue ? FindFunction((uint)offset) : -1;
        if (index >= 0 && !TryUndo(functions[index], (uint)offset)) return false;
        if (!TryRead(Rsp, out Rip)) return false; // a function without an entry is a leaf: nothing but the return address is on the stack
        Rsp += 8;
        return Rip != 0;
    }

    /// <summary>The entry whose range holds the offset, or -1.</summary>
    private readonly int FindFunction(uint offset)
    {
        int low = 0, high = functionCount;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (offset >= functions[middle].EndAddress) low = middle + 1;
            else high = middle;
        }
        return low < functionCount && offset >= functions[low].BeginAddress ? low : -1;
    }

    /// <summary>Takes back what the prologue has done up to the offset, and what functions that this one is a part of have done.</summary>
    private bool TryUndo(RuntimeFunction function, uint offset)
    {
        for (int chained = 0; chained < 8; chained++)
        {
            byte* info = imageBase + function.UnwindInfo;
            int count = info[2];
            ushort* codes = (ushort*)(info + 4);
            uint inPrologue = chained == 0 ? offset - function.BeginAddress : uint.MaxValue;
            if (!TryUndo(codes, count, inPrologue, info[3])) return false;
            if ((info[0] >> 3 & UNW_FLAG_CHAININFO) == 0) return true;
            function = *(RuntimeFunction*)(codes + (count + 1 & ~1));
        }
        return false;
    }

    private bool TryUndo(ushort* codes, int count, uint inPrologue, byte frame)
    {
        if (HasFramePointer(codes, count, inPrologue)) Rsp = registers[frame & 0xF] - (ulong)(frame >> 4) * 16;
        for (int i = 0; i < count;)
        {
            byte done = (byte)codes[i];
            int operation = codes[i] >> 8 & 0xF, operand = codes[i] >> 12;
            int slots = SlotsOf(operation, operand);
            if (slots == 0 || i + slots > count) return false;
            if (done <= inPrologue && !TryUndo(operation, operand, codes + i + 1)) return false;
            i += slots;
        }
        return true;
    }

    /// <summary>Whether the prologue has come so far that a frame register tells where the stack pointer was before any later change.</summary>
    private static bool HasFramePointer(ushort* codes, int count, uint inPrologue)
    {
        for (int i = 0; i < count;)
        {
            int operation = codes[i] >> 8 & 0xF;
            if (operation == UWOP_SET_FPREG) return (byte)codes[i] <= inPrologue;
            int slots = SlotsOf(operation, codes[i] >> 12);
            if (slots == 0) return false;
            i += slots;
        }
        return false;
    }

    private bool TryUndo(int operation, int operand, ushort* extra)
    {
        switch (operation)
        {
            case UWOP_PUSH_NONVOL:
                if (!TryRead(Rsp, out registers[operand])) return false;
                Rsp += 8;
                return true;
            case UWOP_ALLOC_LARGE:
                Rsp += operand == 0 ? extra[0] * 8UL : *(uint*)extra;
                return true;
            case UWOP_ALLOC_SMALL:
                Rsp += (ulong)operand * 8 + 8;
                return true;
            case UWOP_SAVE_NONVOL:
                return TryRead(Rsp + extra[0] * 8UL, out registers[operand]);
            case UWOP_SAVE_NONVOL_FAR:
                return TryRead(Rsp + *(uint*)extra, out registers[operand]);
            default:
                return true; // the frame register is dealt with already; no address is kept in vector registers
        }
    }

    /// <summary>16-bit words that an operation takes; 0 for one that compiled code does not use.</summary>
    private static int SlotsOf(int operation, int operand) => operation switch
    {
        UWOP_PUSH_NONVOL or UWOP_ALLOC_SMALL or UWOP_SET_FPREG => 1,
        UWOP_ALLOC_LARGE => operand == 0 ? 2 : 3,
        UWOP_SAVE_NONVOL or UWOP_SAVE_XMM128 => 2,
        UWOP_SAVE_NONVOL_FAR or UWOP_SAVE_XMM128_FAR => 3,
        _ => 0,
    };

    private readonly bool TryRead(ulong address, out ulong value)
    {
        bool readable = address >= stackStart && address <= stackEnd - 8 && (address & 7) == 0;
        value = readable ? *(ulong*)address : 0;
        return readable;
    }
}
