// Control register 4. SDM 3A, "Control Registers"; APM 2, "CR4 Register".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>CR4.</summary>
public readonly struct Cr4(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool VME => BitField.IsSet(Value, 0);

    /// <summary>Bit 1.</summary>
    public bool PVI => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: RDTSC at CPL 0 only.</summary>
    public bool TSD => BitField.IsSet(Value, 2);

    /// <summary>Bit 3.</summary>
    public bool DE => BitField.IsSet(Value, 3);

    /// <summary>Bit 4.</summary>
    public bool PSE => BitField.IsSet(Value, 4);

    /// <summary>Bit 5.</summary>
    public bool PAE => BitField.IsSet(Value, 5);

    /// <summary>Bit 6.</summary>
    public bool MCE => BitField.IsSet(Value, 6);

    /// <summary>Bit 7.</summary>
    public bool PGE => BitField.IsSet(Value, 7);

    /// <summary>Bit 8: RDPMC at any CPL.</summary>
    public bool PCE => BitField.IsSet(Value, 8);

    /// <summary>Bit 9.</summary>
    public bool OSFXSR => BitField.IsSet(Value, 9);

    /// <summary>Bit 10.</summary>
    public bool OSXMMEXCPT => BitField.IsSet(Value, 10);

    /// <summary>Bit 11.</summary>
    public bool UMIP => BitField.IsSet(Value, 11);

    /// <summary>Bit 12: five-level paging.</summary>
    public bool LA57 => BitField.IsSet(Value, 12);

    /// <summary>Bit 13.</summary>
    public bool VMXE => BitField.IsSet(Value, 13);

    /// <summary>Bit 14.</summary>
    public bool SMXE => BitField.IsSet(Value, 14);

    /// <summary>Bit 16.</summary>
    public bool FSGSBASE => BitField.IsSet(Value, 16);

    /// <summary>Bit 17.</summary>
    public bool PCIDE => BitField.IsSet(Value, 17);

    /// <summary>Bit 18.</summary>
    public bool OSXSAVE => BitField.IsSet(Value, 18);

    /// <summary>Bit 19.</summary>
    public bool KL => BitField.IsSet(Value, 19);

    /// <summary>Bit 20.</summary>
    public bool SMEP => BitField.IsSet(Value, 20);

    /// <summary>Bit 21.</summary>
    public bool SMAP => BitField.IsSet(Value, 21);

    /// <summary>Bit 22.</summary>
    public bool PKE => BitField.IsSet(Value, 22);

    /// <summary>Bit 23.</summary>
    public bool CET => BitField.IsSet(Value, 23);

    /// <summary>Bit 24.</summary>
    public bool PKS => BitField.IsSet(Value, 24);

    /// <summary>Bit 25.</summary>
    public bool UINTR => BitField.IsSet(Value, 25);

    /// <summary>Bit 27.</summary>
    public bool LASS => BitField.IsSet(Value, 27);

    /// <summary>Bit 28.</summary>
    public bool LAM_SUP => BitField.IsSet(Value, 28);

    public Cr4 WithVME(bool on) => new(BitField.WithBit(Value, 0, on));
    public Cr4 WithPVI(bool on) => new(BitField.WithBit(Value, 1, on));
    public Cr4 WithTSD(bool on) => new(BitField.WithBit(Value, 2, on));
    public Cr4 WithDE(bool on) => new(BitField.WithBit(Value, 3, on));
    public Cr4 WithPSE(bool on) => new(BitField.WithBit(Value, 4, on));
    public Cr4 WithPAE(bool on) => new(BitField.WithBit(Value, 5, on));
    public Cr4 WithMCE(bool on) => new(BitField.WithBit(Value, 6, on));
    public Cr4 WithPGE(bool on) => new(BitField.WithBit(Value, 7, on));
    public Cr4 WithPCE(bool on) => new(BitField.WithBit(Value, 8, on));
    public Cr4 WithOSFXSR(bool on) => new(BitField.WithBit(Value, 9, on));
    public Cr4 WithOSXMMEXCPT(bool on) => new(BitField.WithBit(Value, 10, on));
    public Cr4 WithUMIP(bool on) => new(BitField.WithBit(Value, 11, on));
    public Cr4 WithLA57(bool on) => new(BitField.WithBit(Value, 12, on));
    public Cr4 WithVMXE(bool on) => new(BitField.WithBit(Value, 13, on));
    public Cr4 WithSMXE(bool on) => new(BitField.WithBit(Value, 14, on));
    public Cr4 WithFSGSBASE(bool on) => new(BitField.WithBit(Value, 16, on));
    public Cr4 WithPCIDE(bool on) => new(BitField.WithBit(Value, 17, on));
    public Cr4 WithOSXSAVE(bool on) => new(BitField.WithBit(Value, 18, on));
    public Cr4 WithKL(bool on) => new(BitField.WithBit(Value, 19, on));
    public Cr4 WithSMEP(bool on) => new(BitField.WithBit(Value, 20, on));
    public Cr4 WithSMAP(bool on) => new(BitField.WithBit(Value, 21, on));
    public Cr4 WithPKE(bool on) => new(BitField.WithBit(Value, 22, on));
    public Cr4 WithCET(bool on) => new(BitField.WithBit(Value, 23, on));
    public Cr4 WithPKS(bool on) => new(BitField.WithBit(Value, 24, on));
    public Cr4 WithUINTR(bool on) => new(BitField.WithBit(Value, 25, on));
    public Cr4 WithLASS(bool on) => new(BitField.WithBit(Value, 27, on));
    public Cr4 WithLAM_SUP(bool on) => new(BitField.WithBit(Value, 28, on));
}
