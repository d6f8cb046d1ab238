; The SVM world switch. The loop is the outermost frame of the core: no compiled code is on the stack while a guest runs, so
; nothing of it need be saved, and xmm6-15, which compiled code preserves, hold the guest's values throughout.
bits 64
default rel

extern svm_short_exit, svm_handle_exit, svm_park, svm_reassess
global svm_run, svm_interrupt_window, svm_idle, svm_vmload, svm_vmsave, svm_set_extended_components

%include "hypervisor/core/world-switch.inc"

%define CURRENT rsp + 32
%define COUNTDOWN rsp + 40

; Exits between two looks whether the physical APIC has an interrupt that the emulator lost (SvmExits.cs): a look is dear.
%define EXITS_PER_LOOK 32

section .text

; rcx = first VirtualProcessor, or 0. Interrupts are closed by GIF = 0 and let through to the guest by IF = 1.
svm_run:
    and rsp, -16
    sub rsp, 64
    mov qword [CURRENT], 0
    mov dword [COUNTDOWN], EXITS_PER_LOOK
    mov r12, rcx
    open_components
    mov rax, r12
    clgi
    sti
    test rax, rax
    jz .park

.next:                              ; rax = VirtualProcessor to enter; 0: nobody, until .park says whom
    cmp rax, [CURRENT]
    jne .switch
    load_xmm rax
.enter:                             ; xmm0-5 are the guest's already
    load_general
    mov rax, [rax + VP_STATE_PHYSICAL]
    vmrun
    mov rax, [CURRENT]
    save_general
    mov rcx, rax
    dec dword [COUNTDOWN]
    jz .look
    call svm_short_exit             ; touches no xmm register
    test al, al
    mov rax, [CURRENT]
    jnz .enter
    save_xmm rax
    mov rcx, rax
.handle:
    call svm_handle_exit
    jmp .next
.look:
    mov dword [COUNTDOWN], EXITS_PER_LOOK
    save_xmm rax
    call svm_reassess
    mov rcx, [CURRENT]
    jmp .handle

; Another virtual processor: exchange what VMRUN leaves alone (FS, GS, TR, LDTR, SYSCALL and SYSENTER registers by VMSAVE and
; VMLOAD, vector registers by XSAVE).
.switch:
    mov r12, rax
    mov r13, [CURRENT]
    test r13, r13
    jz .load
    mov rax, [r13 + VP_STATE_PHYSICAL]
    vmsave
    load_xmm r13
    save_extended r13, 1            ; QEMU does not intercept XSETBV: what the guest has set is known only here
    test r12, r12
    jnz .load
.park:
    mov qword [CURRENT], 0
    call svm_park
    mov r12, rax
.load:
    load_extended r12
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
