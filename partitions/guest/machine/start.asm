; Where the guest begins: Multiboot header, the way from 32-bit protected mode to long mode, and into C#.
; Multiboot Specification 0.6.96, "The layout of Multiboot header"; SDM 3A, "Initializing IA-32e Mode".
default rel

global guest_entry32, guest_layout, guest_pml4
extern guest_main, guest_interrupt_stubs, guest_run_recover, guest_protected_recover, guest_code_table, __ImageBase

MULTIBOOT_MAGIC   equ 0x1BADB002
WANTS_MEMORY      equ 1 << 1
HAS_ADDRESSES     equ 1 << 16
MULTIBOOT_FLAGS   equ WANTS_MEMORY | HAS_ADDRESSES
PAGE              equ 4096
STACK_BYTES       equ 64 * 1024
SPARE_STACK_BYTES equ 16 * 1024
; Everything is mapped for CPL 3 too, so that checks can try what a user program may.
PRESENT_WRITABLE_USER equ 7
LARGE             equ 0x80
CR4_PAE_SSE       equ 0x620
CR0_START         equ 0x80010033    ; PG, WP, NE, ET, MP, PE
MSR_EFER          equ 0xC0000080
EFER_LME          equ 0x100

bits 32
section .text
align 4
multiboot_header:
    dd MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    dd multiboot_header, __ImageBase, 0, 0, guest_entry32    ; the build fills in where the file and the zeroed memory end

guest_entry32:
    cli
    cld
    mov esp, stack_top
    mov edi, eax
    mov esi, ebx
    ; PML4 -> page-directory pointers -> four directories of 2 MiB pages: the first 4 GiB, one to one
    mov dword [guest_pml4], pointers + PRESENT_WRITABLE_USER
    mov eax, directories + PRESENT_WRITABLE_USER
    mov ecx, 4
    mov ebx, pointers
.pointer:
    mov [ebx], eax
    add eax, PAGE
    add ebx, 8
    loop .pointer
    mov eax, LARGE | PRESENT_WRITABLE_USER
    mov ecx, 4 * 512
    mov ebx, directories
.large_page:
    mov [ebx], eax
    add eax, 2 << 20
    add ebx, 8
    loop .large_page
    mov eax, CR4_PAE_SSE
    mov cr4, eax
    mov eax, guest_pml4
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, CR0_START
    mov cr0, eax
    lgdt [gdt_operand]
    jmp dword 0x08:start64

bits 64
start64:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    lea rsp, [stack_top]
    xor ebp, ebp
    fninit
    mov ecx, edi        ; what the loader left in EAX and EBX
    mov edx, esi
    sub rsp, 32
    call guest_main
.forever:
    cli
    hlt
    jmp .forever

guest_layout:
    lea rax, [layout]
    ret

section .rdata rdata align=8
gdt:
    dq 0
    dq 0x00AF9B000000FFFF       ; 0x08 code, 64 bit
    dq 0x00CF93000000FFFF       ; 0x10 data
gdt_operand:
    dw $ - gdt - 1
    dd gdt

; Matches the structure Layout (Layout.cs).
align 8
layout:
    dq __ImageBase
    dq guest_interrupt_stubs, guest_run_recover, guest_protected_recover, guest_code_table
    dq stack_top, fault_stack_top, nmi_stack_top, user_stack_top, ring0_stack_top
    dq pages

section .bss bss align=4096
guest_pml4:  resb PAGE
pointers:    resb PAGE
directories: resb 4 * PAGE
             resb STACK_BYTES
stack_top:
             resb SPARE_STACK_BYTES
fault_stack_top:
             resb SPARE_STACK_BYTES
nmi_stack_top:
             resb SPARE_STACK_BYTES
user_stack_top:
             resb SPARE_STACK_BYTES
ring0_stack_top:
pages:       resb 16 * PAGE     ; for the checks: hypercall page, SynIC pages, buffers
