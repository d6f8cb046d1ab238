; image: elf32 guest-spin.elf start 0x100000
; Uses all of a processor that it can get, for ever: what share that is, the root's counters say.
%include "common.inc"

kernel_main:
    say_line "spinning"
.forever:
    jmp .forever
