; image: elf32 guest-multiboot.elf start 0x100000
; A Multiboot 1 kernel that stays in 32-bit mode: checks what the loader hands over, then the Hyper-V interface from there.
%include "common.inc"
%include "hyperv.inc"

LOADER_MAGIC equ 0x2BADB002

kernel_main:
    call check_information
    call check_memory_map
    call check_module
    call check_hyperv
    done "multiboot"
    ret

check_information:
    begin "multiboot.magic"
    cmp dword [start_eax], LOADER_MAGIC
    expect e, "EAX is not the loader's magic"
    finish

    mov ebp, [start_ebx]
    begin "multiboot.memory"
    test dword [ebp], 1
    expect nz, "no memory sizes"
    mov eax, [ebp + 4]
    cmp eax, 640
    expect be, "more than 640 KiB of lower memory"
    cmp eax, 256
    expect ae, "hardly any lower memory"
    cmp dword [ebp + 8], 4096
    expect ae, "hardly any upper memory"
    mov eax, [ebp + 8]
    shl eax, 10
    mov dword [eax + 0x100000 - 4], 0x12345678
    cmp dword [eax + 0x100000 - 4], 0x12345678
    expect e, "no RAM where the upper memory ends"
    finish

    begin "multiboot.command-line"
    test dword [ebp], 4
    expect nz, "none"
    mov esi, [ebp + 16]
    mov edx, wanted
    call find_text
    expect e, "it lacks the words of the configuration"
    finish
    ret

; Looks for the text edx in the text esi. ZF: found.
find_text:
    mov edi, edx
    mov ebx, esi
.compare:
    mov al, [edi]
    test al, al
    jz .found
    cmp al, [ebx]
    jne .further
    inc edi
    inc ebx
    jmp .compare
.further:
    cmp byte [esi], 0
    je .absent
    inc esi
    jmp find_text
.absent:
    or al, 1
    ret
.found:
    xor eax, eax
    ret
section .rodata
wanted: db "lamina.test=1 second", 0
module_text: db "This is a module.", 0
section .text

check_memory_map:
    begin "multiboot.memory-map"
    mov ebp, [start_ebx]
    test dword [ebp], 64
    expect nz, "none"
    jz .end
    mov esi, [ebp + 48]
    mov edi, [ebp + 44]
    add edi, esi
    xor ecx, ecx                ; entries that hold this kernel
.entry:
    cmp esi, edi
    jae .counted
    cmp dword [esi + 20], 1     ; type: RAM
    jne .next
    cmp dword [esi + 8], 0      ; start below 4 GiB
    jne .next
    mov eax, [esi + 4]
    cmp eax, start
    ja .next
    add eax, [esi + 12]
    cmp eax, stack_top
    jb .next
    inc ecx
.next:
    add esi, [esi]
    add esi, 4
    jmp .entry
.counted:
    cmp ecx, 1
    expect e, "not exactly one entry of RAM holds this kernel"
.end:
    finish
    ret

check_module:
    mov ebp, [start_ebx]
    test dword [ebp], 8
    jz .none
    begin "multiboot.module"
    cmp dword [ebp + 20], 1
    expect e, "not exactly one"
    mov ebx, [ebp + 24]
    mov esi, [ebx]
    mov eax, [ebx + 4]
    sub eax, esi
    cmp eax, 17
    expect e, "its length"
    mov edx, module_text
    call find_text
    expect e, "its text"
    test dword [ebx], 0xFFF
    expect z, "it begins at no page boundary"
    finish
    ret
.none:
    say_line "SKIP multiboot.module none given"
    ret
