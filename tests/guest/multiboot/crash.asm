; image: elf32 guest-crash.elf start 0x100000
; Reports a crash with a text, as Linux does when it panics: P3 and P4 are its address and length. TLFS, "Guest Crash Enlightenment".
%include "common.inc"

CRASH_NOTIFY equ 1 << 31        ; bits 63 and 62 of the control register
CRASH_MESSAGE equ 1 << 30

%macro parameter 2
    mov ecx, HV_CRASH_P0 + %1
    mov eax, %2
    xor edx, edx
    wrmsr
%endmacro

kernel_main:
    begin "crash.capabilities"
    mov ecx, HV_CRASH_CTL
    rdmsr
    and edx, CRASH_NOTIFY | CRASH_MESSAGE
    cmp edx, CRASH_NOTIFY | CRASH_MESSAGE
    expect e, "no notification or no text"
    finish
    parameter 0, 0x1234
    parameter 1, 1
    parameter 2, 2
    parameter 3, text
    parameter 4, text_end - text
    mov ecx, HV_CRASH_CTL
    xor eax, eax
    mov edx, CRASH_NOTIFY | CRASH_MESSAGE
    wrmsr
    say_line "PASS crash.continues"
.forever:
    hlt
    jmp .forever

section .rodata
text:
    db "first words of the crash", 10
    db "Kernel panic - not syncing: on purpose", 10
text_end:
