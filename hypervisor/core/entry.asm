; The core's first instructions, and the entry points that interrupts and exceptions take.
bits 64
default rel

extern core_main, core_interrupt
global lamina_core_entry, core_switch_stack, core_interrupt_entries_address, core_stop, core_claim_stop

section .text

; From the boot loader: rcx = physical address of BootHandover, identity map plus this image at its linked base.
lamina_core_entry:
    cli
    cld
    lea rsp, [boot_stack_top]
    xor ebp, ebp
    sub rsp, 32
    call core_main
    jmp core_stop

; rcx = new CR3, rdx = new stack top, r8 = function to go on with; never returns.
core_switch_stack:
    mov cr3, rcx
    lea rsp, [rdx - 40]         ; shadow space, and the misalignment that a call leaves
    xor ebp, ebp
    jmp r8

core_stop:
    cli
    hlt
    jmp core_stop

; eax = 1: nobody stops the machine yet, and the caller does from now on: NMIs stop whoever takes one.
core_claim_stop:
    mov eax, 1
    xchg [stopping], eax
    xor eax, 1
    ret

core_interrupt_entries_address:
    lea rax, [core_interrupt_entries]
    ret

; One entry a vector, eight bytes each: push the vector, join. Vectors with a processor-pushed error code skip the dummy.
align 16
core_interrupt_entries:
%assign vector 0
%rep 256
    align 16
    %if vector = 2
    jmp near on_nmi
    %elif vector = 8 || (vector >= 10 && vector <= 14) || vector = 17 || vector = 21 || vector = 29 || vector = 30
    %else
    push qword 0
    %endif
    push qword vector
    jmp near interrupt_common
    %assign vector vector + 1
%endrep
%if $ - core_interrupt_entries > 256 * 16
%error "an entry is longer than the 16 bytes that the gates are made for"
%endif

; From a processor that stops the machine; else it says nothing about the core's own state: firmware and watchdogs send them, and no guest is meant.
on_nmi:
    cmp dword [stopping], 0
    jne core_stop
    iretq

; Builds an InterruptFrame (core/processor/InterruptFrame.cs) and calls C#.
; xmm0-5 need no saving: with interrupts closed outside the interrupt window, and NMIs returned from at once (VMX does not close them), the
; code interrupted is either the window stub itself (called as a function, so they are dead) or a panic.
interrupt_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rcx, rsp
    mov rbx, rsp
    and rsp, -16
    sub rsp, 32
    call core_interrupt
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

section .bss align=4096
boot_stack: resb 16384
boot_stack_top:
stopping: resd 1
