// What a queue's user rings when the device asks for it.

namespace Lamina.Drivers.Bus.Virtio;

public interface IVirtioDoorbell
{
    void Ring();
}
