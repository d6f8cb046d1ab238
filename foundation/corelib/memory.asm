; Bulk memory and the few runtime entry points that generated code calls by name.
bits 64
default rel
section .text

global lamina_memmove, lamina_memset, RhpStackProbe, RhpReversePInvoke, RhpReversePInvokeReturn, RhpPInvoke, RhpPInvokeReturn, RhpFallbackFailFast
global __security_cookie, lamina_multiply
extern lamina_fail_fast

; rcx = destination, rdx = source, r8 = length; ranges may overlap.
lamina_memmove:
    mov r9, rdi
    mov r10, rsi
    mov rdi, rcx
    mov rsi, rdx
    mov rcx, r8
    mov rax, rdi
    sub rax, rsi
    cmp rax, rcx            ; destination inside [source, source + length): copy from the end
    jb .backward
    cmp rcx, 8
    jb .tail
    mov rax, rcx
    shr rcx, 3
    rep movsq
    mov rcx, rax
    and ecx, 7
.tail:
    rep movsb
    mov rdi, r9
    mov rsi, r10
    ret
.backward:
    lea rdi, [rdi + rcx - 1]
    lea rsi, [rsi + rcx - 1]
    std
    rep movsb
    cld
    mov rdi, r9
    mov rsi, r10
    ret

; rcx = destination, dl = value, r8 = length.
lamina_memset:
    mov r9, rdi
    mov rdi, rcx
    movzx eax, dl
    mov rdx, 0x0101010101010101
    imul rax, rdx
    mov rcx, r8
    shr rcx, 3
    rep stosq
    mov ecx, r8d
    and ecx, 7
    rep stosb
    mov rdi, r9
    ret

; rcx * rdx: high half in rax, low half to [r8].
lamina_multiply:
    mov rax, rcx
    mul rdx
    mov [r8], rax
    mov rax, rdx
    ret

; Big frames ask for their pages to be touched; stacks here are mapped whole, with a guard page below.
; r11 = new rsp on entry; must be preserved.
RhpStackProbe:
    ret

; There is no collector to tell about transitions.
RhpReversePInvoke:
RhpReversePInvokeReturn:
RhpPInvoke:
RhpPInvokeReturn:
    ret

RhpFallbackFailFast:
    mov ecx, 12
    jmp lamina_fail_fast

section .rdata rdata align=8
__security_cookie: dq 0x00002B992DDFA232
