; image: elf32 guest-hostile.elf start 0x100000
; A guest that tries everything: random values in all synthetic MSRs, random hypercalls with random input, ports, device pages.
; It is the same from run to run (seeded), leaves out only what would end itself, and expects nothing but to survive.
%include "common.inc"

STEPS equ 20000
REPORT_EVERY equ 5000

; What would end the VM by right: RESET and a crash notification, the debug-exit port, ACPI power and reset.
HV_RESET equ 0x40000003
HV_GUEST_IDLE equ 0x400000F0
APIC_PAGE equ 0xFEE00000
ICR_LOW equ 0xFEE00300

kernel_main:
    say_line "hostile: begins"
    call set_identity
    mov ebp, STEPS
.step:
    call random
    and eax, 7
    call [actions + eax * 4]
    dec ebp
    jz .end
    mov eax, ebp
    xor edx, edx
    mov ecx, REPORT_EVERY
    div ecx
    test edx, edx
    jnz .step
    say "hostile: steps left "
    mov eax, ebp
    call put_decimal
    say {13, 10}
    call set_identity
    jmp .step
.end:
    say_line "DONE hostile"
    xor eax, eax
    ret

section .rodata
align 4
actions: dd write_msr, write_msr, read_msr, hypercall, hypercall, hypercall, port, device_memory
section .text

; xorshift, 32 bits; eax = next
random:
    push edx
    mov eax, [seed]
    mov edx, eax
    shl edx, 13
    xor eax, edx
    mov edx, eax
    shr edx, 17
    xor eax, edx
    mov edx, eax
    shl edx, 5
    xor eax, edx
    mov [seed], eax
    pop edx
    ret
section .data
align 4
seed: dd 0x1AD1A5ED
section .text

set_identity:
    mov ecx, HV_GUEST_OS_ID
    mov eax, 0x1234
    mov edx, 0x81000000
    try wrmsr
    mov ecx, HV_HYPERCALL
    mov eax, hypercall_page + 1
    xor edx, edx
    try wrmsr
    ret

; edx:eax = a value: small, all ones, a page somewhere with low bits set, or anything. Never a page of this kernel.
random_value:
    call random
    test eax, 3
    jz .page
    test eax, 4
    jz .small
    test eax, 8
    jz .ones
    mov edx, eax
    call random
    jmp .spare_us
.small:
    call random
    and eax, 0xFF
    xor edx, edx
    ret
.ones:
    mov eax, -1
    mov edx, -1
    ret
.page:
    call random
    and eax, 0xFFFFF003
    xor edx, edx
    test eax, 0x00100000
    jnz .spare_us
    and eax, 0x03FFF003         ; more often where there is RAM
.spare_us:
    test edx, edx
    jnz .end
    cmp eax, 0x00400000
    jae .end
    add eax, 0x00800000
.end:
    ret

; ecx = a synthetic MSR, mostly one that exists, sometimes one of the machine's
random_msr:
    call random
    mov ecx, eax
    and ecx, 0x1FF
    add ecx, 0x40000000
    test eax, 0x1E000
    jnz .end
    call random
    mov ecx, eax
    and ecx, 0x1FFF
    test eax, 0x10000
    jz .end
    or ecx, 0xC0000000
.end:
    ret

write_msr:
    call random_msr
    cmp ecx, HV_RESET
    je .none
    cmp ecx, 0x830              ; an INIT for ourselves would be the end
    je .none
    cmp ecx, 0x40000071
    je .none
    cmp ecx, 0x1B
    je .none
    cmp ecx, HV_HYPERCALL
    je .unlocked
    call random_value
    cmp ecx, HV_CRASH_CTL
    jne .write
    and edx, 0x7FFFFFFF
.write:
    try wrmsr
.none:
    ret
.unlocked:
    call random_value
    and eax, ~2
    try wrmsr
    ret

read_msr:
    call random_msr
    cmp ecx, HV_GUEST_IDLE
    je .none
    try rdmsr
.none:
    ret

; Random words at the input, then a call with a random control value. Half of the inputs lie in RAM.
hypercall:
    mov edi, scratch_page
    mov ecx, 64
.fill:
    call random_value
    mov [edi], eax
    mov [edi + 4], edx
    add edi, 8
    loop .fill
    call random
    and eax, 0x1FF              ; code
    mov esi, eax
    call random
    test eax, 0x300
    jnz .plain
    and eax, 0x87FF0000         ; fast, header size, nested
    or esi, eax
.plain:
    call random_value
    mov edx, eax
    and edx, 0x00070007         ; repetitions
    call random
    test eax, 0x70
    jnz .short
    mov edx, eax
.short:
    push esi
    push edx
    call random_value
    mov edi, edx
    mov esi, eax
    call random
    test eax, 1
    jz .wild
    mov ecx, scratch_page
    xor ebx, ebx
    jmp .call
.wild:
    call random_value
    mov ecx, eax
    mov ebx, edx
.call:
    pop edx
    pop eax
    test esi, 1
    jnz .go
    mov esi, scratch_page + 2048
    xor edi, edi
.go:
    push ebp
    try vmmcall
    pop ebp
    ret

port:
    call random
    movzx edx, ax
    cmp edx, 0xF0
    jb .allowed
    cmp edx, 0xF8
    jb .none
    cmp edx, 0x3F4
    jb .allowed
    cmp edx, 0x40C
    jb .none
    cmp edx, 0xCF4
    jb .allowed
    cmp edx, 0xCFC
    jb .none
    cmp edx, 0x2FFD
    jb .allowed
    cmp edx, 0x3004
    jb .none
.allowed:
    call random
    mov ecx, eax
    call random
    and ecx, 7
    jmp [port_actions + ecx * 4]
.in8:
    try {in al, dx}
    ret
.in16:
    try {in ax, dx}
    ret
.in32:
    try {in eax, dx}
    ret
.out8:
    try {out dx, al}
    ret
.out16:
    try {out dx, ax}
    ret
.out32:
    try {out dx, eax}
    ret
.ins:
    mov edi, scratch_page
    mov ecx, 40
    try {rep insb}
    ret
.outs:
    mov esi, eax                ; from anywhere
    and esi, 0xFFFFFF
    mov ecx, 40
    try {rep outsw}
.none:
    ret
section .rodata
align 4
port_actions: dd port.in8, port.in16, port.in32, port.out8, port.out16, port.out32, port.ins, port.outs
section .text

; The IOAPIC, the APIC page, and where nothing is.
device_memory:
    call random
    mov esi, eax
    and esi, 0xFFC
    call random
    test eax, 0x30
    jz .nothing
    test eax, 0x10
    jz .apic
    and esi, 0x1C
    add esi, 0xFEC00000
    jmp .access
.apic:
    add esi, APIC_PAGE
    mov edx, esi
    and edx, ~0x1F
    cmp edx, ICR_LOW
    je .none
    jmp .access
.nothing:
    call random
    and eax, 0x000FF000
    or esi, eax
    or esi, 0xD0000000
.access:
    call random
    mov ecx, eax
    and ecx, 7
    jmp [memory_actions + ecx * 4]
.load:
    try {mov eax, [esi]}
    ret
.store:
    and eax, 0xFFFFF8FF         ; no delivery mode that would end us
    try {mov [esi], eax}
    ret
.load_byte:
    try {mov al, [esi + 3]}
    ret
.store_byte:
    try {mov byte [esi + 1], 0}
    ret
.exchange:
    xor eax, eax
    try {xchg eax, [esi]}
    ret
.add:
    try {lock and dword [esi], 0}
    ret
.string:
    mov edi, scratch_page
    mov ecx, 3
    try {rep movsd}
    ret
.odd:
    try {fld qword [esi]}
    try fninit
.none:
    ret
section .rodata
align 4
memory_actions:
    dd device_memory.load, device_memory.store, device_memory.load_byte, device_memory.store_byte
    dd device_memory.exchange, device_memory.add, device_memory.string, device_memory.odd
section .text
