// The loader's modules as the handover has them: lamina.json first, each file by the name that lamina.json gives it.
using System;
using Lamina.Abi;
using Lamina.Text;

namespace Lamina.Boot;

public unsafe struct ModuleList
{
    public const int MaximumModules = 128;

    private static ReadOnlySpan<byte> ConfigurationName => "lamina.json"u8;

    private readonly BootModule* modules;

    /// <param name="modules">Room for <see cref="MaximumModules"/>.</param>
    public ModuleList(BootModule* modules)
    {
        this.modules = modules;
        Count = 0;
    }

    public uint Count { get; private set; }

    /// <summary>Takes lamina.json and the files that it names. What is missing is said in one line and left out.</summary>
    public void Fill(Multiboot2Tags tags)
    {
        if (!TryAdd(tags, ConfigurationName))
        {
            BootConsole.WriteLine("boot: no module is named lamina.json: going on without modules"u8);
            return;
        }
        ModuleScan scan = new(new ReadOnlySpan<byte>((void*)modules[0].Base, (int)Math.Min(modules[0].Size, int.MaxValue)));
        byte* name = stackalloc byte[BootModule.NameLength];
        while (scan.TryNext(new Span<byte>(name, BootModule.NameLength), out int length))
        {
            if (length >= BootModule.NameLength)
            {
                SayOf(new ReadOnlySpan<byte>(name, 40), "...: left out: a file name has at most 111 bytes"u8);
                continue;
            }
            ReadOnlySpan<byte> file = new(name, length);
            if (!IsListed(file) && !TryAdd(tags, file))
            {
                SayOf(file, Count == MaximumModules ? ": left out: at most 128 files are loaded"u8 : ": not among the loader's modules, left out"u8);
            }
        }
    }

    private readonly bool IsListed(ReadOnlySpan<byte> name)
    {
        for (uint i = 0; i < Count; i++)
        {
            if (modules[i].Name[name.Length] == 0 && name.SequenceEqual(new ReadOnlySpan<byte>(modules[i].Name, name.Length)))
            {
                return true;
            }
        }
        return false;
    }

    private bool TryAdd(Multiboot2Tags tags, ReadOnlySpan<byte> name)
    {
        while (Count < MaximumModules && tags.TryNext())
        {
            if (tags.Type == Multiboot2TagType.Modules && tags.TryReadModule(out Multiboot2Module module) && ModuleName.Matches(module.Text, name))
            {
                BootModule* entry = &modules[Count++];
                entry->Base = module.Start;
                entry->Size = module.End - module.Start;
                name.CopyTo(new Span<byte>(entry->Name, BootModule.NameLength));
                entry->Name[name.Length] = 0;
                TextWriter line = BootConsole.BeginLine();
                line.Text("boot: module "u8).Printable(name).Text(", "u8).Decimal(entry->Size).Text(" bytes at "u8).Hex(entry->Base);
                BootConsole.WriteLine(ref line);
                return true;
            }
        }
        return false;
    }

    private static void SayOf(ReadOnlySpan<byte> name, ReadOnlySpan<byte> what)
    {
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: "u8).Printable(name).Text(what);
        BootConsole.WriteLine(ref line);
    }
}
