// Registers and structures of AHCI. AHCI 1.3.1, "HBA Memory Registers", "System Memory Structures".

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>Generic host control, and its bits.</summary>
public static class HbaRegister
{
    public const uint CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0C, VS = 0x10, CAP2 = 0x24, BOHC = 0x28;
    public const uint FirstPort = 0x100, PortBytes = 0x80, PortCount = 32;

    public const uint CAP_S64A = 1u << 31, CAP_SNCQ = 1 << 30, CAP_SCLO = 1 << 24, CAP_NCS_SHIFT = 8, CAP_NCS_MASK = 0x1F;
    public const uint GHC_AE = 1u << 31, GHC_IE = 1 << 1, GHC_HR = 1 << 0;
    public const uint CAP2_BOH = 1 << 0;
    public const uint BOHC_BB = 1 << 4, BOHC_OOC = 1 << 3, BOHC_OOS = 1 << 1, BOHC_BOS = 1 << 0;
}

/// <summary>Registers of a port, and their bits.</summary>
public static class PortRegister
{
    public const uint CLB = 0x00, CLBU = 0x04, FB = 0x08, FBU = 0x0C, IS = 0x10, IE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24;
    public const uint SSTS = 0x28, SCTL = 0x2C, SERR = 0x30, SACT = 0x34, CI = 0x38;

    // PxIS and PxIE
    public const uint DHRS = 1 << 0, PSS = 1 << 1, SDBS = 1 << 3, UFS = 1 << 4, PCS = 1 << 6, PRCS = 1 << 22, OFS = 1 << 24;
    public const uint INFS = 1 << 26, IFS = 1 << 27, HBDS = 1 << 28, HBFS = 1 << 29, TFES = 1 << 30;

    // PxCMD
    public const uint CMD_ST = 1 << 0, CMD_SUD = 1 << 1, CMD_POD = 1 << 2, CMD_CLO = 1 << 3, CMD_FRE = 1 << 4, CMD_FR = 1 << 14, CMD_CR = 1 << 15;
    public const uint CMD_ICC_ACTIVE = 1 << 28, CMD_ICC_MASK = 0xFu << 28;

    // PxTFD: status below, error above
    public const uint STS_ERR = 1 << 0, STS_DRQ = 1 << 3, STS_DF = 1 << 5, STS_BSY = 1 << 7;
    public const int TFD_ERR_SHIFT = 8;

    // PxSSTS and PxSCTL
    public const uint DET_MASK = 0xF, DET_PRESENT = 1, DET_ESTABLISHED = 3, DET_COMRESET = 1, SCTL_IPM_NONE = 3 << 8;
}

/// <summary>Device Signatures, as PxSIG shows them. Serial ATA 3, "Device Signatures".</summary>
public static class PortSignature
{
    public const uint Ata = 0x0000_0101, Atapi = 0xEB14_0101, EnclosureManagement = 0xC33C_0101, PortMultiplier = 0x9669_0101;
}
