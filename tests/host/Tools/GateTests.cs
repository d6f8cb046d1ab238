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

    [Theory]
    [InlineData("ret", null)]
    [InlineData("call plain\nret", null)]
    [InlineData("call panic\nret", null)]
    [InlineData("jmp .over\n.over: ret", null)]
    [InlineData("movups xmm5, [rdi]\nret", "x: begin uses a vector register: movups xmm5, xmmword ptr [rdi]")]
    [InlineData("call deep\nret", "x: deeper (by deep) uses a vector register: pxor xmm0, xmm0")]
    [InlineData("test eax, eax\njz deep\nret", "x: deeper (by deep) uses a vector register: pxor xmm0, xmm0")]
    [InlineData("call rax\nret", "x: begin calls nobody knows whom: call rax")]
    [InlineData("jmp [rcx]", "x: begin calls nobody knows whom: jmp qword ptr [rcx]")]
    public async Task What_runs_with_a_guests_vector_registers_in_place_uses_none(string body, string expected)
    {
        using var folder = new Scratch();
        string code = await AssembleAsync(folder, $"global begin, plain, deep, deeper, panic\nbegin: {body}\nplain: mov eax, [rcx]\nret\ndeep: jmp deeper\ndeeper: pxor xmm0, xmm0\nret\npanic: pxor xmm0, xmm0\nret");
        string image = folder.File("x.exe"), map = folder.File("x.map");
        await ChildProcess.RequireAsync("lld-link", ["/nologo", "/subsystem:native", "/entry:begin", "/nodefaultlib", "/machine:x64", "/out:" + image, "/map:" + map, code]);
        Outcome disassembly = await ChildProcess.RequireAsync("llvm-objdump", ["-d", "--no-show-raw-insn", "--x86-asm-syntax=intel", image]);
        string[] lines = new VectorFree(["begin"], ["panic"]).Inspect("x", disassembly.Output, File.ReadAllText(map)).ToArray();
        Assert.Equal(expected == null ? [] : [expected], lines);
    }

    [Fact]
    public void A_function_that_is_not_there_is_named() =>
        Assert.Equal("x: no function gone, from which vector registers are looked for", Assert.Single(new VectorFree(["gone"], []).Inspect("x", "", "")));

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
