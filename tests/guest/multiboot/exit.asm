; image: elf32 guest-exit.elf start 0x100000
; Ends at once, for cycles of creation and deletion.
%include "common.inc"

kernel_main:
    xor eax, eax
    ret
