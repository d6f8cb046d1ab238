; image: elf32 guest-init.elf start 0x100000
; Sends an INIT to its own processor, by the way that the command line's last letter names: m for the x2APIC's MSR, p for the xAPIC's page. It starts over
; where a processor does after a reset, where this machine has nothing: the VM ends, and the root says where.
%include "common.inc"

APIC_BASE       equ 0x1B
APIC_BASE_X2APIC equ 1 << 10
X2APIC_ICR      equ 0x830
XAPIC_PAGE      equ 0xFEE00000
XAPIC_ID        equ 0x20
XAPIC_ICR_LOW   equ 0x300
XAPIC_ICR_HIGH  equ 0x310
INIT_ASSERT     equ 5 << 8 | 1 << 14

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
    say "init: by "
    mov al, dl
    call put_char
    say {13, 10}
    ; A reset leaves nothing of these.
    mov eax, 0x1234
    mov dr0, eax
    cmp dl, 'p'
    je .page
    mov ecx, APIC_BASE
    rdmsr
    or eax, APIC_BASE_X2APIC
    wrmsr
    mov ecx, X2APIC_ICR
    xor edx, edx
    mov eax, INIT_ASSERT
    wrmsr
    jmp .still_here
.page:
    mov eax, [XAPIC_PAGE + XAPIC_ID]
    mov [XAPIC_PAGE + XAPIC_ICR_HIGH], eax
    mov dword [XAPIC_PAGE + XAPIC_ICR_LOW], INIT_ASSERT
.still_here:
    say_line "FAIL init: still here"
    ret
