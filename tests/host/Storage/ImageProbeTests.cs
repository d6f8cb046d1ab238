// Which format a file is of.
using System;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public unsafe class ImageProbeTests
{
    private static (ImageStatus, ImageFormat) Probe(SparseFile file)
    {
        byte* workspace = (byte*)NativeMemory.AllocZeroed(ImageProbe.WorkspaceBytes);
        ImageProbe probe = new(workspace, (ulong)file.Length);
        BlockStep step;
        bool success = true;
        for (int steps = 0; (step = probe.Advance(success)).Kind != StepKind.Finished; steps++)
        {
            Assert.True(steps < 4);
            success = file.Perform(step, default);
        }
        NativeMemory.Free(workspace);
        return (step.Status, probe.Format);
    }

    [Fact]
    public void FormatsAreTold()
    {
        foreach (VhdType type in new[] { VhdType.Fixed, VhdType.Dynamic })
        {
            SparseFile vhd = VhdUnderTest.Create(type, 1 << 20);
            Assert.Equal((ImageStatus.Success, ImageFormat.Vhd), Probe(vhd));
        }
        SparseFile damaged = VhdUnderTest.Create(VhdType.Dynamic, 1 << 20);
        damaged.Length -= 512;
        Assert.Equal((ImageStatus.Success, ImageFormat.Vhd), Probe(damaged));
        foreach (VhdxType type in new[] { VhdxType.Fixed, VhdxType.Dynamic })
            Assert.Equal((ImageStatus.Success, ImageFormat.Vhdx), Probe(VhdxUnderTest.Create(type, 1 << 20)));
        Assert.Equal((ImageStatus.Success, ImageFormat.Unknown), Probe(new SparseFile { Length = 1 << 20 }));
        Assert.Equal((ImageStatus.Success, ImageFormat.Unknown), Probe(new SparseFile()));
    }

    /// <summary>The guest of a fixed VHD owns its first sector, that of a VHDX perhaps the last: neither may make its image into another.</summary>
    [Fact]
    public void WhatAGuestCanMakeIsRefused()
    {
        SparseFile vhd = VhdUnderTest.Create(VhdType.Fixed, 4 << 20);
        vhd.Write(0, "vhdxfile"u8);
        Assert.Equal((ImageStatus.Invalid, ImageFormat.Unknown), Probe(vhd));
        SparseFile vhdx = VhdxUnderTest.Create(VhdxType.Fixed, 1 << 20, 1 << 20);
        byte[] footer = new byte[512];
        SparseFile other = VhdUnderTest.Create(VhdType.Dynamic, 1 << 20);
        other.Read(0, footer);
        vhdx.Write(vhdx.Length - 512, footer);
        Assert.Equal((ImageStatus.Invalid, ImageFormat.Unknown), Probe(vhdx));
    }
}
