// Why a VMX instruction failed. SDM 3C, "VM Instruction Error Numbers".
using System;

namespace Lamina.Hypervisor.Vmx;

/// <summary>The VM-instruction error field, and the manual's words for it.</summary>
public static class InstructionError
{
    public const uint EntryWithInvalidControlFields = 7, EntryWithInvalidHostState = 8;

    public static ReadOnlySpan<byte> TextOf(uint number) => number switch
    {
        1 => "VMCALL executed in VMX root operation"u8,
        2 => "VMCLEAR with invalid physical address"u8,
        3 => "VMCLEAR with VMXON pointer"u8,
        4 => "VMLAUNCH with non-clear VMCS"u8,
        5 => "VMRESUME with non-launched VMCS"u8,
        6 => "VMRESUME after VMXOFF"u8,
        EntryWithInvalidControlFields => "VM entry with invalid control field(s)"u8,
        EntryWithInvalidHostState => "VM entry with invalid host-state field(s)"u8,
        9 => "VMPTRLD with invalid physical address"u8,
        10 => "VMPTRLD with VMXON pointer"u8,
        11 => "VMPTRLD with incorrect VMCS revision identifier"u8,
        12 => "VMREAD/VMWRITE from/to unsupported VMCS component"u8,
        13 => "VMWRITE to read-only VMCS component"u8,
        15 => "VMXON executed in VMX root operation"u8,
        26 => "VM entry with events blocked by MOV SS"u8,
        28 => "Invalid operand to INVEPT/INVVPID"u8,
        _ => "an error without a text here"u8,
    };
}
