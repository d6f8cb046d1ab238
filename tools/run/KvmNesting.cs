// Whether the KVM of this machine lets a guest be a hypervisor, and of which vendor.
using System;
using System.IO;

namespace Lamina.Tools.Run;

/// <summary>What the Linux host says of its KVM.</summary>
public static class KvmNesting
{
    /// <summary>"amd" or "intel" when a guest of this machine's KVM gets SVM or VMX; null: it gets neither, for the reason given.</summary>
    /// <param name="root">Folder that stands for the root directory.</param>
    public static string Vendor(out string lack, string root)
    {
        lack = "no kvm_amd or kvm_intel module";
        foreach ((string module, string vendor) in new[] { ("kvm_amd", "amd"), ("kvm_intel", "intel") })
        {
            string parameter = Path.Combine(root, $"sys/module/{module}/parameters/nested");
            if (!File.Exists(parameter))
                continue;
            if (!TryRead(parameter, out string nested) || nested.Trim() is not ("1" or "Y"))
            {
                lack = $"{module} was loaded without nested=1";
                continue;
            }
            if (!IsUsable(Path.Combine(root, "dev/kvm")))
            {
                lack = "/dev/kvm cannot be opened for reading and writing";
                continue;
            }
            lack = null;
            return vendor;
        }
        return null;
    }

    private static bool TryRead(string file, out string text)
    {
        text = "";
        try
        {
            text = File.ReadAllText(file);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static bool IsUsable(string device)
    {
        try
        {
            using FileStream opened = File.Open(device, FileMode.Open, FileAccess.ReadWrite);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
