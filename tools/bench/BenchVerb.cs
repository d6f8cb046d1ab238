// The bench verb.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Lamina.Tools.Build;
using Lamina.Tools.Run;

namespace Lamina.Tools.Bench;

public static class BenchVerb
{
    public static async Task<int> RunAsync(Workspace workspace, string[] against)
    {
        await Requirements.EnsureAsync(Requirements.Build, Requirements.Qemu, Requirements.Uefi, Requirements.Guest);
        await BuildVerb.RunAsync(workspace, []);
        using var stop = new CancellationTokenSource();
        using var signals = new Signals(stop.Cancel);
        var subjects = new Subjects(new BenchMaterial(workspace), new BenchMachine(workspace, stop.Token), workspace);
        if (against.Contains("limit"))
            Print(await subjects.LimitAsync());
        if (against.Contains("kvm"))
            Print(await subjects.KvmCostAsync());
        if (against.Contains("xen"))
            Print(await subjects.XenCostAsync());
        return 0;
    }

    private static void Print(CostLines c)
    {
        foreach (var p in c.Costs) Report.Say($"{p.Key} {p.Value.Least} {p.Value.Median}");
    }
}
