; image: elf32 guest-reset.elf start 0x100000
; Restarts itself, by the way that the command line's last letter names: p for the reset port 0xCF9, which the FADT names, too; m for HV_X64_MSR_RESET.
%include "common.inc"

HV_RESET equ 0x40000003

kernel_main:
    mov ebx, [start_ebx]
    mov esi, [ebx + 16]
    xor edx, edx
.last:
    lodsb
    test al, al
    jz .known
    mov dl, al
    jmp .last
.known:
    say "reset: by "
    mov al, dl
    call put_char
    say {13, 10}
    cmp dl, 'p'
    je .port
    cmp dl, 'm'
    je .register
    say_line "FAIL reset: no such way"
    ret
.port:
    mov dx, 0xCF9
    mov al, 6
    out dx, al
    jmp .still_here
.register:
    mov ecx, HV_RESET
    mov eax, 1
    xor edx, edx
    try wrmsr
    cmp dword [fault], 13
    jne .still_here
    say_line "SKIP reset: no privilege"
    xor eax, eax
    ret
.still_here:
    say_line "FAIL reset: still here"
    ret
