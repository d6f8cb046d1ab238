// Brings lamina.json and every file that it names into memory.
using System;
using Lamina.Abi;
using Lamina.Boot.Efi;
using Lamina.Text;

namespace Lamina.Boot;

/// <summary>The modules read so far, in memory that the handover will name.</summary>
public unsafe struct ModuleLoader
{
    public const int MaximumModules = 128;

    private const ulong SayFrom = 4 * 1024 * 1024;
    private const ulong TwoSeconds = 20_000_000; // 100 ns each
    private static ReadOnlySpan<byte> ConfigurationName => "lamina.json"u8;

    private readonly BootModule* modules;
    private readonly void* timer;
    private readonly EfiBootServices* services;

    /// <param name="modules">Room for <see cref="MaximumModules"/>.</param>
    public ModuleLoader(EfiBootServices* services, BootModule* modules)
    {
        this.services = services;
        this.modules = modules;
        Count = 0;
        void* created = null;
        services->CreateEvent(EfiBootServices.EVT_TIMER, 0, null, null, &created);
        timer = created; // null: no progress lines
    }

    public uint Count { get; private set; }

    /// <summary>Reads the configuration as module 0, then its files. What is missing is said in one line and left out.</summary>
    public void Load<TSource>(ref TSource source) where TSource : struct, IFileSource
    {
        if (!source.TryOpen(ConfigurationName, out _))
        {
            BootConsole.WriteLine("boot: lamina/lamina.json is not where the loader came from: going on without modules"u8);
            return;
        }
        source.Close();
        if (!TryLoad(ref source, ConfigurationName))
        {
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
            if (!IsLoaded(file))
            {
                TryLoad(ref source, file);
            }
        }
    }

    /// <summary>Gives the progress timer back.</summary>
    public readonly void Close()
    {
        if (timer != null)
        {
            services->CloseEvent(timer);
        }
    }

    private readonly bool IsLoaded(ReadOnlySpan<byte> name)
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

    private bool TryLoad<TSource>(ref TSource source, ReadOnlySpan<byte> name) where TSource : struct, IFileSource
    {
        if (Count == MaximumModules)
        {
            SayOf(name, ": left out: at most 128 files are loaded"u8);
            return false;
        }
        if (!source.TryOpen(name, out ulong length))
        {
            SayOf(name, TSource.WhyNot);
            return false;
        }
        // An empty file is a module, too: the root says what is wrong with it.
        bool loaded = LoaderMemory.TryAllocate(Math.Max(length, 1), MemoryRangeType.BootData, out ulong address);
        if (!loaded)
        {
            TextWriter line = BootConsole.BeginLine();
            line.Text("boot: "u8).Printable(name).Text(": left out: no "u8).Decimal((length + 0xFFFFF) >> 20).Text(" MiB of memory free for it"u8);
            BootConsole.WriteLine(ref line);
        }
        else if (!ReadAll(ref source, name, address, length))
        {
            SayOf(name, ": left out: the firmware reports a read error"u8);
            LoaderMemory.Free(address);
            loaded = false;
        }
        source.Close();
        if (loaded)
        {
            Add(name, address, length);
        }
        return loaded;
    }

    private readonly bool ReadAll<TSource>(ref TSource source, ReadOnlySpan<byte> name, ulong address, ulong length) where TSource : struct, IFileSource
    {
        if (length >= SayFrom && source.LargestRead >= length)
        {
            SayProgress(name, 0, length);
        }
        ArmTimer();
        for (ulong done = 0; done < length;)
        {
            ulong step = Math.Min(length - done, source.LargestRead);
            if (!source.TryRead((void*)(address + done), step))
            {
                return false;
            }
            done += step;
            if (done < length && TimerElapsed())
            {
                SayProgress(name, done, length);
                ArmTimer();
            }
        }
        return true;
    }

    private static void SayProgress(ReadOnlySpan<byte> name, ulong done, ulong length)
    {
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: reading "u8).Printable(name).Text(": "u8).Decimal(done >> 20).Text(" of "u8).Decimal(length >> 20).Text(" MiB"u8);
        BootConsole.WriteLine(ref line);
    }

    private void Add(ReadOnlySpan<byte> name, ulong address, ulong length)
    {
        BootModule* module = &modules[Count++];
        module->Base = address;
        module->Size = length;
        name.CopyTo(new Span<byte>(module->Name, BootModule.NameLength));
        module->Name[name.Length] = 0;
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: module "u8).Printable(name).Text(", "u8).Decimal(length).Text(" bytes at "u8).Hex(address);
        BootConsole.WriteLine(ref line);
    }

    private readonly void ArmTimer()
    {
        if (timer != null)
        {
            services->SetTimer(timer, EfiTimerDelay.TimerRelative, TwoSeconds);
        }
    }

    private readonly bool TimerElapsed() => timer != null && services->CheckEvent(timer) == EfiStatus.EFI_SUCCESS;

    private static void SayOf(ReadOnlySpan<byte> name, ReadOnlySpan<byte> what)
    {
        TextWriter line = BootConsole.BeginLine();
        line.Text("boot: "u8).Printable(name).Text(what);
        BootConsole.WriteLine(ref line);
    }
}
