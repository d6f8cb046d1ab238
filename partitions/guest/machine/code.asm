; The pieces of code that checks run on chosen registers (guest_run), in the order of the enumeration Code (Code.cs).
bits 64
default rel

global guest_code_table

%macro piece 1+
    dq %%at
    section .text
%%at:
    %1
    ret
    section .rdata
%endmacro

; A piece of more than one line is written below the table and named here.
%macro entry 1
    dq code_%1
%endmacro

section .rdata rdata align=8
guest_code_table:
    piece nop
    piece rdmsr
    piece wrmsr
    piece cpuid
    piece vmmcall
    piece vmcall
    piece vmrun
    piece vmload
    piece vmsave
    piece stgi
    piece clgi
    piece skinit
    piece invlpga rax, ecx
    piece monitor
    piece mwait
    piece vmxon [rsi]
    piece xsetbv
    piece xgetbv
    piece in al, dx
    piece in ax, dx
    piece in eax, dx
    piece out dx, al
    piece out dx, ax
    piece out dx, eax
    piece in al, 0x80
    piece out 0x80, al
    piece rep insb
    piece rep outsb
    piece rep insd
    piece rep outsd
    piece insw
    piece outsw
    ; memory at [rsi], for device pages
    piece mov eax, [rsi]
    piece mov [rsi], eax
    piece mov dword [rsi], 0x00000001
    piece movzx eax, byte [rsi]
    piece movzx eax, word [rsi]
    piece mov rax, [rsi]
    piece mov al, [rsi]
    piece xchg eax, [rsi]
    piece and eax, [rsi]
    piece cmp eax, [rsi]
    piece test dword [rsi], 0x00FF0000
    piece or dword [rsi], 0
    piece lodsd
    piece rep movsd
    piece push qword [rsi]
    entry mov_indexed
    ; exceptions
    piece div ecx
    piece ud2
    piece int3
    entry step_over_cpuid
    entry step_over_port
    entry double_fault
    entry user_vmmcall
    entry user_hlt
    entry user_port
    entry user_rdmsr
    entry user_cpuid
    entry step_over_load
    entry sti_load
    piece wbinvd
    piece rdtscp
    ; interrupts
    entry sti_shadow
    entry sti_cpuid
    entry sti_hlt
    entry hlt_open
    entry spin
    ; marks: addresses inside of the pieces above
    entry after_step_cpuid
    entry after_step_port
    entry after_sti_cpuid
    entry after_step_load
    entry after_sti_load
    entry user_vmmcall_at
    entry cpuid32

section .text
; [rsi + rbx * 4 + 0x10] with a displacement, an index and an extended register
code_mov_indexed:
    mov r15, rsi
    mov r9d, [r15 + rbx * 4 + 0x10]
    ret

code_step_over_cpuid:
    pushfq
    or dword [rsp], 0x100
    popfq
    cpuid
code_after_step_cpuid:
    nop
    nop
    ret

code_step_over_port:
    pushfq
    or dword [rsp], 0x100
    popfq
    in al, dx
code_after_step_port:
    nop
    nop
    ret

; The stack cannot be pushed on, so that delivering the first fault faults again.
code_double_fault:
    mov rsp, 0x8000000000000000
    push rax
    ret

USER_CODE equ 0x20 | 3
USER_DATA equ 0x18 | 3
%macro enter_user 1
    mov rbx, rsp
    push USER_DATA
    push rdi            ; user stack
    push 2
    push USER_CODE
    lea rbp, [%1]
    push rbp
    iretq
%endmacro
code_user_vmmcall:
    enter_user code_user_vmmcall_at
code_user_vmmcall_at:
    vmmcall
    hlt                 ; #GP at CPL 3: the call went through
code_user_hlt:
    enter_user .at
.at:
    hlt
    ud2

code_user_port:
    enter_user .at
.at:
    in al, dx
    ud2
code_user_rdmsr:
    enter_user .at
.at:
    rdmsr
    ud2
; CPUID is for everyone; the HLT behind it ends the piece by #GP.
code_user_cpuid:
    mov r12, rax
    enter_user .at
.at:
    mov rax, r12
    xor ecx, ecx
    cpuid
    mov r13, rbx
    hlt

code_step_over_load:
    pushfq
    or dword [rsp], 0x100
    popfq
    mov eax, [rsi]
code_after_step_load:
    nop
    nop
    ret

; An interrupt waits: the instruction after STI still comes before it.
code_sti_shadow:
    xor eax, eax
    sti
    inc eax
    nop
    cli
    ret

; … and the end of the shadow is not forgotten over an instruction that the hypervisor carries out.
code_sti_cpuid:
    xor eax, eax
    xor ecx, ecx
    sti
    cpuid
code_after_sti_cpuid:
    nop
    cli
    ret

code_sti_load:
    sti
    mov eax, [rsi]
code_after_sti_load:
    nop
    cli
    ret

code_sti_hlt:
    sti
    hlt
    cli
    ret

; Interrupts on well before the halt.
code_hlt_open:
    sti
    nop
    nop
    hlt
    cli
    ret

; Until the memory at [rsi] is no longer zero.
code_spin:
    sti
.again:
    pause
    cmp dword [rsi], 0
    je .again
    cli
    ret

; CPUID in 32-bit code, by way of a far jump and back.
CODE32 equ 0x28
code_cpuid32:
    push CODE32
    lea rbp, [.in32]
    push rbp
    retfq
bits 32
.in32:
    cpuid
    in al, 0x80
    jmp 0x08:.back32
bits 64
.back32:
    ret
