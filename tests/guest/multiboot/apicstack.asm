; image: elf32 guest-apicstack.elf start 0x100000
; Its stack lies in the local APIC's page: no exception can be delivered there, so that this must end as a triple fault and not hold the processor.
%include "common.inc"

kernel_main:
    say_line "about to push into the APIC page"
    mov esp, 0xFEE00800
    pusha
    mov eax, 0xFEE00020
    fnsave [eax]
    int3
    hlt

