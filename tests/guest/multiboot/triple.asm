; image: elf32 guest-triple.elf start 0x100000
; Triple-faults on purpose: no gate, so that neither the exception nor the double fault can be delivered.
%include "common.inc"

kernel_main:
    say_line "about to triple-fault"
    lidt [no_gates]
    int3
    say_line "FAIL triple: still running"
    ret

section .rodata
no_gates: dw 0
          dd 0
