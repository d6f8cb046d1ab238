// The outcome of a page-table operation.
namespace Lamina.X64.Paging;

public enum PageTableStatus : byte
{
    Success = 0,

    /// <summary>Misaligned, empty, wrapping or untranslatable range, or permissions that the format cannot encode. Nothing was done.</summary>
    InvalidArgument,

    /// <summary>No page for a table. Everything from page <see cref="PageTableResult.PagesDone"/> on translates as before.</summary>
    InsufficientMemory,

    /// <summary>The page at <see cref="PageTableResult.PagesDone"/> is not mapped; what lies before it was done.</summary>
    NotMapped,
}

/// <summary>Status and how far it got: pages of 4 KiB, counted from the start of the range.</summary>
public readonly struct PageTableResult
{
    public PageTableResult(PageTableStatus status, ulong pagesDone)
    {
        Status = status;
        PagesDone = pagesDone;
    }

    public PageTableStatus Status { get; }
    public ulong PagesDone { get; }
    public bool Succeeded => Status == PageTableStatus.Success;
}
