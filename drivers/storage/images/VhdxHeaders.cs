// The two headers of an open VHDX file: which one counts, and how fields of it change. MS-VHDX, "Updating the Headers".
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// Change <see cref="Current"/>, call <see cref="BeginUpdate"/>, do the steps of <see cref="TryNext"/>: the header that is out of date is
/// written and flushed, then the other, so that one valid header is there at any time and both say the same in the end.
/// </summary>
internal unsafe struct VhdxHeaders
{
    private enum Phase : byte { Idle, Write, Flush, Written }

    private readonly VhdxHeader* header;
    private uint current;
    private uint copiesLeft;
    private Phase phase;

    /// <param name="memory">4 KiB that hold the current header from <see cref="Choose"/> on.</param>
    public VhdxHeaders(byte* memory)
    {
        this = default;
        header = (VhdxHeader*)memory;
    }

    public readonly VhdxHeader* Current => header;

    /// <summary>Takes the newer of the valid ones; false if there is none.</summary>
    public bool Choose(VhdxHeader* first, VhdxHeader* second)
    {
        bool firstValid = first != null && VhdxHeader.IsValid(first), secondValid = second != null && VhdxHeader.IsValid(second);
        if (!firstValid && !secondValid) return false;
        // Two of the same number are no order; the same twice does not need one.
        if (firstValid && secondValid && first->SequenceNumber == second->SequenceNumber && first->Checksum != second->Checksum) return false;
        current = firstValid && (!secondValid || first->SequenceNumber >= second->SequenceNumber) ? 0u : 1;
        VhdxHeader* chosen = current == 0 ? first : second;
        if (chosen != header) new ReadOnlySpan<byte>(chosen, (int)VhdxHeader.Bytes).CopyTo(new Span<byte>(header, (int)VhdxHeader.Bytes));
        return true;
    }

    /// <summary>Also after one that failed: the header that counts on the disk is never the one that is written.</summary>
    public void BeginUpdate()
    {
        copiesLeft = 2;
        phase = Phase.Write;
    }

    /// <summary>The next step once the one before has succeeded; false when both are written.</summary>
    public bool TryNext(out BlockStep step)
    {
        if (phase == Phase.Written)
        {
            current ^= 1;
            phase = --copiesLeft == 0 ? Phase.Idle : Phase.Write;
        }
        switch (phase)
        {
            case Phase.Write:
                header->SequenceNumber++;
                VhdxHeader.Seal(header);
                phase = Phase.Flush;
                step = BlockStep.Metadata(StepKind.Write, VhdxLayout.HeaderOffset(current ^ 1), (byte*)header, VhdxHeader.Bytes);
                return true;
            case Phase.Flush:
                phase = Phase.Written;
                step = BlockStep.Of(StepKind.Flush);
                return true;
            default:
                step = default;
                return false;
        }
    }
}
