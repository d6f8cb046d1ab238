// The cache of instructions against fetching and decoding anew, while everything that an instruction is found through changes under it.
using System;
using System.Runtime.InteropServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Decode;
using Lamina.X64.Paging;
using Xunit;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class InstructionCacheTests : IDisposable
{
    private const ulong Page = TestMachine.Page, P = 1, RW = 2, US = 4, PS = 0x80, NX = 1UL << 63;
    private const ulong Cr0Pe = 1, Cr0Pg = 1UL << 31, Cr4Pse = 1 << 4, Cr4Pae = 1 << 5, Cr4La57 = 1 << 12, Cr4Smep = 1 << 20;
    private const ulong EferLme = 1 << 8, EferLma = 1 << 10, EferNxe = 1 << 11, RflagsVm = 1 << 17;
    // Guest-physical pages: code, then three sets of tables, each with its top first.
    private const int CodePages = 4, FirstTable = 8, Sets = 3, TablesPerSet = 5, Pages = FirstTable + Sets * TablesPerSet + 1;

    private static readonly byte[][] Instructions =
    [
        [0x8B, 0x05, 1, 2, 3, 4], [0xC7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], [0x89, 0x18], [0xA1, 1, 2, 3, 4, 5, 6, 7, 8], [0x48, 0x8B, 0x0C, 0x24],
        [0x87, 0x08], [0x83, 0x48, 0x10, 0x20], [0xF3, 0xAB], [0xAD], [0x90], [0x0F, 0xB6, 0x10], [0x66, 0x89, 0x07], [0xF0, 0x01, 0x08], [0x0F, 0x0B],
        [0x67, 0x65, 0xC7, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8],
    ];

    private readonly TestMachine machine;
    private readonly Partition* child;
    private readonly VirtualProcessor* vp;
    private readonly Random random = new(1234);
    private readonly ulong[] homes = new ulong[Pages];
    private ulong spare;
    private int hits, found, fresh;

    public InstructionCacheTests(TestMachine machine)
    {
        this.machine = machine;
        child = machine.CreateChild(60);
        vp = machine.CreateVp(child);
        for (int i = 0; i < Pages; i++)
        {
            homes[i] = machine.GuestMemory + (ulong)i * Page;
            Assert.True(machine.MapSmall(child, (ulong)i, homes[i], 1).Status.IsSuccess);
        }
        spare = machine.GuestMemory + Pages * Page;
    }

    public void Dispose() => machine.Destroy(child);

    private FakeState* State => FakeBackend.State(vp);

    private byte* At(ulong gpa) => TestMachine.At<byte>(homes[gpa / Page]) + gpa % Page;

    private static ulong TableOf(int set, int level) => (ulong)(FirstTable + set * TablesPerSet + level) * Page;

    /// <summary>Tables of every set for the mode: linear pages 0 to 7 are the guest-physical ones, mostly.</summary>
    private void BuildTables(GuestPagingMode mode)
    {
        int levels = mode switch { GuestPagingMode.FiveLevel => 5, GuestPagingMode.FourLevel => 4, GuestPagingMode.Pae => 3, _ => 2 };
        for (int set = 0; set < Sets; set++)
        {
            for (int level = 0; level < TablesPerSet; level++)
                new Span<byte>(At(TableOf(set, level)), (int)Page).Clear();
            for (int level = 0; level < levels; level++)
            {
                bool last = level == levels - 1;
                // Tables below the top may be those of another set, as kernels have it.
                ulong next = last ? 0 : TableOf(random.Next(2) == 0 ? 0 : set, level + 1);
                ulong flags = mode == GuestPagingMode.Pae && level == 0 ? P : P | RW | US;
                for (int i = 0; i < (last ? 8 : 1); i++)
                    SetEntry(mode, TableOf(set, level), i, (last ? (ulong)i * Page : next) | flags);
            }
        }
    }

    private void SetEntry(GuestPagingMode mode, ulong table, int index, ulong entry)
    {
        if (mode == GuestPagingMode.Bits32) *(uint*)At(table + 4 * (ulong)index) = (uint)entry;
        else *(ulong*)At(table + 8 * (ulong)index) = entry;
    }

    private GuestPagingMode Mode => GuestPages<FakeBackend>.StateOf(vp).Mode;

    private void ChooseMode()
    {
        GuestPagingMode mode = (GuestPagingMode)random.Next(5);
        bool isLong = mode >= GuestPagingMode.FourLevel;
        State->Cr0 = (mode == GuestPagingMode.None && random.Next(2) == 0 ? 0 : Cr0Pe) | (mode == GuestPagingMode.None ? 0 : Cr0Pg);
        State->Cr4 = (mode == GuestPagingMode.Bits32 ? Cr4Pse : 0) | (mode >= GuestPagingMode.Pae ? Cr4Pae : 0) | (mode == GuestPagingMode.FiveLevel ? Cr4La57 : 0);
        State->Efer = (isLong ? EferLme | EferLma : 0) | (random.Next(2) == 0 ? EferNxe : 0);
        State->Is64Bit = isLong && random.Next(4) != 0;
        SetCode(random.Next(2) == 0 ? 0 : Page);
        BuildTables(mode);
        State->Cr3 = TableOf(0, 0);
    }

    private void SetCode(ulong start)
    {
        State->Cs.Base = start;
        State->Cs.Attributes = new((ushort)((State->Is64Bit ? 1 << 13 : 0) | (!State->Is64Bit && random.Next(2) == 0 ? 1 << 14 : 0)));
    }

    private void PutInstruction(ulong gpa)
    {
        byte[] bytes = Instructions[random.Next(Instructions.Length)];
        for (int i = 0; i < bytes.Length && (gpa + (ulong)i) / Page < CodePages; i++) *At(gpa + (ulong)i) = bytes[i];
    }

    private static readonly ulong[] Places = [0x40, 0x140, 0x1040, 0x1FF8, 0x1FFD, 0x2FF1, 0x2800, 0xFFE];

    private void ChangeSomething()
    {
        switch (random.Next(16))
        {
            case 0:
                PutInstruction(Places[random.Next(Places.Length)]);
                break;
            case 1:
                *At((ulong)random.Next(CodePages * (int)Page)) ^= (byte)(1 << random.Next(8));
                break;
            case 2:
                // A byte of what is executed now.
                ulong at = State->Rip + State->Cs.Base + (ulong)random.Next(12);
                if (at < CodePages * Page) *At(at) ^= (byte)(1 << random.Next(8));
                break;
            case 3:
                // A bit of some table: flags, frames, what is reserved.
                ulong table = TableOf(random.Next(Sets), random.Next(TablesPerSet)) + 8 * (ulong)random.Next(4);
                *(ulong*)At(table) ^= 1UL << random.Next(4) switch { 0 => random.Next(64), 1 => random.Next(12), 2 => 5, _ => 63 };
                break;
            case 4:
                *(ulong*)At(TableOf(random.Next(Sets), random.Next(TablesPerSet)) + 8 * (ulong)random.Next(4)) ^= (ulong)random.Next(8) * Page;
                break;
            case 5:
                State->Cr3 = TableOf(random.Next(Sets), 0) | (random.Next(4) == 0 ? (ulong)random.Next(128) << 5 : 0);
                break;
            case 6:
                State->Cr4 ^= random.Next(4) switch { 0 => Cr4Smep, 1 => Cr4Pse, 2 => Cr4Pae, _ => Cr4La57 };
                break;
            case 7:
                State->Efer ^= EferNxe;
                break;
            case 8:
                State->Cpl ^= 3;
                break;
            case 9:
                SetCode(State->Cs.Base ^ Page);
                break;
            case 10:
                State->Rflags ^= RflagsVm;
                break;
            case 11:
                Remap();
                break;
            case 12:
                State->Cr0 ^= random.Next(2) == 0 ? Cr0Pg : Cr0Pe;
                break;
            case 13:
                State->Is64Bit = !State->Is64Bit;
                break;
            case 14:
                ChooseMode();
                break;
        }
    }

    /// <summary>A page of the child's is another page of RAM, with other contents; or none, for a moment.</summary>
    private void Remap()
    {
        int page = random.Next(Pages - 1);
        Assert.True(FakeBackend.UnmapGpa(child, (ulong)page * Page, 1).Succeeded);
        Compare();
        (homes[page], spare) = (spare, homes[page]);
        if (random.Next(2) == 0)
            new Span<byte>(TestMachine.At<byte>(spare), (int)Page).CopyTo(new Span<byte>(TestMachine.At<byte>(homes[page]), (int)Page));
        Assert.True(FakeBackend.MapGpa(child, (ulong)page * Page, homes[page], 1, PagePermissions.ReadWriteExecute, PageSize.Page4K).Succeeded);
    }

    private void Compare()
    {
        FetchState state;
        FakeBackend.GetFetchState(vp, &state);
        CachedInstructions copy = vp->MmioInstructions;
        bool isHit = CachedInstructions.TryFind(&copy, &state, child->SecondStageGeneration, out _);

        byte* bytes = stackalloc byte[16];
        int count = GuestInstruction<FakeBackend>.Fetch(vp, bytes);
        bool expected = MmioInstruction.TryDecode(new ReadOnlySpan<byte>(bytes, count), GuestInstruction<FakeBackend>.ModeOf(vp), out MmioInstruction reference) && !reference.IsString;
        MmioInstruction* actual = InstructionCache<FakeBackend>.Find(vp);
        Assert.Equal(expected, actual != null);
        if (expected)
            Assert.Equal(reference, *actual);
        hits += isHit ? 1 : 0;
        found += expected ? 1 : 0;
        fresh += expected && !isHit ? 1 : 0;
    }

    [Fact]
    public void A_hit_is_what_fetching_and_decoding_would_give()
    {
        for (int round = 0; round < 4000; round++)
        {
            ChooseMode();
            foreach (ulong place in Places) PutInstruction(place);
            State->Rflags &= ~RflagsVm;
            State->Cpl = 0;
            for (int step = 0; step < 40; step++)
            {
                State->Rip = Places[random.Next(random.Next(2) == 0 ? 2 : Places.Length)] - (random.Next(4) == 0 ? 0 : State->Is64Bit ? 0 : State->Cs.Base);
                Compare();
                if (random.Next(3) == 0) ChangeSomething();
                Compare();
            }
        }
        // Neither answer by default, neither always anew.
        Assert.InRange(hits, 60_000, 300_000);
        Assert.InRange(fresh, 30_000, 300_000);
        Assert.InRange(found, hits, 320_000);
    }

    private void EnterKernel()
    {
        State->Cr0 = Cr0Pe | Cr0Pg;
        State->Cr4 = Cr4Pae;
        State->Efer = EferLme | EferLma;
        State->Is64Bit = true;
        State->Cr3 = TableOf(0, 0);
        BuildTables(GuestPagingMode.FourLevel);
        State->Rip = 0x40;
        Instructions[0].CopyTo(new Span<byte>(At(0x40), 16));
    }

    private bool IsHit()
    {
        FetchState state;
        FakeBackend.GetFetchState(vp, &state);
        return CachedInstructions.TryFind(&vp->MmioInstructions, &state, child->SecondStageGeneration, out _);
    }

    [Fact]
    public void Another_process_of_the_same_kernel_hits()
    {
        EnterKernel();
        SetEntry(GuestPagingMode.FourLevel, TableOf(1, 0), 0, *(ulong*)At(TableOf(0, 0)));
        MmioInstruction* first = InstructionCache<FakeBackend>.Find(vp);
        Assert.True(first != null && IsHit());
        State->Cr3 = TableOf(1, 0) | 0x18;
        Assert.True(InstructionCache<FakeBackend>.Find(vp) == first);
        Assert.True(IsHit());
        // A table of its own below the top is another way.
        SetEntry(GuestPagingMode.FourLevel, TableOf(1, 0), 0, *(ulong*)At(TableOf(0, 0)) ^ 1UL << 9);
        Assert.False(IsHit());
    }

    [Fact]
    public void What_leaves_the_map_is_forgotten()
    {
        EnterKernel();
        Assert.True(InstructionCache<FakeBackend>.Find(vp) != null && IsHit());
        Assert.True(FakeBackend.UnmapGpa(child, (ulong)(Pages - 1) * Page, 1).Succeeded);
        Assert.False(IsHit());
        Assert.True(InstructionCache<FakeBackend>.Find(vp) != null && IsHit());
        Assert.True(FakeBackend.UnmapGpa(child, TableOf(0, 1) & ~(Page - 1), 1).Succeeded);
        Assert.True(InstructionCache<FakeBackend>.Find(vp) == null);
    }

    [Fact]
    public void An_instruction_across_pages_is_decoded_but_not_kept()
    {
        EnterKernel();
        State->Rip = 0xFFD;
        Instructions[1].CopyTo(new Span<byte>(TestMachine.At<byte>(homes[0]) + 0xFFD, 16));
        MmioInstruction* instruction = InstructionCache<FakeBackend>.Find(vp);
        Assert.True(instruction != null && instruction->Length == Instructions[1].Length);
        Assert.False(IsHit());
        // The last one that is all in its page.
        State->Rip = 0x2000 - (ulong)Instructions[1].Length;
        Instructions[1].CopyTo(new Span<byte>(At(State->Rip), Instructions[1].Length));
        Assert.True(InstructionCache<FakeBackend>.Find(vp) != null && IsHit());
    }
}
