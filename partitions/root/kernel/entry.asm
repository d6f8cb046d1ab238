; Where the root begins, how it is interrupted, how it stops, and the page through which it calls the core.
bits 64
default rel

global lamina_root_entry, lamina_fail_fast, root_panic_trap, root_idle, root_layout, root_zero_pages, root_hypercall_page
extern lamina_root_main, lamina_interrupt, __ImageBase

STACK_BYTES       equ 128 * 1024
FAULT_STACK_BYTES equ 16 * 1024
PAGE              equ 4096

section .text
align 16
; rcx = physical address of the handover. The stack that the core left is good for a few pushes only.
lamina_root_entry:
    cld
    cli
    lea rsp, [stack_top]
    xor ebp, ebp
    sub rsp, 32
    call lamina_root_main
    ud2
entry_end:

; Both stop by an exception, so that the panic sees all registers as they were. lamina_fail_fast: rcx = reason, a number of
; corelib's ThrowHelpers. root_panic_trap: rcx = text, edx = its length in bytes.
lamina_fail_fast:
    ud2
root_panic_trap:
    ud2

; Opens interrupts and sleeps until one comes, or a message on a SINT that is polled. Nothing can slip in between, STI holds interrupts
; off for one instruction; an emulator that lets one through finds the read skipped (Interrupts.Dispatch).
HV_X64_MSR_GUEST_IDLE equ 0x400000F0
root_idle:
    mov ecx, HV_X64_MSR_GUEST_IDLE
    sti
idle_read:
    rdmsr
    ret

; rcx = page-aligned address, rdx = number of pages, not 0. Looks before it writes: a page that is zero already is only read, so that
; memory nobody has used stays untouched (an emulator or a hypervisor below us need not provide it yet). Wide stores, since emulators
; and some processors are slow at rep stos.
root_zero_pages:
    xorps xmm0, xmm0
.page:
    mov r8d, 32                 ; 128 bytes a turn
.look:
    mov rax, [rcx]
%assign offset 8
%rep 15
    or rax, [rcx + offset]
%assign offset offset + 8
%endrep
    jnz .clear
    add rcx, 128
    dec r8d
    jnz .look
    jmp .next
.clear:
%assign offset 0
%rep 8
    movaps [rcx + offset], xmm0
%assign offset offset + 16
%endrep
    add rcx, 128
    dec r8d
    jnz .clear
.next:
    dec rdx
    jnz .page
    ret

root_layout:
    lea rax, [layout]
    ret

; One stub a vector, 16 bytes apart. All leave the same frame: a zero stands in where the processor pushes no error code.
align 16
interrupt_stubs:
%assign vector 0
%rep 256
    align 16
%if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17 || vector = 21 || vector = 29 || vector = 30
%else
    push 0
%endif
    push vector
    jmp near interrupt_common
%assign vector vector + 1
%endrep

align 16
interrupt_common:
    cld
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push rbx
    push rdx
    push rcx
    push rax
    sub rsp, 32 + 6 * 16        ; the callee's home space and what it need not preserve of the vector registers
    movaps [rsp + 0x20], xmm0
    movaps [rsp + 0x30], xmm1
    movaps [rsp + 0x40], xmm2
    movaps [rsp + 0x50], xmm3
    movaps [rsp + 0x60], xmm4
    movaps [rsp + 0x70], xmm5
    lea rcx, [rsp + 0x80]
    call lamina_interrupt
interrupt_return:
    movaps xmm0, [rsp + 0x20]
    movaps xmm1, [rsp + 0x30]
    movaps xmm2, [rsp + 0x40]
    movaps xmm3, [rsp + 0x50]
    movaps xmm4, [rsp + 0x60]
    movaps xmm5, [rsp + 0x70]
    add rsp, 32 + 6 * 16
    pop rax
    pop rcx
    pop rdx
    pop rbx
    pop rbp
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
    add rsp, 16                 ; vector and error code
    iretq

; The core lays its hypercall page over this one. The calling convention of hypercalls (rcx, rdx, r8; result in rax; rcx, rdx and
; r8 to r11 lost) is that of C# here, so that a hypercall is one direct call. Until the overlay is there, a call faults.
section .text$hypercall code align=4096
root_hypercall_page:
    times PAGE db 0xCC

; Matches the structure RootLayout (RootImage.cs).
section .rdata rdata align=8
layout:
    dq __ImageBase
    dq lamina_root_entry, entry_end
    dq lamina_fail_fast, root_panic_trap
    dq interrupt_stubs, interrupt_return
    dq root_hypercall_page
    dq stack_guard, stack_top
    dq fault_stack_guard, fault_stack_top
    dq idle_read

; Each stack grows down towards a page that the root's own page tables leave unmapped.
section .bss bss align=4096
stack_guard:       resb PAGE
                   resb STACK_BYTES
stack_top:
fault_stack_guard: resb PAGE
                   resb FAULT_STACK_BYTES
fault_stack_top:
