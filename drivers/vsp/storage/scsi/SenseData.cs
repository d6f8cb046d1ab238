// Sense data as a disk returns it. Source: SPC-4, "Sense data".

namespace Lamina.Drivers.Vsp.Storage.Scsi;

public static class SenseCodes
{
    public static byte Key(this SenseCode code) => (byte)((uint)code >> 16);
    public static byte AdditionalSenseCode(this SenseCode code) => (byte)((uint)code >> 8);
    public static byte Qualifier(this SenseCode code) => (byte)code;
}

/// <summary>SPC-4, "Fixed format sense data" and "Descriptor format sense data".</summary>
public static unsafe class SenseData
{
    public const int FixedLength = 18, DescriptorLength = 8;

    /// <summary>Current error, fixed format, into 18 bytes.</summary>
    public static void WriteFixed(byte* sense, SenseCode code)
    {
        for (int i = 0; i < FixedLength; i++) sense[i] = 0;
        sense[0] = 0x70;
        sense[2] = code.Key();
        sense[7] = FixedLength - 8;
        sense[12] = code.AdditionalSenseCode();
        sense[13] = code.Qualifier();
    }

    /// <summary>Current error, descriptor format without descriptors, into 8 bytes.</summary>
    public static void WriteDescriptor(byte* sense, SenseCode code)
    {
        for (int i = 0; i < DescriptorLength; i++) sense[i] = 0;
        sense[0] = 0x72;
        sense[1] = code.Key();
        sense[2] = code.AdditionalSenseCode();
        sense[3] = code.Qualifier();
    }
}
