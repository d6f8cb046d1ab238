; The SVM world switch. The loop is the outermost frame of the core: no compiled code is on the stack while a guest runs, so
; nothing of it need be saved, and xmm6-15, which compiled code preserves, hold the guest's values throughout.
bits 64
default rel

extern svm_short_exit, svm_handle_exit, svm_park, svm_reassess
global svm_run, svm_interrupt_window, svm_idle, svm_vmload, svm_vmsave, svm_set_extended_components

; VirtualProcessor (hypervisor/core/VirtualProcessor.cs, world switch part)
%define VP_RAX 0
%define VP_RCX 8
%define VP_RDX 16
%define VP_RBX 24
%define VP_RBP 40
%define VP_RSI 48
%define VP_RDI 56
%define VP_R8 64
%define VP_R9 72
%define VP_R10 80
%define VP_R11 88
%define VP_R12 96
%define VP_R13 104
%define VP_R14 112
%define VP_R15 120
%define VP_XMM 128
%define VP_STATE_PHYSICAL 224
%define VP_EXTENDED 240
%define VP_XCR0 248

%define CURRENT rsp + 32
%define COUNTDOWN rsp + 40

; Exits between two looks whether the physical APIC has an interrupt that the emulator lost (SvmExits.cs): a look is dear.
%define EXITS_PER_LOOK 32

%macro save_xmm 0                   ; rax = VirtualProcessor
    movups [rax + VP_XMM], xmm0
    movups [rax + VP_XMM + 16], xmm1
    movups [rax + VP_XMM + 32], xmm2
    movups [rax + VP_XMM + 48], xmm3
    movups [rax + VP_XMM + 64], xmm4
    movups [rax + VP_XMM + 80], xmm5
%endmacro
%macro load_xmm 1
    movups xmm0, [%1 + VP_XMM]
    movups xmm1, [%1 + VP_XMM + 16]
    movups xmm2, [%1 + VP_XMM + 32]
    movups xmm3, [%1 + VP_XMM + 48]
    movups xmm4, [%1 + VP_XMM + 64]
    movups xmm5, [%1 + VP_XMM + 80]
%endmacro

section .text

; rcx = first VirtualProcessor, or 0. Interrupts are closed by GIF = 0 and let through to the guest by IF = 1.
svm_run:
    and rsp, -16
    sub rsp, 64
    mov qword [CURRENT], 0
    mov dword [COUNTDOWN], EXITS_PER_LOOK
    mov rax, rcx
    clgi
    sti
    test rax, rax
    jz .park

.next:                              ; rax = VirtualProcessor to enter; 0: nobody, until .park says whom
    cmp rax, [CURRENT]
    jne .switch
    load_xmm rax
.enter:                             ; xmm0-5 are the guest's already
    mov rcx, [rax + VP_RCX]
    mov rdx, [rax + VP_RDX]
    mov rbx, [rax + VP_RBX]
    mov rbp, [rax + VP_RBP]
    mov rsi, [rax + VP_RSI]
    mov rdi, [rax + VP_RDI]
    mov r8, [rax + VP_R8]
    mov r9, [rax + VP_R9]
    mov r10, [rax + VP_R10]
    mov r11, [rax + VP_R11]
    mov r12, [rax + VP_R12]
    mov r13, [rax + VP_R13]
    mov r14, [rax + VP_R14]
    mov r15, [rax + VP_R15]
    mov rax, [rax + VP_STATE_PHYSICAL]
    vmrun
    mov rax, [CURRENT]
    mov [rax + VP_RCX], rcx
    mov [rax + VP_RDX], rdx
    mov [rax + VP_RBX], rbx
    mov [rax + VP_RBP], rbp
    mov [rax + VP_RSI], rsi
    mov [rax + VP_RDI], rdi
    mov [rax + VP_R8], r8
    mov [rax + VP_R9], r9
    mov [rax + VP_R10], r10
    mov [rax + VP_R11], r11
    mov [rax + VP_R12], r12
    mov [rax + VP_R13], r13
    mov [rax + VP_R14], r14
    mov [rax + VP_R15], r15
    mov rcx, rax
    dec dword [COUNTDOWN]
    jz .look
    call svm_short_exit             ; touches no xmm register
    test al, al
    mov rax, [CURRENT]
    jnz .enter
    save_xmm
    mov rcx, rax
.handle:
    call svm_handle_exit
    jmp .next
.look:
    mov dword [COUNTDOWN], EXITS_PER_LOOK
    save_xmm
    call svm_reassess
    mov rcx, [CURRENT]
    jmp .handle

; Another virtual processor: exchange what VMRUN leaves alone (FS, GS, TR, LDTR, SYSCALL and SYSENTER registers by VMSAVE and
; VMLOAD, vector registers by XSAVE). XSAVE runs under an XCR0 with every component: a guest that has SSE off in its own, or has never
; set it, may use XMM registers all the same.
.switch:
    mov r12, rax
    mov r13, [CURRENT]
    test r13, r13
    jz .load
    mov rax, [r13 + VP_STATE_PHYSICAL]
    vmsave
    load_xmm r13
    mov rbx, [r13 + VP_EXTENDED]
    mov rax, [extended_components]
    test rax, rax                   ; 0: a processor without XSAVE
    jz .fxsave
    xor ecx, ecx
    xgetbv                          ; QEMU does not intercept XSETBV: what the guest has set is known only here
    shl rdx, 32
    or rax, rdx
    mov [r13 + VP_XCR0], rax
    mov rax, [extended_components]
    mov rdx, rax
    shr rdx, 32
    xsetbv
    mov eax, -1
    mov edx, eax
    xsave64 [rbx]
    jmp .saved
.fxsave:
    fxsave64 [rbx]
.saved:
    test r12, r12
    jnz .load
.park:
    mov qword [CURRENT], 0
    call svm_park
    mov r12, rax
.load:
    mov rbx, [r12 + VP_EXTENDED]
    mov rax, [extended_components]
    test rax, rax
    jz .fxrstor
    mov rdx, rax
    shr rdx, 32
    xor ecx, ecx
    xsetbv
    mov eax, -1
    mov edx, eax
    xrstor64 [rbx]
    mov rax, [r12 + VP_XCR0]
    mov rdx, rax
    shr rdx, 32
    xsetbv
    jmp .loaded
.fxrstor:
    fxrstor64 [rbx]
.loaded:
    mov rax, [r12 + VP_STATE_PHYSICAL]
    vmload
    mov [CURRENT], r12
    mov rax, r12
    jmp .enter

; Physical interrupts that wait are taken between STGI and CLGI, through the core's IDT.
svm_interrupt_window:
    stgi
    nop
    clgi
    ret

; STI's shadow covers HLT: an interrupt that came before wakes it at once.
svm_idle:
    cli
    stgi
    sti
    hlt
    clgi
    ret

; rcx = components that XSAVE exchanges; 0 on a processor without XSAVE.
svm_set_extended_components:
    mov [extended_components], rcx
    ret
svm_vmload:
    mov rax, rcx
    vmload
    ret
svm_vmsave:
    mov rax, rcx
    vmsave
    ret

section .bss align=8
extended_components: resq 1
