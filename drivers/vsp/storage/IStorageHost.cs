// What a storage controller needs beyond what every service provider does.

namespace Lamina.Drivers.Vsp.Storage;

public interface IStorageHost : IVspHost
{
    /// <summary>
    /// Calls <c>Continue</c> for the channel when others have had their turn, not from within this call: a guest that fills its
    /// ring as fast as it is emptied must not keep the root to itself. May be asked again before that; once is enough.
    /// </summary>
    void ContinueSoon(uint channel);

    /// <summary>The same when <paramref name="delay"/> (100 ns) is over. While a call is due, another is not needed and may be left out.</summary>
    void ContinueAfter(uint channel, ulong delay);
}
