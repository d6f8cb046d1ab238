; image: elf32 guest-pvh.elf start 0x100000
; A kernel with a PVH entry note: checks hvm_start_info, then the Hyper-V interface. Xen, "x86/HVM direct boot ABI".
%define WITHOUT_MULTIBOOT
%include "common.inc"
%include "hyperv.inc"

START_MAGIC equ 0x336EC578
XEN_ELFNOTE_PHYS32_ENTRY equ 18

section .note.Xen note alloc noexec nowrite align=4
    dd 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    db "Xen", 0
    dd start

section .text
kernel_main:
    begin "pvh.magic-and-version"
    mov ebp, [start_ebx]
    cmp dword [ebp], START_MAGIC
    expect e, "the magic"
    cmp dword [ebp + 4], 1
    expect ae, "version 0"
    finish
    call check_memory_map
    call check_rsdp
    call check_command_line
    call check_module
    call check_hyperv
    done "pvh"
    ret

check_memory_map:
    begin "pvh.memory-map"
    mov ebp, [start_ebx]
    mov edi, [ebp + 48]         ; entries
    test edi, edi
    expect nz, "no entries"
    cmp dword [ebp + 44], 0
    expect e, "it lies above 4 GiB"
    mov esi, [ebp + 40]
    xor ecx, ecx
.entry:
    test edi, edi
    jz .counted
    cmp dword [esi + 16], 1     ; RAM
    jne .next
    cmp dword [esi + 4], 0
    jne .next
    mov eax, [esi]
    cmp eax, start
    ja .next
    add eax, [esi + 8]
    cmp eax, stack_top
    jb .next
    inc ecx
.next:
    add esi, 24
    dec edi
    jmp .entry
.counted:
    cmp ecx, 1
    expect e, "not exactly one entry of RAM holds this kernel"
    finish
    ret

check_rsdp:
    begin "pvh.rsdp"
    mov ebp, [start_ebx]
    mov esi, [ebp + 32]
    test esi, esi
    expect nz, "none"
    cmp dword [esi], "RSD "
    expect e, "no signature"
    cmp dword [esi + 4], "PTR "
    expect e, "no signature"
    mov ecx, 20
    xor eax, eax
.sum:
    add al, [esi]
    inc esi
    loop .sum
    test al, al
    expect z, "the checksum"
    finish
    ret

check_command_line:
    begin "pvh.command-line"
    mov ebp, [start_ebx]
    mov esi, [ebp + 24]
    mov edi, wanted
    mov ecx, wanted_end - wanted
    repe cmpsb
    expect e, "it is not that of the configuration"
    finish
    ret
section .rodata
wanted: db "lamina.test=1 second", 0
wanted_end:
module_text: db "This is a module."
section .text

check_module:
    mov ebp, [start_ebx]
    cmp dword [ebp + 12], 0
    je .none
    begin "pvh.module"
    mov ebx, [ebp + 16]
    cmp dword [ebx + 8], 17
    expect e, "its length"
    mov esi, [ebx]
    mov edi, module_text
    mov ecx, 17
    repe cmpsb
    expect e, "its text"
    finish
    ret
.none:
    say_line "SKIP pvh.module none given"
    ret
