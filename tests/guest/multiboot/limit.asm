; image: elf32 limit.elf start 0x2000000
; The least that a hypervisor could do: a bare world switch (SVM) around the guest of cost.asm, on a machine of its own. All general
; registers go out to memory and come back, the exit code is compared, the instruction is answered and stepped over: no scheduler, no
; interrupts, no partitions, no checks. What Lamina takes beyond this is what being a hypervisor costs.
bits 32

EFER            equ 0xC0000080
EFER_LME_SVME   equ 1 << 8 | 1 << 12
VM_HSAVE_PA     equ 0xC0010117
CODE64          equ 0x08
DATA64          equ 0x10
PRESENT         equ 7           ; writable, and for users: nested accesses are such
LARGE           equ 0x80
FRESH_PAGES     equ 0x800000    ; of cost.asm: absent until they are touched
UART_READY      equ 0x60
NOT_KNOWN       equ -38

; APM 2, "VMCB Layout"
INTERCEPTS_1    equ 0x00C
INTERCEPTS_2    equ 0x010
IOPM_BASE_PA    equ 0x040
MSRPM_BASE_PA   equ 0x048
GUEST_ASID      equ 0x058
EXITCODE        equ 0x070
EXITINFO1       equ 0x078
EXITINFO2       equ 0x080
NP_ENABLE       equ 0x090
N_CR3           equ 0x0B0
SAVE            equ 0x400
SAVE_EFER       equ SAVE + 0x0D0
SAVE_CR0        equ SAVE + 0x158
SAVE_DR7        equ SAVE + 0x160
SAVE_DR6        equ SAVE + 0x168
SAVE_RFLAGS     equ SAVE + 0x170
SAVE_RIP        equ SAVE + 0x178
SAVE_RAX        equ SAVE + 0x1F8
SAVE_G_PAT      equ SAVE + 0x268

; APM 2, "SVM Intercept Codes"
VMEXIT_CPUID    equ 0x72
VMEXIT_IOIO     equ 0x7B
VMEXIT_MSR      equ 0x7C
VMEXIT_VMMCALL  equ 0x81
VMEXIT_NPF      equ 0x400

%define REGISTER_0 rcx
%define REGISTER_1 rdx
%define REGISTER_2 rbx
%define REGISTER_3 rbp
%define REGISTER_4 rsi
%define REGISTER_5 rdi
%define REGISTER_6 r8
%define REGISTER_7 r9
%define REGISTER_8 r10
%define REGISTER_9 r11
%define REGISTER_10 r12
%define REGISTER_11 r13
%define REGISTER_12 r14
%define REGISTER_13 r15

section .multiboot
align 4
    dd 0x1BADB002, 0, -0x1BADB002

section .text
global start
start:
    cli
    cld
    mov esp, stack_top
    call load_guest
    call build_tables
    call build_vmcb
    mov eax, 1 << 5             ; CR4.PAE
    mov cr4, eax
    mov eax, table_4
    mov cr3, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LME_SVME
    wrmsr
    mov ecx, VM_HSAVE_PA
    mov eax, host_save
    xor edx, edx
    wrmsr
    mov eax, cr0
    or eax, 1 << 31
    mov cr0, eax
    lgdt [gdt_operand]
    jmp CODE64:run

; The segments of the ELF file go where they are linked.
load_guest:
    mov ebx, guest + 52         ; program headers
    movzx edx, word [guest + 44]
.segment:
    cmp dword [ebx], 1          ; PT_LOAD
    jne .next
    mov esi, [ebx + 4]
    add esi, guest
    mov edi, [ebx + 12]
    mov ecx, [ebx + 16]
    rep movsb
    mov ecx, [ebx + 20]
    sub ecx, [ebx + 16]
    xor eax, eax
    rep stosb
.next:
    add ebx, 32
    dec edx
    jnz .segment
    ret

; One set for both worlds: the first GiB by large pages, the two MiB at FRESH_PAGES by small ones that are not there.
build_tables:
    mov dword [table_4], table_3 + PRESENT
    mov dword [table_3], table_2 + PRESENT
    mov edi, table_2
    mov eax, PRESENT + LARGE
    mov ecx, 512
.entry:
    mov [edi], eax
    add eax, 0x200000
    add edi, 8
    loop .entry
    mov dword [table_2 + FRESH_PAGES / 0x200000 * 8], table_1 + PRESENT
    mov edi, msr_map
    mov ecx, 2048
    mov eax, -1
    rep stosd
    mov byte [port_map + 0x300 / 8], 1 << (0x300 % 8)
    mov byte [port_map + 0x3FD / 8], 1 << (0x3FD % 8)
    ret

build_vmcb:
    mov edi, vmcb
    mov dword [edi + INTERCEPTS_1], 1 << 18 | 1 << 27 | 1 << 28 | 1 << 31 ; CPUID, ports, MSRs, shutdown
    mov dword [edi + INTERCEPTS_2], 3                                    ; VMRUN, VMMCALL
    mov dword [edi + IOPM_BASE_PA], port_map
    mov dword [edi + MSRPM_BASE_PA], msr_map
    mov dword [edi + GUEST_ASID], 1
    mov dword [edi + NP_ENABLE], 1
    mov dword [edi + N_CR3], table_4
    mov dword [edi + SAVE_EFER], 1 << 12
    mov dword [edi + SAVE_CR0], 0x11
    mov dword [edi + SAVE_DR7], 0x400
    mov dword [edi + SAVE_DR6], 0xFFFF0FF0
    mov dword [edi + SAVE_RFLAGS], 2
    mov eax, [guest + 24]
    mov [edi + SAVE_RIP], eax
    mov dword [edi + SAVE_G_PAT], 0x00070406
    mov dword [edi + SAVE_G_PAT + 4], 0x00070406
    lea edx, [edi + SAVE]       ; ES, CS, SS, DS, FS, GS: flat
    mov ecx, 6
.segment:
    mov dword [edx], 0x0C930010
    mov dword [edx + 4], -1
    add edx, 16
    loop .segment
    mov dword [edi + SAVE + 0x10], 0x0C9B0008
    mov dword [edi + SAVE + 0x70], 0x00820000 ; LDTR
    mov dword [edi + SAVE + 0x90], 0x008B0000 ; TR
    ret

bits 64
run:
    mov ax, DATA64
    mov ds, ax
    mov es, ax
    mov ss, ax
    clgi
.enter:
%assign i 0
%rep 14
    mov REGISTER_%[i], [registers + i * 8]
%assign i i + 1
%endrep
    mov eax, vmcb
    vmrun
%assign i 0
%rep 14
    mov [registers + i * 8], REGISTER_%[i]
%assign i i + 1
%endrep
    mov rbx, [rax + EXITCODE]
    cmp rbx, VMEXIT_CPUID
    je .cpuid
    cmp rbx, VMEXIT_MSR
    je .msr
    cmp rbx, VMEXIT_VMMCALL
    je .hypercall
    cmp rbx, VMEXIT_IOIO
    je .port
    cmp rbx, VMEXIT_NPF
    je .absent
    mov dx, 0xF4                ; the guest has gone wrong: so does the machine
    mov eax, 3
    out dx, eax
    hlt
.cpuid:
    mov r12, rax
    mov rax, [r12 + SAVE_RAX]
    cmp eax, 0x40000000
    je .name
    cpuid
    or ecx, 1 << 31             ; leaf 1: there is a hypervisor; whoever reads another leaf does not look
    mov [r12 + SAVE_RAX], rax
    mov [registers], rcx
    mov [registers + 8], rdx
    mov [registers + 16], rbx
    add qword [r12 + SAVE_RIP], 2
    jmp .enter
.name:
    mov qword [registers + 16], "bare"
    add qword [r12 + SAVE_RIP], 2
    jmp .enter
.msr:
    add qword [rax + SAVE_RIP], 2
    cmp qword [rax + EXITINFO1], 0
    jne .enter
    mov r12, rax
    rdmsr
    mov [r12 + SAVE_RAX], rax
    mov [registers + 8], rdx
    jmp .enter
.hypercall:
    mov qword [rax + SAVE_RAX], NOT_KNOWN
    add qword [rax + SAVE_RIP], 3
    jmp .enter
.port:
    mov byte [rax + SAVE_RAX], UART_READY
    mov rcx, [rax + EXITINFO2]
    mov [rax + SAVE_RIP], rcx
    jmp .enter
.absent:
    mov rcx, [rax + EXITINFO2]
    mov rdx, rcx
    shr rdx, 12
    and edx, 511
    and rcx, -4096
    or rcx, PRESENT
    mov [table_1 + rdx * 8], rcx
    jmp .enter

section .rodata
align 8
gdt:
    dq 0
    dq 0x00AF9B000000FFFF       ; CODE64
    dq 0x00CF93000000FFFF       ; DATA64
gdt_operand:
    dw $ - gdt - 1
    dd gdt
align 16
guest:
    incbin "guest-cost.elf"

section .bss
alignb 4096
vmcb:           resb 4096
host_save:      resb 4096
table_4:        resb 4096
table_3:        resb 4096
table_2:        resb 4096
table_1:        resb 4096
port_map:       resb 3 * 4096
msr_map:        resb 2 * 4096
registers:      resq 14
                resb 4096
                alignb 16
stack_top:
