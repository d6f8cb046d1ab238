; image: elf32 guest-cost.elf start 0x100000
; What a round trip into the core costs, in ticks of the TSC: retired instructions where the emulator counts those (-icount shift=0).
%include "common.inc"

ROUNDS          equ 256
APIC_BASE       equ 0x1B
APIC_ENABLED    equ 1 << 11
X2APIC_ENABLED  equ 1 << 10
X2APIC_TPR      equ 0x808
X2APIC_EOI      equ 0x80B
X2APIC_SELF_IPI equ 0x83F
EFER            equ 0xC0000080
NO_DEVICE       equ 0x300
UNKNOWN_CALL    equ 0x7FFF

; What stands between the two is carried out ROUNDS times; the quickest round, less what an empty one takes, is the cost. EDI and EBP are taken.
%macro measure 1
%push
%define %$name %1
    mov dword [least], -1
    mov ebp, ROUNDS
%$round:
    rdtsc
    mov edi, eax
%endmacro

%macro measured 0
    rdtsc
    sub eax, edi
    cmp eax, [least]
    jae %$longer
    mov [least], eax
%$longer:
    dec ebp
    jnz %$round
    say {"COST ", %$name, " "}
    call put_cost
%pop
%endmacro

; ecx = register, edx:eax = value
%macro write_msr 2
    mov ecx, %1
    mov eax, %2
    xor edx, edx
    wrmsr
%endmacro

kernel_main:
    write_msr HV_GUEST_OS_ID, 1
    write_msr HV_HYPERCALL, hypercall_page + 1
    write_msr APIC_BASE, 0xFEE00000 + APIC_ENABLED + X2APIC_ENABLED

    measure "nothing"
    measured
    mov eax, [least]
    mov [empty], eax

    ; The setting-up counts: a few instructions of the guest's own.
    measure "cpuid"
    xor eax, eax
    cpuid
    measured
    measure "cpuid-hypervisor"
    mov eax, 0x40000000
    cpuid
    measured
    measure "rdmsr-efer"
    mov ecx, EFER
    rdmsr
    measured
    measure "wrmsr-eoi"
    write_msr X2APIC_EOI, 0
    measured
    measure "wrmsr-tpr"
    write_msr X2APIC_TPR, 0
    measured
    measure "wrmsr-self-ipi"
    write_msr X2APIC_SELF_IPI, 0x40
    measured
    measure "hypercall-unknown"
    xor edx, edx
    mov eax, UNKNOWN_CALL
    call hypercall_page
    measured
    measure "in-no-device"
    mov dx, NO_DEVICE
    in al, dx
    measured
    done "cost"
    ret

; least - empty, in decimal; ends the line.
put_cost:
    mov eax, [least]
    sub eax, [empty]
    call put_decimal
    say {13, 10}
    ret

section .bss
least:          resd 1
empty:          resd 1
section .text
