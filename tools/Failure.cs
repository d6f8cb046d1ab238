// What stops a verb: one line for the person at the terminal and the exit code.
using System;

namespace Lamina.Tools;

/// <summary>Ends the verb with one clear line; <see cref="ExitCode"/> becomes the program's.</summary>
public sealed class Failure(string message, int exitCode = 1) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
