// A screen of characters: what a serial terminal would show. Pure bookkeeping; who draws asks for the cells.

namespace Lamina.Drivers.Video;

/// <summary>
/// Understands CR, LF, BS, TAB and of the escape sequences those for erasing and cursor movement; it swallows the others, so that a
/// guest's colours do not litter the screen. Text longer than a line wraps, the last line scrolls.
/// </summary>
public unsafe struct TextScreen
{
    private const byte Escape = 0x1B, Space = (byte)' ', Unknown = 0x7F;
    private const int TabWidth = 8, MaximumParameters = 4, MaximumParameter = 9999;

    private enum State : byte { Text, AfterEscape, Control, OperatingSystemCommand, Charset }

    private readonly byte* cells;
    public readonly int Columns;
    public readonly int Rows;
    private State state;
    private int top; // the row of cells that is shown first: scrolling moves it, not the text
    private int parameterCount;
    private fixed int parameters[MaximumParameters];

    /// <summary>Where the next character goes; the column may be one past the last until that character comes.</summary>
    public int Column { get; private set; }
    public int Row { get; private set; }

    /// <param name="cells">Columns times rows bytes, this screen's own from now on.</param>
    public TextScreen(byte* cells, int columns, int rows)
    {
        this = default;
        this.cells = cells;
        Columns = columns;
        Rows = rows;
        for (int row = 0; row < rows; row++) Blank(row, 0, columns);
    }

    /// <summary>The character in a cell.</summary>
    public readonly byte this[int row, int column] => Line(row)[column];

    /// <summary>The next byte of the stream.</summary>
    public void Put(byte value)
    {
        switch (state)
        {
            case State.Text:
                PutText(value);
                break;
            case State.AfterEscape:
                state = value switch { (byte)'[' => State.Control, (byte)']' => State.OperatingSystemCommand, (byte)'(' or (byte)')' => State.Charset, _ => State.Text };
                parameterCount = 0;
                parameters[0] = 0;
                break;
            case State.Control:
                PutControl(value);
                break;
            case State.OperatingSystemCommand:
                if (value is 7 or Escape) state = value == 7 ? State.Text : State.Charset; // ended by BEL, or by ESC and one more
                break;
            default:
                state = State.Text;
                break;
        }
    }

    private void PutText(byte value)
    {
        switch (value)
        {
            case (byte)'\r': Column = 0; break;
            case (byte)'\n': Feed(); break;
            case 8: if (Column > 0) Column--; break;
            case (byte)'\t': MoveTo(Row, (Column / TabWidth + 1) * TabWidth); break;
            case Escape: state = State.AfterEscape; break;
            case < Space or 0x7F: break;
            case >= 0x80 and < 0xC0: break; // the rest of a UTF-8 sequence whose first byte showed
            default: PutCharacter(value < 0x80 ? value : Unknown); break;
        }
    }

    private void PutCharacter(byte value)
    {
        if (Column == Columns)
        {
            Column = 0;
            Feed();
        }
        Line(Row)[Column++] = value;
    }

    private void Feed()
    {
        if (Row < Rows - 1)
        {
            Row++;
            return;
        }
        top = top == Rows - 1 ? 0 : top + 1;
        Blank(Row, 0, Columns);
    }

    private void PutControl(byte value)
    {
        if (value is >= (byte)'0' and <= (byte)'9')
        {
            if (parameterCount < MaximumParameters && parameters[parameterCount] < MaximumParameter)
                parameters[parameterCount] = parameters[parameterCount] * 10 + value - '0';
        }
        else if (value == ';')
        {
            if (parameterCount < MaximumParameters && ++parameterCount < MaximumParameters) parameters[parameterCount] = 0;
        }
        else if (value is >= 0x40 and <= 0x7E)
        {
            state = State.Text;
            Execute(value);
        }
    }

    /// <summary>ECMA-48, "Control functions": CUU, CUD, CUF, CUB, CUP, ED, EL.</summary>
    private void Execute(byte function)
    {
        int first = parameters[0], second = parameterCount >= 1 ? parameters[1] : 0;
        int count = first == 0 ? 1 : first;
        switch (function)
        {
            case (byte)'A': MoveTo(Row - count, Column); break;
            case (byte)'B': MoveTo(Row + count, Column); break;
            case (byte)'C': MoveTo(Row, Column + count); break;
            case (byte)'D': MoveTo(Row, Column - count); break;
            case (byte)'G': MoveTo(Row, count - 1); break;
            case (byte)'H' or (byte)'f': MoveTo(count - 1, (second == 0 ? 1 : second) - 1); break;
            case (byte)'J': EraseScreen(first); break;
            case (byte)'K': EraseLine(first); break;
        }
    }

    private void MoveTo(int row, int column)
    {
        Row = row < 0 ? 0 : row >= Rows ? Rows - 1 : row;
        Column = column < 0 ? 0 : column >= Columns ? Columns - 1 : column;
    }

    /// <summary>Mode 0: from the cursor to the end; 1: from the start to the cursor; 2: all. So for the line, too.</summary>
    private void EraseScreen(int mode)
    {
        EraseLine(mode);
        for (int row = 0; row < Rows; row++)
            if (mode == 2 || (mode == 0 && row > Row) || (mode == 1 && row < Row)) Blank(row, 0, Columns);
    }

    private void EraseLine(int mode)
    {
        int cursor = Column < Columns ? Column : Columns - 1;
        if (mode == 0) Blank(Row, cursor, Columns);
        else if (mode == 1) Blank(Row, 0, cursor + 1);
        else if (mode == 2) Blank(Row, 0, Columns);
    }

    private void Blank(int row, int start, int end)
    {
        byte* line = Line(row);
        for (int column = start; column < end; column++) line[column] = Space;
    }

    private readonly byte* Line(int row)
    {
        int at = row + top;
        return cells + (at < Rows ? at : at - Rows) * Columns;
    }
}
