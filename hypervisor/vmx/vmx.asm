; The VMX world switch. The loop is the outermost frame of the core: no compiled code is on the stack while a guest runs, so
; nothing of it need be saved, and xmm6-15, which compiled code preserves, hold the guest's values throughout.
bits 64
default rel

extern vmx_short_exit, vmx_handle_exit, vmx_handle_failure, vmx_instruction_failed, vmx_park
global vmx_run, vmx_interrupt_window, vmx_idle, vmx_take_nmi, vmx_set_extended_components
global vmx_on, vmx_clear, vmx_load, vmx_read, vmx_write, vmx_read_mode, vmx_invept, vmx_invvpid

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
%define VP_STATE 232
%define VP_EXTENDED 240
%define VP_XCR0 248

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

%macro load_registers 0             ; flags stay as they are
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
    mov rax, [rax + VP_RAX]
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

; rcx = first VirtualProcessor, its VMCS the current one; or 0. Interrupts are closed by IF and stay so outside the window.
vmx_run:
    cli
    and rsp, -16
    sub rsp, 64
    mov qword [CURRENT], 0
    mov rax, rcx
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
    load_registers
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
    load_registers
    vmlaunch

; VMfail: the guest has not run, and its registers are in its VirtualProcessor still.
.failed:
    mov rcx, [CURRENT]
    call vmx_handle_failure
    jmp .next

.exit:
    push rax
    mov rax, [CURRENT + 8]
    pop qword [rax + VP_RAX]
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
    movups [rax + VP_XMM], xmm0
    movups [rax + VP_XMM + 16], xmm1
    movups [rax + VP_XMM + 32], xmm2
    movups [rax + VP_XMM + 48], xmm3
    movups [rax + VP_XMM + 64], xmm4
    movups [rax + VP_XMM + 80], xmm5
    mov rcx, rax
    call vmx_handle_exit
    jmp .next

; Another virtual processor: vector registers by XSAVE, under an XCR0 with every component: a guest that has SSE off in its own, or has
; never set it, may use XMM registers all the same. Its VMCS and the rest are exchanged by C# (VmxBackend.Leave and Enter).
.switch:
    mov r12, rax
    mov r13, [CURRENT]
    test r13, r13
    jz .load
    load_xmm r13
    mov rbx, [r13 + VP_EXTENDED]
    mov rax, [extended_components]
    test rax, rax                   ; 0: a processor without XSAVE
    jz .fxsave
    mov rdx, rax
    shr rdx, 32
    xor ecx, ecx
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
    call vmx_park
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

section .bss align=8
extended_components: resq 1
