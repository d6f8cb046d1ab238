// Double faults, as the manual's table "Conditions for Generating a Double Fault" has them.
using Lamina.Hypervisor.Core;
using Xunit;

namespace Lamina.Tests.Host.Core;

public class ExceptionPairTests
{
    [Theory]
    [InlineData(6, 13, ExceptionPair.Serial)]        // benign, contributory
    [InlineData(6, 14, ExceptionPair.Serial)]
    [InlineData(13, 6, ExceptionPair.Serial)]
    [InlineData(13, 11, ExceptionPair.DoubleFault)]  // contributory twice
    [InlineData(0, 13, ExceptionPair.DoubleFault)]
    [InlineData(13, 14, ExceptionPair.Serial)]       // a page fault while a contributory one is delivered
    [InlineData(14, 13, ExceptionPair.DoubleFault)]
    [InlineData(14, 14, ExceptionPair.DoubleFault)]
    [InlineData(14, 1, ExceptionPair.Serial)]
    [InlineData(8, 13, ExceptionPair.Shutdown)]
    [InlineData(8, 14, ExceptionPair.Shutdown)]
    [InlineData(8, 1, ExceptionPair.Serial)]
    [InlineData(17, 13, ExceptionPair.Serial)]       // #AC is benign
    public void Two_exceptions_go_together_as_the_manual_says(byte first, byte second, ExceptionPair expected) => Assert.Equal(expected, ExceptionPairs.Of(first, second));
}
