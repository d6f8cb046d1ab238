// Sizes of pages and landmarks of physical memory, as both ways in use them.
namespace Lamina.Boot;

public static class BootPages
{
    public const ulong PageBytes = 4096;
    public const ulong LargePageBytes = 2 * 1024 * 1024;

    /// <summary>Where real-mode addresses end: further processors start below it.</summary>
    public const ulong OneMiB = 1 << 20;
    public const ulong FourGiB = 1UL << 32;

    /// <param name="alignment">A power of two.</param>
    public static ulong RoundUp(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);
}
