; Leaves the loader's world: the one step that C# cannot say, and the addresses of the embedded images.
bits 64
default rel

CR4_PGE   equ 1 << 7
CR4_PCIDE equ 1 << 17
CR4_CET   equ 1 << 23
IA32_EFER equ 0xC0000080
EFER_NXE  equ 1 << 11

extern boot_core_start, boot_core_end, boot_root_start, boot_root_end
global boot_core_address, boot_core_length, boot_root_address, boot_root_length, boot_enter_core

section .text

boot_core_address:
    lea rax, [boot_core_start]
    ret
boot_core_length:
    lea rax, [boot_core_end]
    lea rcx, [boot_core_start]
    sub rax, rcx
    ret
boot_root_address:
    lea rax, [boot_root_start]
    ret
boot_root_length:
    lea rax, [boot_root_end]
    lea rcx, [boot_root_start]
    sub rax, rcx
    ret

; rcx = CR3, rdx = handover, r8 = entry point, r9 = top of the stack (16-byte aligned), [rsp + 40] = 1: set EFER.NXE. Does not return.
boot_enter_core:
    cli
    cld
    mov r10, rcx
    mov r11, rdx
    cmp dword [rsp + 40], 0
    je .tables
    mov ecx, IA32_EFER
    rdmsr
    or eax, EFER_NXE
    wrmsr
.tables:
    ; A firmware's global translations, address-space tags and shadow stack must not outlive its tables.
    mov rax, cr4
    and rax, ~(CR4_PGE | CR4_PCIDE | CR4_CET)
    mov cr4, rax
    mov cr3, r10
    lea rsp, [r9 - 32]      ; shadow space, should the entry be a plain function
    xor ebp, ebp
    mov rcx, r11
    jmp r8
