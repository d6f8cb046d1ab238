; The VMX world switch. The loop is the outermost frame of the core: no compiled code is on the stack while a guest runs, so
; nothing of it need be saved, and xmm6-15, which compiled code preserves, hold the guest's values throughout.
bits 64
default rel

extern vmx_short_exit, vmx_handle_exit, vmx_handle_failure, vmx_instruction_failed, vmx_park
global vmx_run, vmx_interrupt_window, vmx_idle, vmx_take_nmi, vmx_set_extended_components
global vmx_on, vmx_clear, vmx_load, vmx_read, vmx_write, vmx_read_mode, vmx_invept, vmx_invvpid

%include "hypervisor/core/world-switch.inc"

; VmxState (hypervisor/vmx/pure/VmxState.cs)
%define STATE_RIP 0
%define STATE_RFLAGS 8
%define STATE_INTERRUPTIBILITY 16
%define STATE_LENGTH 24
%define STATE_SS_RIGHTS 32
%define STATE_CS_RIGHTS 40
%define STATE_CR0 56
%define STATE_REASON 512
%define STATE_VECTORING 520
%define STATE_LAUNCHED 528

; VmxExitReason.ExternalInterrupt
%define EXTERNAL_INTERRUPT 1

; Encodings (hypervisor/vmx/definitions/VmcsField.cs)
%define EXIT_REASON 0x4402
%define IDT_VECTORING_INFORMATION 0x4408
%define EXIT_INSTRUCTION_LENGTH 0x440C
%define GUEST_CS_RIGHTS 0x4816
%define GUEST_SS_RIGHTS 0x4818
%define GUEST_INTERRUPTIBILITY 0x4824
%define GUEST_CR0 0x6800
%define GUEST_RIP 0x681E
%define GUEST_RFLAGS 0x6820
%define HOST_RSP 0x6C14
%define HOST_RIP 0x6C16

%define CURRENT rsp + 32

section .text

; rcx = first VirtualProcessor, its VMCS the current one; or 0. Interrupts are closed by IF and stay so outside the window.
vmx_run:
    cli
    and rsp, -16
    sub rsp, 64
    mov qword [CURRENT], 0
    mov r12, rcx
    open_components
    mov rax, r12
    test rax, rax
    jz .park

.next:                              ; rax = VirtualProcessor to enter, its VMCS current and written back; 0: nobody, until .park says whom
    cmp rax, [CURRENT]
    jne .switch
    load_xmm rax
.enter:                             ; xmm0-5 are the guest's already
    mov rcx, [rax + VP_STATE]
    cmp qword [rcx + STATE_LAUNCHED], 0
    je .launch
    load_general
    mov rax, [rax + VP_RAX]
    vmresume
    jmp .failed

; The first entry since VMCLEAR. Host RSP and RIP are known only here.
.launch:
    mov qword [rcx + STATE_LAUNCHED], 1
    mov edx, HOST_RSP
    vmwrite rdx, rsp
    mov edx, HOST_RIP
    lea rcx, [.exit]
    vmwrite rdx, rcx
    load_general
    mov rax, [rax + VP_RAX]
    vmlaunch

; VMfail: the guest has not run, and its general registers are in its VirtualProcessor still.
.failed:
    mov rcx, [CURRENT]
    save_xmm rcx
    call vmx_handle_failure
    jmp .next

.exit:
    push rax
    mov rax, [CURRENT + 8]
    pop qword [rax + VP_RAX]
    save_general
    mov rdx, [rax + VP_STATE]
    mov r8d, EXIT_REASON
    vmread [rdx + STATE_REASON], r8
    mov r8d, IDT_VECTORING_INFORMATION
    vmread [rdx + STATE_VECTORING], r8
    cmp dword [rdx + STATE_REASON], EXTERNAL_INTERRUPT
    je .long                        ; no instruction's doing: RIP and the rest are seldom asked for
    mov r8d, GUEST_RIP
    vmread [rdx + STATE_RIP], r8
    mov r8d, GUEST_RFLAGS
    vmread [rdx + STATE_RFLAGS], r8
    mov r8d, GUEST_INTERRUPTIBILITY
    vmread [rdx + STATE_INTERRUPTIBILITY], r8
    mov r8d, EXIT_INSTRUCTION_LENGTH
    vmread [rdx + STATE_LENGTH], r8
    mov rcx, rax
    call vmx_short_exit             ; touches no xmm register
    test al, al
    mov rax, [CURRENT]
    jnz .enter
.long:
    save_xmm rax
    mov rcx, rax
    call vmx_handle_exit
    jmp .next

; Another virtual processor: vector registers by XSAVE. Its VMCS and the rest are exchanged by C# (VmxBackend.Leave and Enter).
.switch:
    mov r12, rax
    mov r13, [CURRENT]
    test r13, r13
    jz .load
    load_xmm r13
    save_extended r13, 0
    test r12, r12
    jnz .load
.park:
    mov qword [CURRENT], 0
    call vmx_park
    mov r12, rax
.load:
    load_extended r12
    mov [CURRENT], r12
    mov rax, r12
    jmp .enter

; Physical interrupts that wait are taken behind the NOP (STI holds them off for one instruction), through the core's IDT.
vmx_interrupt_window:
    sti
    nop
    cli
    ret

; STI's shadow covers HLT: an interrupt that came before wakes it at once.
vmx_idle:
    sti
    hlt
    cli
    ret

; After an exit by an NMI, which blocks further ones until an IRET.
vmx_take_nmi:
    int 2
    ret

; rcx = components that XSAVE exchanges; 0 on a processor without XSAVE.
vmx_set_extended_components:
    mov [extended_components], rcx
    ret

; rcx = physical address. eax = 0, or 1 when the instruction failed.
vmx_on:
    push rcx
    xor eax, eax
    vmxon [rsp]
    setbe al
    pop rcx
    ret
vmx_clear:
    push rcx
    vmclear [rsp]
    jbe vmx_failed
    pop rcx
    ret
vmx_load:
    push rcx
    vmptrld [rsp]
    jbe vmx_failed
    pop rcx
    ret

; rcx = encoding; rax = value.
vmx_read:
    vmread rax, rcx
    jbe vmx_failed
    ret
; rcx = encoding, rdx = value.
vmx_write:
    vmwrite rcx, rdx
    jbe vmx_failed
    ret

; rcx = operand that the failed instruction had. Does not return.
vmx_failed:
    and rsp, -16
    sub rsp, 32
    call vmx_instruction_failed
    ud2

; rcx = VmxState: privilege and mode, which every hypercall asks for.
vmx_read_mode:
    mov eax, GUEST_SS_RIGHTS
    vmread [rcx + STATE_SS_RIGHTS], rax
    mov eax, GUEST_CS_RIGHTS
    vmread [rcx + STATE_CS_RIGHTS], rax
    mov eax, GUEST_CR0
    vmread [rcx + STATE_CR0], rax
    ret

; rcx = type, rdx = EPT pointer.
vmx_invept:
    push 0
    push rdx
    invept rcx, [rsp]
    jbe vmx_failed
    add rsp, 16
    ret
; rcx = type, rdx = VPID.
vmx_invvpid:
    push 0
    push rdx
    invvpid rcx, [rsp]
    jbe vmx_failed
    add rsp, 16
    ret
