// Requests, service and priority against a model that keeps two sets of vectors and scans them.
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Hypervisor.Apic;
using Lamina.X64;
using Xunit;

namespace Lamina.Tests.Host.Apic;

public class PriorityTests
{
    private sealed class Model
    {
        public readonly SortedSet<int> Requested = new(), InService = new(), Level = new(), AutoEoi = new();
        public int Task;
        public int HighestRequest => Requested.Count == 0 ? -1 : Requested.Max;
        public int HighestInService => InService.Count == 0 ? -1 : InService.Max;
        public bool Candidate => Requested.Count > 0 && (InService.Count == 0 || Requested.Max >> 4 > InService.Max >> 4);
        public int Processor => Task >> 4 >= (InService.Count == 0 ? 0 : InService.Max >> 4) ? Task : InService.Max & 0xF0;
    }

    // Few distinct vectors, so that collisions and nesting happen.
    private static readonly byte[] Favourites = { 16, 17, 31, 32, 47, 48, 63, 64, 127, 128, 239, 240, 255 };
    private static readonly Gen<byte> Vector = Gen.OneOf(Gen.Byte[16, 255], Gen.Int[0, Favourites.Length - 1].Select(i => Favourites[i]));
    private static readonly Gen<(int Op, byte Vector, bool Flag)[]> Operations = Gen.Select(Gen.Int[0, 8], Vector, Gen.Bool).Array[0, 120];

    [Fact]
    public void FollowsTheModel() => Operations.Sample(operations =>
    {
        using var fixture = new ApicFixture();
        ref LocalApic apic = ref fixture.Apic;
        var model = new Model();
        foreach ((int op, byte vector, bool flag) in operations)
        {
            switch (op)
            {
                case 0 or 1 or 2:
                    bool changesMode = flag ? model.Level.Add(vector) : model.Level.Remove(vector);
                    Assert.Equal(model.Requested.Add(vector) | changesMode, apic.Assert(vector, flag));
                    break;
                case 3 or 4:
                    bool candidate = apic.TryGetCandidate(out byte best);
                    Assert.Equal(model.Candidate, candidate);
                    if (!candidate) break;
                    Assert.Equal(model.HighestRequest, best);
                    Assert.Equal(best >> 4 > model.Task >> 4, apic.IsAboveTaskPriority(best));
                    Assert.True(apic.Acknowledge(best));
                    model.Requested.Remove(best);
                    if (!model.AutoEoi.Contains(best)) model.InService.Add(best);
                    break;
                case 5:
                    int service = model.HighestInService;
                    ApicEffect effect = apic.EndOfInterrupt();
                    Assert.Equal(service >= 0, effect.HasEndOfInterrupt);
                    if (service < 0) { Assert.True(effect.IsNone); break; }
                    Assert.Equal(service, effect.Vector);
                    Assert.Equal(model.Level.Contains(service), effect.IsLevelTriggered);
                    Assert.Equal(model.Requested.Count > 0, effect.HasInterruptsChanged);
                    model.InService.Remove(service);
                    break;
                case 6:
                    Assert.Equal(model.Requested.Remove(vector), apic.Clear(vector));
                    break;
                case 7:
                    apic.TaskPriority = vector;
                    model.Task = vector;
                    break;
                case 8:
                    apic.SetAutoEoi(vector, flag);
                    if (flag) model.AutoEoi.Add(vector); else model.AutoEoi.Remove(vector);
                    break;
            }
            Check(model, fixture);
        }
    }, iter: 2000);

    private static void Check(Model model, ApicFixture fixture)
    {
        ref LocalApic apic = ref fixture.Apic;
        Assert.Equal(model.HighestRequest, apic.HighestRequest);
        Assert.Equal(model.HighestInService, apic.HighestInService);
        Assert.Equal(model.InService.Count, apic.InServiceCount);
        Assert.Equal(model.Processor, apic.ProcessorPriority);
        Assert.Equal((uint)model.Processor, fixture.Read(ApicRegisters.ProcessorPriority));
        for (uint word = 0; word < 8; word++)
        {
            Assert.Equal(Word(model.Requested, word), fixture.Read(ApicRegisters.InterruptRequest + word * 16));
            Assert.Equal(Word(model.InService, word), fixture.Read(ApicRegisters.InService + word * 16));
            Assert.Equal(Word(model.Level, word), fixture.Read(ApicRegisters.TriggerMode + word * 16));
        }
        LocalApic copy = apic;
        copy.Resynchronize();
        Assert.Equal((apic.HighestRequest, apic.HighestInService, apic.InServiceCount), (copy.HighestRequest, copy.HighestInService, copy.InServiceCount));
    }

    private static uint Word(IEnumerable<int> set, uint word) => set.Where(v => v >> 5 == word).Aggregate(0u, (sum, v) => sum | 1u << (v & 31));

    [Fact]
    public void SameClassWaitsAndHigherClassNests()
    {
        using var fixture = new ApicFixture();
        ref LocalApic apic = ref fixture.Apic;
        Assert.True(apic.Assert(0x41, false));
        Assert.True(apic.TryGetCandidate(out byte vector) && vector == 0x41);
        Assert.True(apic.Acknowledge(0x41));
        Assert.True(apic.Assert(0x4F, false));
        Assert.False(apic.TryGetCandidate(out _));
        Assert.True(apic.Assert(0x50, false));
        Assert.True(apic.TryGetCandidate(out vector) && vector == 0x50);
        Assert.True(apic.Acknowledge(0x50));
        Assert.Equal(0x50, apic.EndOfInterrupt().Vector);
        Assert.False(apic.TryGetCandidate(out _));
        Assert.Equal(0x41, apic.EndOfInterrupt().Vector);
        Assert.True(apic.TryGetCandidate(out vector) && vector == 0x4F);
    }

    [Fact]
    public void TaskPriorityHoldsBackItsClassAndBelow()
    {
        using var fixture = new ApicFixture();
        fixture.Apic.TaskPriority = 0x4A;
        fixture.Apic.Assert(0x4F, false);
        Assert.True(fixture.Apic.TryGetCandidate(out byte vector));
        Assert.False(fixture.Apic.IsAboveTaskPriority(vector));
        Assert.False(fixture.Apic.TryGetDeliverable(out _));
        Assert.Equal(0x4A, fixture.Apic.ProcessorPriority);
        Assert.True(fixture.Write(ApicRegisters.TaskPriority, 0x3F).HasInterruptsChanged);
        Assert.True(fixture.Apic.TryGetDeliverable(out _));
    }

    [Fact]
    public void ReinstateUndoesAcknowledge()
    {
        using var fixture = new ApicFixture();
        fixture.Apic.Assert(0x60, false);
        fixture.Apic.Acknowledge(0x60);
        fixture.Apic.Reinstate(0x60);
        Assert.Equal((0x60, -1, 0), (fixture.Apic.HighestRequest, fixture.Apic.HighestInService, fixture.Apic.InServiceCount));
    }

    // Who tells the processor which vectors' ends it is to report has to hear of it.
    [Fact]
    public void AnotherTriggerModeIsNews()
    {
        using var fixture = new ApicFixture();
        Assert.True(fixture.Apic.Assert(0x60, false));
        Assert.False(fixture.Apic.Assert(0x60, false));
        Assert.True(fixture.Apic.Assert(0x60, true));
        Assert.True(fixture.Apic.IsLevelTriggered(0x60));
        Assert.False(fixture.Apic.Assert(0x60, true));
        Assert.True(fixture.Apic.Assert(0x60, false));
        Assert.False(fixture.Apic.IsLevelTriggered(0x60));
    }

    [Fact]
    public void SoftwareDisabledRejectsButKeeps()
    {
        using var fixture = new ApicFixture(enabled: false);
        Assert.False(fixture.Apic.Assert(0x30, false));
        fixture.Write(ApicRegisters.SpuriousInterruptVector, 0x1FF);
        Assert.True(fixture.Apic.Assert(0x30, false));
        fixture.Write(ApicRegisters.SpuriousInterruptVector, 0xFF);
        Assert.False(fixture.Apic.Assert(0x31, false));
        Assert.Equal(0x30, fixture.Apic.HighestRequest);
    }

    [Fact]
    public void PostedVectorsArriveOnce() => Gen.Select(Vector, Gen.Bool).Array[0, 40].Sample(posts =>
    {
        using var fixture = new ApicFixture();
        var mailbox = new PostedInterrupts();
        bool first = true;
        var expected = new SortedSet<int>();
        var level = new SortedSet<int>();
        foreach ((byte vector, bool isLevel) in posts)
        {
            Assert.Equal(first, mailbox.Post(vector, isLevel));
            first = false;
            expected.Add(vector);
            if (isLevel) level.Add(vector);
        }
        Assert.Equal(posts.Length > 0, mailbox.IsOutstanding);
        Assert.Equal(posts.Length > 0, mailbox.Drain(ref fixture.Apic));
        Assert.False(mailbox.Drain(ref fixture.Apic));
        for (int v = 16; v < 256; v++)
        {
            Assert.Equal(expected.Contains(v), fixture.Apic.IsRequested((byte)v));
            Assert.Equal(level.Contains(v), fixture.Apic.IsLevelTriggered((byte)v));
        }
    }, iter: 300);

    [Fact]
    public unsafe void EoiAssistOnlyWhereNothingWaits()
    {
        using var fixture = new ApicFixture();
        ref LocalApic apic = ref fixture.Apic;
        uint assist = 0;
        Assert.False(EoiAssist.Offer(in apic, &assist));
        apic.Assert(0x50, false);
        apic.Acknowledge(0x50);
        Assert.True(EoiAssist.Offer(in apic, &assist));
        Assert.Equal(1u, assist);
        // The guest has not used it: a real EOI will come.
        Assert.False(EoiAssist.Collect(&assist));
        Assert.Equal(0u, assist);
        Assert.True(EoiAssist.Offer(in apic, &assist));
        assist = 0;
        Assert.True(EoiAssist.Collect(&assist));
        apic.Assert(0x40, false);
        Assert.False(EoiAssist.Offer(in apic, &assist));
        apic.EndOfInterrupt();
        apic.Acknowledge(0x40);
        apic.EndOfInterrupt();
        apic.Assert(0x60, true);
        apic.Acknowledge(0x60);
        Assert.False(EoiAssist.Offer(in apic, &assist));
    }
}
