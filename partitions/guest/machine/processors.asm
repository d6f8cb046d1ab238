; The further processors: from a start-up IPI through real mode into C#, and calls that any processor can make at any time.
; SDM 3A, "Multiple-Processor (MP) Initialization", "Initializing IA-32e Mode".
default rel

global guest_trampoline, guest_trampoline_end, guest_processor_table, guest_processor_again, guest_call_page, guest_trampoline_address, guest_trampoline_bytes, guest_processor_table_address, guest_processor_again_address
extern guest_processor_main, guest_pml4

CR4_PAE_SSE equ 0x620
CR0_START   equ 0x80010033    ; PG, WP, NE, ET, MP, PE
MSR_EFER    equ 0xC0000080
EFER_LME    equ 0x100
CODE64      equ 0x08
DATA        equ 0x10

section .text
; Copied to a page below 1 MiB; entered at its start in real mode, CS says which page it is.
bits 16
align 16
guest_trampoline:
    cli
    cld
    mov si, cs
    mov ds, si
    mov eax, CR4_PAE_SSE
    mov cr4, eax
    mov eax, guest_pml4
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    o32 lgdt [gdt_operand - guest_trampoline]
    mov eax, CR0_START
    mov cr0, eax
    jmp dword CODE64:enter64
align 4
gdt_operand:
    dw gdt_end - gdt - 1
    dd gdt
guest_trampoline_end:

bits 64
; An exception ended what a processor did: it starts over, as if from page 0.
guest_processor_again:
    xor esi, esi
enter64:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov eax, 1
    cpuid
    shr ebx, 24         ; the initial APIC ID
    lea rdi, [guest_processor_table]
    mov rcx, [rdi + rbx * 8]
    mov rsp, [rcx]      ; Processor.StackTop
    movzx edx, si
    shr edx, 8          ; the page number it was started at
    xor ebp, ebp
    fninit
    cld
    sub rsp, 32
    call guest_processor_main
.forever:
    cli
    hlt
    jmp .forever

; rcx = hypercall input value, rdx = input, r8 = output, r9 = address of the hypercall page. RAX as the call leaves it.
guest_call_page:
    sub rsp, 40
    call r9
    add rsp, 40
    ret

guest_trampoline_address:
    lea rax, [guest_trampoline]
    ret
guest_trampoline_bytes:
    mov eax, guest_trampoline_end - guest_trampoline
    ret
guest_processor_table_address:
    lea rax, [guest_processor_table]
    ret
guest_processor_again_address:
    lea rax, [guest_processor_again]
    ret

section .rdata rdata align=8
gdt:
    dq 0
    dq 0x00AF9B000000FFFF       ; 0x08 code, 64 bit
    dq 0x00CF93000000FFFF       ; 0x10 data
gdt_end:

section .bss bss align=8
guest_processor_table: resq 256     ; Processor*, by APIC ID
