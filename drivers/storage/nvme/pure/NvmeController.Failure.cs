// What happens when the device takes too long or breaks its rules: it is stopped before anybody's memory is given back, then started
// anew, or given up.
using System;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Nvme;

public unsafe partial struct NvmeController<THost, TFunction> where THost : struct, IDriverHost where TFunction : struct, INvmeFunction
{
    /// <summary>Ages of commands are counted in steps of this; a timer runs only while some command is out.</summary>
    private const ulong AgeInterval = 2_000 * TicksPerMillisecond;

    /// <summary>A command may take so many steps: 30 to 32 seconds.</summary>
    private const uint OldAge = 15;

    private const ulong ShutDownPatience = 2_000 * TicksPerMillisecond;

    /// <summary>Resets without any command completed between them.</summary>
    private const uint ResetsInRow = 3;

    private void ArmAge()
    {
        fixed (DeadlineTimer* timer = &ageTimer) THost.Arm(timer, THost.Now + AgeInterval);
    }

    private static void OnAge(void* context) => ((NvmeController<THost, TFunction>*)context)->Age();

    private void Age()
    {
        if (phase != NvmePhase.Running) return;
        age++;
        bool isAnyOut = false, isOld = false;
        for (uint i = 0; i < queueCount && phase == NvmePhase.Running; i++)
        {
            if (!HasOld(Queue(i))) continue;
            Reap(Queue(i)); // its interrupt may have been lost
        }
        for (uint i = 0; i < queueCount && phase == NvmePhase.Running; i++)
        {
            isAnyOut |= Queue(i)->Rings.InFlight != 0;
            isOld |= HasOld(Queue(i));
        }
        if (phase != NvmePhase.Running) return;
        if (isOld) Reset();
        else if (isAnyOut && !ageTimer.IsArmed) ArmAge();
    }

    private readonly bool HasOld(NvmeIoQueue* queue)
    {
        for (uint i = 0; i < queue->Rings.SlotCount; i++)
            if (queue->Rings.IsInUse(i) && age - queue->Rings.Slot(i)->Issued >= OldAge) return true;
        return false;
    }

    /// <summary>Gives up what is out and starts the controller anew.</summary>
    private void Reset()
    {
        if (++resets > ResetsInRow)
        {
            Break("does not recover"u8);
            return;
        }
        Report("a command takes too long, resetting"u8);
        Stop();
    }

    /// <summary>The device has broken its rules, or cannot be made to work: it is stopped and not trusted again.</summary>
    private void Break(ReadOnlySpan<byte> why, uint status = 0)
    {
        Report(why, status, status != 0);
        isBroken = true;
        Stop();
    }

    /// <summary>Clears CC.EN and waits until the device has stopped: only then does it no longer touch memory.</summary>
    private void Stop()
    {
        phase = NvmePhase.Stopping;
        function.Write32(NvmeRegister.CC, 0);
        deadline = THost.Now + ReadyPatience;
        // Looking at once would complete requests within whatever found the fault; the timer comes from the executor.
        ArmStep();
    }

    /// <summary>The device has stopped, or is forced to by taking memory away from it; what it had is given back.</summary>
    private void Stopped(bool byItself)
    {
        bool isLost = isBroken || !byItself;
        if (isLost) function.SetBusMaster(false);
        if (!byItself && !isBroken) Report("does not stop"u8);
        phase = isLost ? NvmePhase.Failed : NvmePhase.Stopping;
        for (uint i = 0; i < queueCount; i++) GiveBack(Queue(i), isLost ? BlockStatus.DeviceError : BlockStatus.Aborted);
        if (!isLost)
        {
            Enable();
            return;
        }
        Finish();
        for (uint i = 0; i < queueCount; i++) Answer(Queue(i));
    }

    /// <summary>Ends every request that is out, in part or as a whole. Those that only wait stay.</summary>
    private static void GiveBack(NvmeIoQueue* queue, BlockStatus status)
    {
        bool wasBusy = queue->IsBusy;
        queue->IsBusy = true;
        for (uint i = 0; i < queue->Rings.SlotCount; i++)
        {
            if (!queue->Rings.IsInUse(i)) continue;
            BlockRequest* request = (BlockRequest*)queue->Rings.Slot(i)->Context;
            queue->Rings.Free(i);
            CommandDone(queue, request, status);
        }
        queue->IsBusy = wasBusy;
    }

    /// <summary>Ends what waits, as the device is gone for good; what is submitted meanwhile, when others have had their turn.</summary>
    private void Answer(NvmeIoQueue* queue)
    {
        BlockRequestList waiting = queue->Waiting;
        queue->Waiting = default;
        queue->IsBusy = true;
        for (BlockRequest* request = waiting.Take(); request != null; request = waiting.Take())
        {
            request->Status = BlockStatus.DeviceError;
            request->Completed(request);
        }
        queue->IsBusy = false;
        if (!queue->Waiting.IsEmpty) WorkLater(queue);
    }

    /// <summary>Normal shutdown, so that the device has written its cache and its tables when power goes. What is out gets no answer any more.</summary>
    private static void OnShutDown(void* context)
    {
        NvmeController<THost, TFunction>* controller = (NvmeController<THost, TFunction>*)context;
        if (controller->phase != NvmePhase.Running) return;
        controller->phase = NvmePhase.Failed;
        controller->function.Write32(NvmeRegister.CC, NvmeConfiguration.ShuttingDown.Value);
        ulong end = THost.Now + ShutDownPatience;
        while (THost.Now < end && !new NvmeControllerStatus(controller->function.Read32(NvmeRegister.CSTS)).IsShutDown) { }
    }
}
