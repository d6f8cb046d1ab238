// What a storage controller needs beyond what every service provider does.

namespace Lamina.Drivers.Vsp.Storage;

public interface IStorageHost : IVspHost
{
    /// <summary>
    /// Calls <c>Signaled</c> for the channel once more when others have had their turn, not from within this call: a guest that fills its
    /// ring as fast as it is emptied must not keep the root to itself. May be asked again before that; once is enough.
    /// </summary>
    void SignalSoon(uint channel);
}
