; image: elf64 guest-least-vmm start 0x400000
; The least program that runs a guest on KVM: loads an ELF kernel (its first argument), gives it a processor and KVM's own interrupt
; controllers, answers its UART. What a port costs here is what KVM takes to user space and back, with next to nothing of user space in it.
; Source: Linux, "The Definitive KVM API Documentation".
bits 64

SYS_WRITE       equ 1
SYS_OPEN        equ 2
SYS_MMAP        equ 9
SYS_IOCTL       equ 16
SYS_EXIT        equ 60
READ_WRITE      equ 2
PROT            equ 3           ; readable, writable
SHARED          equ 1
PRIVATE         equ 2
ANONYMOUS       equ 0x20

KVM_CREATE_VM           equ 0xAE01
KVM_GET_VCPU_MMAP_SIZE  equ 0xAE04
KVM_GET_SUPPORTED_CPUID equ 0xC008AE05
KVM_CREATE_VCPU         equ 0xAE41
KVM_SET_USER_MEMORY_REGION equ 0x4020AE46
KVM_SET_TSS_ADDR        equ 0xAE47
KVM_CREATE_IRQCHIP      equ 0xAE60
KVM_RUN                 equ 0xAE80
KVM_SET_REGS            equ 0x4090AE82
KVM_GET_SREGS           equ 0x8138AE83
KVM_SET_SREGS           equ 0x4138AE84
KVM_SET_CPUID2          equ 0x4008AE90

; struct kvm_run
RUN_EXIT_REASON equ 8
RUN_IO_DIRECTION equ 32
RUN_IO_PORT     equ 34
RUN_IO_OFFSET   equ 40
KVM_EXIT_IO     equ 2

; struct kvm_sregs: six segments of 24 bytes (CS, DS, ES, FS, GS, SS), TR, LDT, GDT, IDT, CR0
SEGMENT_BYTES   equ 24
SREGS_CR0       equ 8 * SEGMENT_BYTES + 2 * 16

MEMORY          equ 64 << 20
FILE_BYTES      equ 1 << 20
CPUID_ENTRIES   equ 128
UART            equ 0x3F8
UART_READY      equ 0x60
DEBUG_EXIT      equ 0xF4

; Carries a call out; ends the program with the number of the step if it fails.
%macro call_linux 1
    mov eax, %1
    syscall
    inc dword [step]
    test rax, rax
    js failed
%endmacro

; file, request, argument
%macro ioctl 3
    mov edi, %1
    mov esi, %2
    mov rdx, %3
    call_linux SYS_IOCTL
%endmacro

section .text
global start
start:
    mov rdi, [rsp + 16]
    xor esi, esi
    call_linux SYS_OPEN
    mov r8d, eax
    xor edi, edi
    mov esi, FILE_BYTES
    mov edx, PROT
    mov r10d, PRIVATE
    xor r9d, r9d
    call_linux SYS_MMAP
    mov r15, rax                ; the file
    mov rdi, kvm
    mov esi, READ_WRITE
    call_linux SYS_OPEN
    mov ebx, eax
    ioctl ebx, KVM_CREATE_VM, 0
    mov ebp, eax                ; the VM
    ioctl ebp, KVM_SET_TSS_ADDR, 0xFFFBD000
    ioctl ebp, KVM_CREATE_IRQCHIP, 0
    xor edi, edi
    mov esi, MEMORY
    mov edx, PROT
    mov r10d, PRIVATE | ANONYMOUS
    mov r8d, -1
    xor r9d, r9d
    call_linux SYS_MMAP
    mov [region + 24], rax
    mov r14, rax                ; the guest's memory
    ioctl ebp, KVM_SET_USER_MEMORY_REGION, region
    call load
    ioctl ebp, KVM_CREATE_VCPU, 0
    mov r12d, eax               ; its processor
    ioctl ebx, KVM_GET_VCPU_MMAP_SIZE, 0
    mov esi, eax
    xor edi, edi
    mov edx, PROT
    mov r10d, SHARED
    mov r8d, r12d
    xor r9d, r9d
    call_linux SYS_MMAP
    mov r13, rax                ; struct kvm_run
    mov dword [cpuid_entries], CPUID_ENTRIES
    ioctl ebx, KVM_GET_SUPPORTED_CPUID, cpuid_entries
    ioctl r12d, KVM_SET_CPUID2, cpuid_entries
    call set_registers

run:
    mov edi, r12d
    mov esi, KVM_RUN
    xor edx, edx
    mov eax, SYS_IOCTL
    syscall
    cmp dword [r13 + RUN_EXIT_REASON], KVM_EXIT_IO
    jne failed
    mov rsi, [r13 + RUN_IO_OFFSET]
    add rsi, r13
    cmp byte [r13 + RUN_IO_DIRECTION], 0
    jne .out
    mov byte [rsi], UART_READY
    jmp run
.out:
    movzx eax, word [r13 + RUN_IO_PORT]
    cmp eax, DEBUG_EXIT
    je finished
    cmp eax, UART
    jne run
    mov edi, 1
    mov edx, 1
    mov eax, SYS_WRITE
    syscall
    jmp run

failed:
    mov edi, [step]
    or edi, 0x80
    jmp leave_with
finished:
    xor edi, edi
leave_with:
    mov eax, SYS_EXIT
    syscall

; The segments of the 32-bit ELF file go where they are linked.
load:
    mov ecx, [r15 + 28]
    add rcx, r15                ; program headers
    movzx edx, word [r15 + 44]
.segment:
    cmp dword [rcx], 1          ; PT_LOAD
    jne .next
    mov esi, [rcx + 4]
    add rsi, r15
    mov edi, [rcx + 12]
    add rdi, r14
    mov r8, rcx
    mov ecx, [rcx + 16]
    rep movsb
    mov rcx, r8
.next:
    add rcx, 32
    dec edx
    jnz .segment
    ret

; 32-bit protected mode, flat, as the Multiboot protocol has it.
set_registers:
    ioctl r12d, KVM_GET_SREGS, sregs
    mov rdi, sregs
    mov ecx, 6
.segment:
    mov qword [rdi], 0
    mov dword [rdi + 8], -1
    mov word [rdi + 12], 0x10   ; selector
    mov byte [rdi + 14], 3      ; type
    mov byte [rdi + 15], 1      ; present
    mov byte [rdi + 16], 0      ; dpl
    mov byte [rdi + 17], 1      ; db
    mov byte [rdi + 18], 1      ; s
    mov byte [rdi + 19], 0      ; l
    mov byte [rdi + 20], 1      ; g
    add rdi, SEGMENT_BYTES
    loop .segment
    mov byte [sregs + 14], 11   ; CS: code
    mov word [sregs + 12], 8
    mov qword [sregs + SREGS_CR0], 0x11
    ioctl r12d, KVM_SET_SREGS, sregs
    mov eax, [r15 + 24]         ; entry
    mov [regs + 16 * 8], rax
    mov qword [regs + 17 * 8], 2
    ioctl r12d, KVM_SET_REGS, regs
    ret

section .data
kvm:        db "/dev/kvm", 0
align 8
region:     dd 0, 0             ; slot, flags
            dq 0, MEMORY, 0     ; guest-physical address, size, where it is

section .bss
alignb 8
step:       resd 1
            resd 1
sregs:      resb 512
regs:       resb 256
cpuid_entries: resb 8 + CPUID_ENTRIES * 40
