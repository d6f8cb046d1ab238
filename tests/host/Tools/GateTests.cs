// Each gate of the build fires on a bad input, and stays silent on a good one.
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Lamina.Tools;
using Lamina.Tools.Build;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class GateTests
{
    private static readonly Image Core = ImageTable.All.Single(i => i.Name == "hypervisor");

    [Fact]
    public async Task A_static_constructor_is_named()
    {
        string[] lines = await InspectAsync("global Lamina_Bad___cctor\nLamina_Bad___cctor: ret");
        Assert.Equal("x: static constructor left for run time: Lamina_Bad (nothing runs it, its fields would be zero)", Assert.Single(lines));
    }

    [Fact]
    public async Task An_exception_handler_is_named() =>
        Assert.Contains("exception handler in Lamina_Bad__Catch", Assert.Single(await InspectAsync("global __ehinfo_Lamina_Bad__Catch\n__ehinfo_Lamina_Bad__Catch: ret")));

    [Theory]
    [InlineData("vaddps ymm0, ymm1, ymm2")]
    [InlineData("vmovups xmm3, [rdi]")]
    [InlineData("mulx rax, rbx, rcx")]
    [InlineData("vpaddd zmm0, zmm1, zmm2")]
    [InlineData("vmovups xmm3, [gs:rdi]")]
    public async Task A_vector_extended_instruction_is_named(string instruction) =>
        Assert.Contains("AVX instruction in bad", Assert.Single(await InspectAsync($"global bad\nbad: {instruction}\nret")));

    [Fact]
    public async Task Plain_code_passes() =>
        Assert.Empty(await InspectAsync("global good\ngood: movups xmm0, [rdi]\npopcnt rax, rbx\nvmread rax, rbx\nvmrun\nvmcall\nxsave [rdi]\nmov rax, 0xc5c4c5c4c5c4\nret"));

    [Fact]
    public async Task An_undefined_symbol_is_named()
    {
        using var folder = new Scratch();
        string code = await AssembleAsync(folder, "global start\nextern nowhere\nstart: call nowhere\nret");
        Outcome link = await ChildProcess.RunAsync("lld-link", ["/nologo", "/subsystem:native", "/entry:start", "/nodefaultlib", "/machine:x64", "/out:" + folder.File("x.exe"), code]);
        Assert.NotEqual(0, link.ExitCode);
        Assert.Contains("x: undefined symbol nowhere (used by", Assert.Single(Gates.LinkErrors("x", link.Text)));
    }

    [Fact]
    public void A_core_over_its_budget_fails_by_name_and_number()
    {
        Assert.Empty(Gates.Budget(Core, 300 * 1024));
        Assert.Equal("hypervisor: 307201 bytes, 1 over its budget of 307200 (code + data on disk + .bss)", Assert.Single(Gates.Budget(Core, 300 * 1024 + 1)));
    }

    [Fact]
    public void The_budget_counts_file_and_bss() => Assert.Equal(30, new ImageSize(Core, 1, 2, Zeroed: 10, File: 20).Total);

    private static async Task<string[]> InspectAsync(string assembly)
    {
        using var folder = new Scratch();
        return await Gates.InspectObjectAsync("x", await AssembleAsync(folder, assembly));
    }

    private static async Task<string> AssembleAsync(Scratch folder, string assembly)
    {
        string source = folder.File("x.asm"), target = folder.File("x.obj");
        File.WriteAllText(source, "bits 64\ndefault rel\nsection .text\n" + assembly + "\n");
        await ChildProcess.RequireAsync("nasm", ["-f", "win64", source, "-o", target]);
        return target;
    }
}
