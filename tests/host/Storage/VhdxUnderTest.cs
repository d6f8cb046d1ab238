// A VHDX over a sparse file, for the tests of all formats.
using System;
using System.Runtime.InteropServices;
using System.Text;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe class VhdxUnderTest : ImageUnderTest
{
    private readonly VhdxImage* image;

    public VhdxUnderTest(SparseFile file, bool writable = true) : base(file, writable)
    {
        byte[] guids = new byte[VhdxImage.NewGuidBytes];
        Random.Shared.NextBytes(guids);
        image = (VhdxImage*)Allocate((uint)sizeof(VhdxImage));
        fixed (byte* newGuids = guids) *image = new VhdxImage(Allocate(VhdxImage.WorkspaceBytes), (ulong)file.Length, writable, newGuids);
    }

    public ref VhdxImage Image => ref *image;
    public override ulong VirtualBytes => image->VirtualBytes;
    public override int SectorBytes => (int)image->SectorBytes;
    protected override BlockStep AdvanceOpen(bool success, byte* memory) => image->AdvanceOpen(success, memory);
    protected override Request CreateRequest(ImageOperation operation, ulong offset, uint length) => new RequestOf<VhdxImage, VhdxRequest>(image, operation, offset, length);

    /// <summary>A new image in an empty file.</summary>
    public static SparseFile Create(VhdxType type, ulong virtualBytes, uint blockBytes = 0, uint sectorBytes = 0, VhdxUnderTest parent = null, SparseFile into = null)
    {
        SparseFile file = into ?? new();
        byte* workspace = (byte*)NativeMemory.AllocZeroed(VhdxCreation.WorkspaceBytes);
        byte[] guids = new byte[48], relative = Encoding.Unicode.GetBytes(@".\parent.vhdx"), absolute = Encoding.Unicode.GetBytes(@"\\?\c:\disks\parent.vhdx");
        Random.Shared.NextBytes(guids);
        fixed (byte* guidsAt = guids, relativeAt = relative, absoluteAt = absolute)
            try
            {
                VhdxParameters parameters = new() { Type = type, VirtualBytes = virtualBytes, BlockBytes = blockBytes, SectorBytes = sectorBytes, Guids = guidsAt };
                if (parent != null)
                {
                    ((VhdxGuid*)guidsAt)[2] = parent.Image.VirtualDiskId;
                    parameters.ParentDataWriteGuid = parent.Image.DataWriteGuid;
                    parameters.ParentRelativePath = new() { Text = relativeAt, Bytes = (uint)relative.Length };
                    parameters.ParentAbsolutePath = new() { Text = absoluteAt, Bytes = (uint)absolute.Length };
                }
                VhdxCreation creation = new(workspace, parameters);
                bool success = true;
                for (; ; )
                {
                    BlockStep step = creation.Advance(success);
                    if (step.Kind == StepKind.Finished)
                    {
                        Assert.Equal(ImageStatus.Success, step.Status);
                        return file;
                    }
                    success = file.Perform(step, default);
                }
            }
            finally { NativeMemory.Free(workspace); }
    }

    public static VhdxUnderTest Opened(SparseFile file, VhdxUnderTest parent = null, bool writable = true)
    {
        VhdxUnderTest vhdx = new(file, writable) { Parent = parent };
        Assert.Equal(ImageStatus.Success, vhdx.Open());
        return vhdx;
    }

    /// <summary>The path or GUID that a differencing disk's locator has under a key.</summary>
    public string Locator(string key)
    {
        fixed (byte* at = Encoding.ASCII.GetBytes(key))
            return image->ParentLocator.TryFind(new ReadOnlySpan<byte>(at, key.Length), out byte* value, out uint bytes) ? Encoding.Unicode.GetString(value, (int)bytes) : null;
    }
}
