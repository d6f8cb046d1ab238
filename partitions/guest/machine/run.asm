; Runs a piece of code on chosen registers and says how it ended: by its RET, or by an exception.
bits 64
default rel

global guest_run, guest_run_recover, guest_protected_call, guest_protected_recover, guest_interrupt_stubs, lamina_fail_fast, guest_read64
extern guest_interrupt

; Matches the structure RunState (RunState.cs).
R_RAX equ 0x00
R_RCX equ 0x08
R_RDX equ 0x10
R_RBX equ 0x18
R_FLAGS equ 0x20        ; in the place of RSP
R_RBP equ 0x28
R_RSI equ 0x30
R_RDI equ 0x38
R_R8  equ 0x40
R_CODE equ 0x80
R_VECTOR equ 0x88
R_AREA equ 0xA8
R_COMPONENTS equ 0xB0
R_PREVIOUS equ 0xB8
R_STACK equ 0xC0
NO_VECTOR equ 0x100

%macro save_preserved 0
    push rbx
    push rbp
    push rsi
    push rdi
    push r12
    push r13
    push r14
    push r15
    sub rsp, 168
%assign i 0
%rep 10
    %assign n i + 6
    movaps [rsp + i * 16], xmm%[n]
%assign i i + 1
%endrep
%endmacro

%macro restore_preserved 0
%assign i 0
%rep 10
    %assign n i + 6
    movaps xmm%[n], [rsp + i * 16]
%assign i i + 1
%endrep
    add rsp, 168
    pop r15
    pop r14
    pop r13
    pop r12
    pop rdi
    pop rsi
    pop rbp
    pop rbx
%endmacro

section .text
align 16
; rcx = RunState*, rdx = pointer to the variable that names the innermost run (so that the handler finds it).
; The code gets all registers but RSP from the state; with an area, x87 and vector registers from there, too.
guest_run:
    save_preserved
    mov [current_variable], rdx
    mov rax, [rdx]
    mov [rcx + R_PREVIOUS], rax
    mov [rcx + R_STACK], rsp
    mov qword [rcx + R_VECTOR], NO_VECTOR
    mov [rdx], rcx
    mov r8, [rcx + R_AREA]
    test r8, r8
    jz .registers
    mov rax, [rcx + R_COMPONENTS]
    test rax, rax
    jz .legacy
    mov rdx, rax
    shr rdx, 32
    xrstor64 [r8]
    jmp .registers
.legacy:
    fxrstor64 [r8]
.registers:
    lea rax, [.back]
    push rax
    push qword [rcx + R_CODE]
    push qword [rcx + R_FLAGS]
    popfq
    mov rax, [rcx + R_RAX]
    mov rdx, [rcx + R_RDX]
    mov rbx, [rcx + R_RBX]
    mov rbp, [rcx + R_RBP]
    mov rsi, [rcx + R_RSI]
    mov rdi, [rcx + R_RDI]
%assign i 8
%rep 8
    mov r%[i], [rcx + i * 8]
%assign i i + 1
%endrep
    mov rcx, [rcx + R_RCX]
    ret
.back:
    push rax
    pushfq
    cli
    mov rax, [current_variable]
    mov rax, [rax]
    pop qword [rax + R_FLAGS]
    pop qword [rax + R_RAX]
    mov [rax + R_RCX], rcx
    mov [rax + R_RDX], rdx
    mov [rax + R_RBX], rbx
    mov [rax + R_RBP], rbp
    mov [rax + R_RSI], rsi
    mov [rax + R_RDI], rdi
%assign i 8
%rep 8
    mov [rax + i * 8], r%[i]
%assign i i + 1
%endrep
; An exception in the code arrives here, its registers already stored, on the stack as guest_run left it.
guest_run_recover:
    cld
    mov rdx, [current_variable]
    mov rcx, [rdx]
    mov r8, [rcx + R_AREA]
    test r8, r8
    jz .leave
    mov rax, [rcx + R_COMPONENTS]
    test rax, rax
    jz .legacy
    mov rdx, rax
    shr rdx, 32
    xsave64 [r8]
    jmp .leave
.legacy:
    fxsave64 [r8]
.leave:
    mov rdx, [current_variable]
    mov rax, [rcx + R_PREVIOUS]
    mov [rdx], rax
    mov rsp, [rcx + R_STACK]
    fninit
    push 0x1F80
    ldmxcsr [rsp]
    pop rax
    restore_preserved
    ret

; rcx = function, rdx = pointer to the variable that says which stack pointer to come back to.
; Returns 0, or 1 when an exception ended the function.
guest_protected_call:
    save_preserved
    mov [protected_variable], rdx
    mov [rdx], rsp
    sub rsp, 32
    call rcx
    add rsp, 32
    xor eax, eax
guest_protected_leave:
    mov rdx, [protected_variable]
    mov qword [rdx], 0
    restore_preserved
    ret
guest_protected_recover:
    cld
    mov eax, 1
    jmp guest_protected_leave

; rcx = reason, a number of corelib's ThrowHelpers; the check that is running fails.
lamina_fail_fast:
    ud2

; One stub a vector, 16 bytes apart. All leave the same frame: a zero stands in where the processor pushes no error code.
align 16
guest_interrupt_stubs:
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
    sub rsp, 32 + 6 * 16
    movaps [rsp + 0x20], xmm0
    movaps [rsp + 0x30], xmm1
    movaps [rsp + 0x40], xmm2
    movaps [rsp + 0x50], xmm3
    movaps [rsp + 0x60], xmm4
    movaps [rsp + 0x70], xmm5
    lea rcx, [rsp + 0x80]
    call guest_interrupt
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
    add rsp, 16
    iretq

section .bss bss align=8
current_variable:   resq 1
protected_variable: resq 1
