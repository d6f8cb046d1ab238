// The images of the house: what each is made of, where it runs, how big it may be.
namespace Lamina.Tools.Build;

/// <summary>How the linked image is handed out.</summary>
public enum ImageForm
{
    /// <summary>The PE file as linked.</summary>
    Executable,
    /// <summary>The PE file as linked, and beside it its memory layout as NAME.flat.</summary>
    ExecutableAndFlat,
    /// <summary>Only the memory layout: file offset = RVA.</summary>
    Flat,
}

/// <summary>One image.</summary>
/// <param name="Name">Short name, used on the command line.</param>
/// <param name="Product">File name in out/.</param>
/// <param name="Rooms">Project folders, the image's own first, CoreLib last; their assemblies are compiled together.</param>
/// <param name="Entry">Symbol where it starts.</param>
/// <param name="Base">Address it is linked at; null: relocatable.</param>
/// <param name="Budget">Most bytes it may take, file and .bss together; null: no limit.</param>
/// <param name="Multiboot">Version of the Multiboot header that the file must begin with; 0: none.</param>
/// <param name="After">Images whose flat files this one includes.</param>
/// <param name="VectorFree">What of it runs with a guest's xmm registers in place.</param>
public sealed record Image(string Name, string Product, string[] Rooms, string Entry, ulong? Base, string Subsystem, ImageForm Form,
    long? Budget = null, int Multiboot = 0, string[] After = null, VectorFree VectorFree = null)
{
    public string FlatProduct => Form == ImageForm.Flat ? Product : System.IO.Path.ChangeExtension(Product, ".flat");
}

/// <summary>The table. A new image is a new entry.</summary>
public static class ImageTable
{
    private static readonly string[] Foundation = ["foundation/x64", "foundation/abi", "foundation/corelib"];

    public static readonly Image[] All =
    [
        new("hypervisor", "hypervisor.exe", ["hypervisor", .. Foundation], "lamina_core_entry", 0xFFFFFFFF80000000, "native",
            ImageForm.ExecutableAndFlat, Budget: 300 * 1024, VectorFree: new(["svm_short_exit", "vmx_short_exit"], Ends: ["vmx_instruction_failed", "CoreLib_Internal_Runtime_CompilerHelpers_ThrowHelpers__"])),
        new("root", "root.exe", ["partitions/root", "drivers", "vmbus", .. Foundation], "lamina_root_entry", 0xFFFFFFFFC0000000, "native",
            ImageForm.ExecutableAndFlat),
        new("checks", "guest-checks.bin", ["partitions/guest/checks", "partitions/guest/machine", .. Foundation], "guest_entry32", 0x100000, "native",
            ImageForm.Flat, Multiboot: 1),
        new("smp", "guest-smp.bin", ["partitions/guest/smp", "partitions/guest/machine", .. Foundation], "guest_entry32", 0x100000, "native",
            ImageForm.Flat, Multiboot: 1),
        new("bus", "guest-bus.bin", ["partitions/guest/bus", "partitions/guest/machine", "drivers", "vmbus", .. Foundation], "guest_entry32", 0x100000, "native",
            ImageForm.Flat, Multiboot: 1),
        new("uefi", "BOOTX64.EFI", ["boot/uefi", "boot/handover", .. Foundation], "efi_main", null, "efi_application",
            ImageForm.Executable, After: ["hypervisor", "root"]),
        new("multiboot2", "lamina.mb2", ["boot/multiboot2", "boot/handover", .. Foundation], "multiboot2_entry32", 0x100000, "native",
            ImageForm.Flat, Multiboot: 2, After: ["hypervisor", "root"]),
    ];
}
