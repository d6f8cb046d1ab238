// Reads lamina.json (DESIGN, "lamina.json") into a MachineConfig: the machine, its switches and the shape of a VM.
using System;
using System.Numerics;
using Lamina.Text;

namespace Lamina.Root.Config;

/// <summary>
/// Every mistake becomes one line <c>lamina.json:LINE: what was expected</c>. One inside a VM's or switch's object
/// marks that one with HasErrors; one of syntax ends the reading, and what was complete before it stays.
/// </summary>
public unsafe partial struct ConfigParser
{
    private const int MaxPathLength = 255, MaxCommandLineLength = 4095;

    private JsonReader _reader;
    private TextWriter* _errors;
    private MachineConfig* _machine;
    private byte* _arena;
    private int _arenaUsed;
    private int _arenaCapacity;
    private KeySet _set;
    private int _key;

    /// <summary>
    /// Fills <paramref name="machine"/> from <paramref name="length"/> bytes of source. Strings go to the arena, for which as
    /// many bytes as the source has are always enough. The source is not needed afterwards.
    /// </summary>
    public static void Parse(byte* source, int length, byte* arena, int arenaCapacity, MachineConfig* machine, ref TextWriter errors)
    {
        *machine = default;
        fixed (TextWriter* sink = &errors)
        {
            ConfigParser parser = default;
            parser._reader = new JsonReader(source, length);
            parser._errors = sink;
            parser._machine = machine;
            parser._arena = arena;
            parser._arenaCapacity = arenaCapacity;
            parser.ReadMachine();
        }
    }

    private void ReadMachine()
    {
        if (_reader.Read() is not (JsonToken.ObjectStart or JsonToken.Error))
            Report(_reader.TokenLine).Text("expected an object { \"switches\": [ ], \"vms\": [ ] }"u8).Line();
        else
        {
            uint seen = 0;
            while (TryNextKey(KeySet.Machine, ref seen))
            {
                if (_key == 0) ReadSwitches();
                else ReadVms();
            }
            if (_reader.Read() == JsonToken.Error) ReportSyntax();
        }
        ConnectNics();
    }

    private void ReadSwitches()
    {
        if (!TryEnterArray("an array of switches"u8)) return;
        bool full = false;
        while (TryNextElement("a switch { \"name\": …, \"type\": … }"u8))
        {
            if (_machine->SwitchCount < MachineConfig.MaxSwitches) ReadSwitch(_machine->Switch(_machine->SwitchCount));
            else SkipSurplus(ref full, MachineConfig.MaxSwitches, "switches"u8);
        }
    }

    private void ReadSwitch(SwitchConfig* declared)
    {
        int errorsBefore = _machine->ErrorCount;
        declared->Line = _reader.TokenLine;
        uint seen = 0;
        while (TryNextKey(KeySet.Switch, ref seen))
        {
            if (_key == 0) declared->Name = ReadText(VmConfig.MaxNameLength, "a name"u8);
            else ReadSwitchType(declared);
        }
        if (_reader.Token == JsonToken.Error) { *declared = default; return; }
        RequireKey(seen, KeySet.Switch, 0, declared->Line, "this switch"u8);
        RequireKey(seen, KeySet.Switch, 1, declared->Line, "this switch"u8);
        for (int i = 0; i < _machine->SwitchCount && declared->Name.IsGiven; i++)
            if (ConfigKeys.SameName(_machine->Switch(i)->Name.Span, declared->Name.Span))
                ReportDuplicate(declared->Name, "switch"u8, _machine->Switch(i)->Name.Line);
        declared->HasErrors = _machine->ErrorCount != errorsBefore;
        _machine->SwitchCount++;
    }

    private void ReadSwitchType(SwitchConfig* declared)
    {
        int choice = ReadChoice("external"u8, "internal"u8, "private"u8, "nat"u8);
        if (choice >= 0) declared->Type = (SwitchType)choice;
    }

    private void ReadVms()
    {
        if (!TryEnterArray("an array of virtual machines"u8)) return;
        bool full = false;
        while (TryNextElement("a virtual machine { \"name\": …, \"kernel\": … }"u8))
        {
            if (_machine->VmCount < MachineConfig.MaxVms) ReadVm(_machine->Vm(_machine->VmCount));
            else SkipSurplus(ref full, MachineConfig.MaxVms, "virtual machines"u8);
        }
    }

    private void ReadVm(VmConfig* vm)
    {
        int errorsBefore = _machine->ErrorCount;
        vm->Line = _reader.TokenLine;
        vm->Processors = 1;
        vm->Memory = VmConfig.DefaultMemory;
        vm->Weight = vm->Cap = 100;
        uint seen = 0;
        while (TryNextKey(KeySet.Vm, ref seen)) ReadVmKey(vm);
        if (_reader.Token == JsonToken.Error) { *vm = default; return; }
        RequireKey(seen, KeySet.Vm, 0, vm->Line, "this VM"u8);
        RequireKey(seen, KeySet.Vm, 4, vm->Line, "this VM"u8);
        if (vm->Reserve > vm->Cap)
            Report(vm->Line).Text("\"reserve\" ("u8).Decimal((ulong)vm->Reserve).Text(") must not exceed \"cap\" ("u8).Decimal((ulong)vm->Cap).Text(")"u8).Line();
        for (int i = 0; i < _machine->VmCount && vm->Name.IsGiven; i++)
            if (ConfigKeys.SameName(_machine->Vm(i)->Name.Span, vm->Name.Span)) ReportDuplicate(vm->Name, "VM"u8, _machine->Vm(i)->Name.Line);
        vm->HasErrors = _machine->ErrorCount != errorsBefore;
        _machine->VmCount++;
    }

    private void ReadVmKey(VmConfig* vm)
    {
        switch (_key)
        {
            case 0: vm->Name = ReadText(VmConfig.MaxNameLength, "a name"u8); break;
            case 1: ReadFlag(ref vm->Autostart); break;
            case 2: ReadInteger(ref vm->Processors, 1, VmConfig.MaxProcessors); break;
            case 3: ReadMemory(vm); break;
            case 4: vm->Kernel = ReadText(MaxPathLength, "a file name"u8); break;
            case 5: vm->Initrd = ReadText(MaxPathLength, "a file name"u8); break;
            case 6: vm->CommandLine = ReadText(MaxCommandLineLength, "a string"u8, mayBeEmpty: true); break;
            case 7: ReadDisks(vm); break;
            case 8: ReadNics(vm); break;
            case 9: ReadInteger(ref vm->Weight, 1, VmConfig.MaxWeight); break;
            case 10: ReadInteger(ref vm->Cap, 1, 100); break;
            case 11: ReadInteger(ref vm->Reserve, 0, 100); break;
            case 12: int choice = ReadChoice("console"u8, "none"u8, default, default); if (choice >= 0) vm->Com1 = (Com1Mode)choice; break;
            case 13: ReadFlag(ref vm->DebugExit); break;
            default: ReadFlag(ref vm->SynicTestDevice); break;
        }
    }

    private void ReadMemory(VmConfig* vm)
    {
        _reader.Read();
        if (_reader.Token == JsonToken.Error) return;
        bool good = false;
        ulong bytes = 0;
        if (_reader.Token == JsonToken.Number && _reader.IsInteger && _reader.Integer > 0) { bytes = (ulong)_reader.Integer; good = true; }
        else if (_reader.Token == JsonToken.String) good = ConfigValues.TrySize(_reader.Raw, out bytes);
        if (!good) { ReportValue("a size such as \"512M\" or \"2G\", or a number of bytes"u8); return; }
        if (bytes < VmConfig.MinMemory || bytes > VmConfig.MaxMemory || (bytes & 0xFFF) != 0)
            ReportValue("from \"2M\" to \"1T\" and a multiple of \"4K\""u8);
        else vm->Memory = bytes;
    }

    private void ReadDisks(VmConfig* vm)
    {
        if (!TryEnterArray("an array of disks"u8)) return;
        bool full = false;
        while (TryNextElement("a disk { \"path\": … }"u8))
        {
            if (vm->DiskCount == VmConfig.MaxDisks) { SkipSurplus(ref full, VmConfig.MaxDisks, "disks in one VM"u8); continue; }
            DiskConfig* disk = vm->Disk(vm->DiskCount++);
            int line = _reader.TokenLine;
            uint seen = 0;
            while (TryNextKey(KeySet.Disk, ref seen)) ReadDiskKey(disk);
            const uint sources = 0b111;
            if (_reader.Token != JsonToken.Error && BitOperations.PopCount(seen & sources) != 1)
                Report(line).Text("this disk needs one of \"path\", \"device\" and \"image\""u8).Line();
        }
    }

    private void ReadDiskKey(DiskConfig* disk)
    {
        switch (_key)
        {
            case 0: disk->Place = ReadText(MaxPathLength, "a file name"u8); break;
            case 1: disk->Place = ReadText(MaxPathLength, "the name of a disk or partition"u8); break;
            case 2: disk->Place = ReadImage(); break;
            default: ReadFlag(ref disk->ReadOnly); return;
        }
        disk->Source = (DiskSource)_key;
    }

    private ConfigText ReadImage()
    {
        ConfigText place = ReadText(MaxPathLength, "VOLUME:/path of a disk image"u8);
        int colon = place.Span.IndexOf((byte)':');
        if (place.IsGiven && (colon <= 0 || colon + 2 >= place.Length || place.Span[colon + 1] is not ((byte)'/' or (byte)'\\')))
            ReportValue("VOLUME:/path of a disk image"u8);
        return place;
    }

    private void ReadNics(VmConfig* vm)
    {
        if (!TryEnterArray("an array of network adapters"u8)) return;
        bool full = false;
        while (TryNextElement("a network adapter { \"switch\": … }"u8))
        {
            if (vm->NicCount == VmConfig.MaxNics) { SkipSurplus(ref full, VmConfig.MaxNics, "nics in one VM"u8); continue; }
            NicConfig* nic = vm->Nic(vm->NicCount++);
            nic->SwitchIndex = -1;
            uint seen = 0;
            while (TryNextKey(KeySet.Nic, ref seen))
            {
                if (_key == 0) nic->SwitchName = ReadText(VmConfig.MaxNameLength, "the name of a switch"u8);
                else ReadMac(vm, nic);
            }
        }
    }

    private void ReadMac(VmConfig* vm, NicConfig* nic)
    {
        if (_reader.Read() == JsonToken.Error) return;
        if (_reader.Token != JsonToken.String || !ConfigValues.TryMac(_reader.Raw, nic->Mac)) { ReportValue("a MAC address such as \"00:15:5d:00:00:01\""u8); return; }
        ReadOnlySpan<byte> mac = new(nic->Mac, 6);
        // IEEE 802: bit 0 of the first octet marks a group address, which no adapter may own.
        if ((mac[0] & 1) != 0 || mac.SequenceEqual("\0\0\0\0\0\0"u8)) { ReportValue("the MAC address of one adapter, not multicast, not zero"u8); return; }
        for (int i = 0; i <= _machine->VmCount; i++)
        {
            VmConfig* other = _machine->Vm(i);
            for (int j = 0; j < other->NicCount; j++)
                if (other->Nic(j)->HasMac && mac.SequenceEqual(new ReadOnlySpan<byte>(other->Nic(j)->Mac, 6))) { ReportValue("a MAC address that no other adapter has"u8); return; }
        }
        nic->HasMac = true;
    }

    // At the end, since "switches" may stand behind "vms".
    private void ConnectNics()
    {
        for (int i = 0; i < _machine->VmCount; i++)
        {
            VmConfig* vm = _machine->Vm(i);
            for (int j = 0; j < vm->NicCount; j++)
            {
                NicConfig* nic = vm->Nic(j);
                if (!nic->SwitchName.IsGiven) continue;
                for (int k = 0; k < _machine->SwitchCount; k++)
                    if (!_machine->Switch(k)->HasErrors && ConfigKeys.SameName(_machine->Switch(k)->Name.Span, nic->SwitchName.Span)) nic->SwitchIndex = k;
                // After a syntax error the switch may be in the part that was not read: leave the adapter unplugged.
                if (nic->SwitchIndex >= 0 || _reader.Token == JsonToken.Error) continue;
                Report(nic->SwitchName.Line).Text("no usable switch \""u8).Printable(nic->SwitchName.Span).Text("\"; expected the name of one in \"switches\""u8).Line();
                vm->HasErrors = true;
            }
        }
    }
}
