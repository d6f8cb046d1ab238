; Where a further processor begins: real mode, in a page below 1 MiB that the core copies this into, and on to long mode and the core's code.
; The page is also the first page table of the way: entry 0, over the jump at its start, shows the page itself, the upper half is the core's.
bits 16
default rel

extern core_processor_main
global core_trampoline_address, core_processor_entry_address

%define CR0_VALUE 0x80010033        ; PG WP NE ET MP PE; caches on
%define CR4_PAE 0x20
%define IA32_EFER 0xC0000080
%define EFER_LME_NXE 0x900

%define at(label) (label - trampoline)

section .text
align 16
trampoline:                         ; cs = page >> 4, ip = 0
    jmp short begin
    times 8 - ($ - trampoline) nop

; Filled in by ProcessorStart.cs, which knows these offsets.
page_address: dd 0                  ; 8: physical address of the page
far32: dd protected - trampoline      ; 12: of protected, then the selector
    dw 0x08
far64: dd long_mode - trampoline         ; 18: of long, then the selector
    dw 0x18
gdt_limit: dw 31                    ; 24
gdt_base: dd 0                      ; 26
    dw 0
low_table: dq 0                     ; 32: entry 0
core_cr3: dq 0                      ; 40
stack_top: dq 0                     ; 48
entry_point: dq 0                   ; 56
align 8
gdt: dq 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF, 0x00AF9A000000FFFF ; 64

begin:
    cli
    cld
    mov ax, cs
    mov ds, ax
    mov ebx, [at(page_address)]
    o32 lgdt [at(gdt_limit)]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp far dword [at(far32)]

bits 32
protected:                          ; ebx = physical address of the page
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, [ebx + at(low_table)]
    mov [ebx], eax
    mov eax, [ebx + at(low_table) + 4]
    mov [ebx + 4], eax
    mov eax, CR4_PAE
    mov cr4, eax
    mov cr3, ebx
    mov ecx, IA32_EFER
    rdmsr
    or eax, EFER_LME_NXE
    wrmsr
    mov eax, CR0_VALUE
    mov cr0, eax
    jmp far dword [ebx + at(far64)]

bits 64
long_mode:
    mov ebx, ebx
    mov rax, [rbx + at(core_cr3)]
    mov rsp, [rbx + at(stack_top)]
    mov rdx, [rbx + at(entry_point)]
    jmp rdx
trampoline_end:

%if trampoline_end - trampoline > 0x800
%error "the trampoline reaches into the table entries of the core's half"
%endif

; rax = the core's page tables, on the processor's own stack. In the core's half: the low half goes away.
core_processor_entry:
    mov cr3, rax
    sub rsp, 32
    call core_processor_main
    ud2

core_trampoline_address:
    lea rax, [trampoline]
    ret
core_processor_entry_address:
    lea rax, [core_processor_entry]
    ret
