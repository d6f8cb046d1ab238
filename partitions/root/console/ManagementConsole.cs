// The management console: a prompt on COM1 and on the screen, or, while connected, the way through to a guest's serial port.
using System;
using Lamina.Drivers.Bus;
using Lamina.Root.Worker;
using Lamina.Text;

namespace Lamina.Root.Kernel;

public static unsafe class ManagementConsole
{
    /// <summary>After other output the prompt comes back when it has been quiet for a moment, so that a burst of lines is not interspersed with prompts.</summary>
    private const ulong QuietTime = 100 * ReferenceClock.TicksPerMillisecond;
    private const int EchoBytes = 3 * LineEditor.Capacity + 8;

    private static LineEditor editor;
    private static WorkItem input;
    private static DeadlineTimer quiet;
    private static bool started;
    private static bool lineShown;
    private static bool outputSinceArmed;

    private static ReadOnlySpan<byte> Prompt => "lamina> "u8;

    /// <summary>Begins to listen.</summary>
    public static void Start()
    {
        input.Handler = &OnInput;
        quiet.Handler = &OnQuiet;
        fixed (WorkItem* item = &input) ConsoleOutput.Start(item);
        started = true;
        BringLineBackLater();
    }

    /// <summary>Takes prompt and typed text off the terminal's line, for output that is about to come.</summary>
    internal static void PutLineAside()
    {
        if (!started || VmWorker.IsConnected) return;
        if (lineShown)
        {
            lineShown = false;
            ConsoleOutput.EraseLine();
        }
        BringLineBackLater();
    }

    private static void BringLineBackLater()
    {
        outputSinceArmed = true;
        if (quiet.IsArmed) return;
        outputSinceArmed = false;
        fixed (DeadlineTimer* timer = &quiet) DriverHost.Arm(timer, ReferenceClock.Now + QuietTime);
    }

    private static void OnQuiet(void* context)
    {
        if (outputSinceArmed) BringLineBackLater();
        else ShowLine();
    }

    private static void ShowLine()
    {
        if (lineShown || VmWorker.IsConnected) return;
        byte* text = stackalloc byte[LineEditor.Capacity];
        ConsoleOutput.EmitFreshLine();
        ConsoleOutput.Emit(Prompt);
        ConsoleOutput.Emit(new ReadOnlySpan<byte>(text, editor.CopyTo(new Span<byte>(text, LineEditor.Capacity))));
        lineShown = true;
    }

    private static void OnInput(void* context)
    {
        while (ConsoleOutput.TryReadInput(out byte value))
        {
            if (!VmWorker.IsConnected)
            {
                Edit(value);
                continue;
            }
            VmWorker.OnInput(value);
            if (!VmWorker.IsConnected) ShowLine();
        }
    }

    private static void Edit(byte key)
    {
        byte* buffer = stackalloc byte[EchoBytes];
        TextWriter echo = new(buffer, EchoBytes);
        ShowLine();
        EditResult result = editor.Put(key, ref echo);
        ConsoleOutput.Emit(echo.Written);
        if (result == EditResult.Editing) return;
        lineShown = false;
        if (result == EditResult.Entered)
        {
            byte* line = stackalloc byte[LineEditor.Capacity];
            int length = editor.CopyTo(new Span<byte>(line, LineEditor.Capacity));
            editor.Clear();
            Commands.Execute(new ReadOnlySpan<byte>(line, length));
        }
        ShowLine();
    }
}
