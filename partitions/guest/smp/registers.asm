; A loop that looks at its registers until a time: whoever executes another processor meanwhile must bring them all back.
bits 64
default rel

global smp_hold_registers

GENERAL_AT equ 512      ; in the work area, behind 16 vectors of 32 bytes
COUNT_AT   equ 1024

section .text
align 16
; rcx = pattern (64 words), rdx = work (129 words; its first 64 a copy of the pattern), r8 = TSC at which to end, r9 = 0: low halves of the vectors only.
; RAX = 0, or 1 + number of the word that differs: 64 and up are general registers.
smp_hold_registers:
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
    mov r10, rcx
    mov r11, rdx
    cld
    test r9, r9
    jz .load_low
%assign i 0
%rep 16
    vmovdqu ymm%[i], [r10 + i * 32]
%assign i i + 1
%endrep
    jmp .load_general
.load_low:
%assign i 0
%rep 16
    movdqu xmm%[i], [r10 + i * 32]
%assign i i + 1
%endrep
.load_general:
    mov rbx, [r10]
    mov rbp, [r10 + 8]
    mov r12, [r10 + 16]
    mov r13, [r10 + 24]
    mov r14, [r10 + 32]
    mov r15, [r10 + 40]
.again:
    test r9, r9
    jz .store_low
%assign i 0
%rep 16
    vmovdqu [r11 + i * 32], ymm%[i]
%assign i i + 1
%endrep
    jmp .store_general
.store_low:
%assign i 0
%rep 16
    movdqu [r11 + i * 32], xmm%[i]
%assign i i + 1
%endrep
.store_general:
    mov [r11 + GENERAL_AT], rbx
    mov [r11 + GENERAL_AT + 8], rbp
    mov [r11 + GENERAL_AT + 16], r12
    mov [r11 + GENERAL_AT + 24], r13
    mov [r11 + GENERAL_AT + 32], r14
    mov [r11 + GENERAL_AT + 40], r15
    mov rsi, r10
    mov rdi, r11
    mov ecx, 64
    repe cmpsq
    jne .differs
    mov rsi, r10
    mov ecx, 6
    repe cmpsq
    jne .differs
    inc qword [r11 + COUNT_AT]
    rdtsc
    shl rdx, 32
    or rax, rdx
    cmp rax, r8
    jb .again
    xor eax, eax
    jmp .leave
.differs:
    mov rax, rdi        ; one word beyond
    sub rax, r11
    shr rax, 3
.leave:
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
    ret
