; The core and the root, whole, each in a section of its own. `nasm -I DIRECTORY/` says where the build left them.
bits 64

global boot_core_start, boot_core_end, boot_root_start, boot_root_end

section .core rdata align=4096
boot_core_start:
    incbin "hypervisor.flat"
boot_core_end:

section .root rdata align=4096
boot_root_start:
    incbin "root.flat"
boot_root_end:
