; The instructions that C# cannot say, one stub each (win64: rcx, rdx, r8; result in rax).
bits 64
default rel
section .text

%macro stub 1
global x64_%1
x64_%1:
%endmacro

stub in8
    mov edx, ecx
    xor eax, eax
    in al, dx
    ret
stub in16
    mov edx, ecx
    xor eax, eax
    in ax, dx
    ret
stub in32
    mov edx, ecx
    in eax, dx
    ret
stub out8
    mov eax, edx
    mov edx, ecx
    out dx, al
    ret
stub out16
    mov eax, edx
    mov edx, ecx
    out dx, ax
    ret
stub out32
    mov eax, edx
    mov edx, ecx
    out dx, eax
    ret

stub rdmsr
    rdmsr
    shl rdx, 32
    or rax, rdx
    ret
stub wrmsr
    mov eax, edx
    shr rdx, 32
    wrmsr
    ret

; rcx = ulong* (rax, rcx, rdx, rbx), edx = leaf; the subleaf is in rcx's place, results go into all four.
stub cpuid_in_place
    mov r8, rcx
    mov r9, rbx
    mov eax, edx
    mov ecx, [r8 + 8]
    cpuid
    mov [r8], rax
    mov [r8 + 8], rcx
    mov [r8 + 16], rdx
    mov [r8 + 24], rbx
    mov rbx, r9
    ret
; rcx = leaf, rdx = subleaf, r8 = uint* (eax, ebx, ecx, edx)
stub cpuid
    push rbx
    mov eax, ecx
    mov ecx, edx
    cpuid
    mov [r8], eax
    mov [r8 + 4], ebx
    mov [r8 + 8], ecx
    mov [r8 + 12], edx
    pop rbx
    ret

stub rdtsc
    rdtsc
    shl rdx, 32
    or rax, rdx
    ret
; Waits for all earlier loads before it reads the counter.
stub rdtsc_ordered
    lfence
    rdtsc
    shl rdx, 32
    or rax, rdx
    ret

stub read_cr0
    mov rax, cr0
    ret
stub write_cr0
    mov cr0, rcx
    ret
stub read_cr2
    mov rax, cr2
    ret
stub write_cr2
    mov cr2, rcx
    ret
stub read_cr3
    mov rax, cr3
    ret
stub write_cr3
    mov cr3, rcx
    ret
stub read_cr4
    mov rax, cr4
    ret
stub write_cr4
    mov cr4, rcx
    ret
stub read_cr8
    mov rax, cr8
    ret
stub write_cr8
    mov cr8, rcx
    ret
; rcx = ulong[4]
stub read_debug_addresses
    mov rax, dr0
    mov [rcx], rax
    mov rax, dr1
    mov [rcx + 8], rax
    mov rax, dr2
    mov [rcx + 16], rax
    mov rax, dr3
    mov [rcx + 24], rax
    ret
stub write_debug_addresses
    mov rax, [rcx]
    mov dr0, rax
    mov rax, [rcx + 8]
    mov dr1, rax
    mov rax, [rcx + 16]
    mov dr2, rax
    mov rax, [rcx + 24]
    mov dr3, rax
    ret
stub read_dr0
    mov rax, dr0
    ret
stub write_dr0
    mov dr0, rcx
    ret
stub read_dr1
    mov rax, dr1
    ret
stub write_dr1
    mov dr1, rcx
    ret
stub read_dr2
    mov rax, dr2
    ret
stub write_dr2
    mov dr2, rcx
    ret
stub read_dr3
    mov rax, dr3
    ret
stub write_dr3
    mov dr3, rcx
    ret
stub read_dr6
    mov rax, dr6
    ret
stub write_dr6
    mov dr6, rcx
    ret
stub read_dr7
    mov rax, dr7
    ret
stub write_dr7
    mov dr7, rcx
    ret

; ecx = index of the extended control register
stub xgetbv
    xgetbv
    shl rdx, 32
    or rax, rdx
    ret
stub xsetbv
    mov eax, edx
    shr rdx, 32
    xsetbv
    ret
; rcx = 64-byte aligned area, rdx = component mask
stub xsave
    mov eax, edx
    shr rdx, 32
    xsave64 [rcx]
    ret
stub xrstor
    mov eax, edx
    shr rdx, 32
    xrstor64 [rcx]
    ret
stub fxsave
    fxsave64 [rcx]
    ret
stub fxrstor
    fxrstor64 [rcx]
    ret

stub invlpg
    invlpg [rcx]
    ret
stub wbinvd
    wbinvd
    ret
stub cli
    cli
    ret
stub sti
    sti
    ret
stub hlt
    hlt
    ret
; Enables interrupts and halts: nothing can slip in between, STI holds them off for one instruction.
stub sti_hlt
    sti
    hlt
    ret
stub fence
    mfence
    lfence
    ret
stub pause
    pause
    ret
stub int3
    int3
    ret
stub read_flags
    pushfq
    pop rax
    ret

; rcx = pointer to the 10-byte operand
stub lgdt
    lgdt [rcx]
    ret
stub lidt
    lidt [rcx]
    ret
stub sgdt
    sgdt [rcx]
    ret
stub sidt
    sidt [rcx]
    ret
stub ltr
    ltr cx
    ret
stub lldt
    lldt cx
    ret
stub str
    xor eax, eax
    str ax
    ret

; Reloads all segment registers after LGDT. cx = code selector, dx = data selector.
stub load_segments
    movzx ecx, cx
    pop rax
    push rcx
    push rax
    mov ds, dx
    mov es, dx
    mov ss, dx
    xor ecx, ecx
    mov fs, cx
    mov gs, cx
    retfq

; The 128-bit product's high half: rcx * rdx.
stub multiply_high
    mov rax, rcx
    mul rdx
    mov rax, rdx
    ret
; (rcx:rdx) / r8 with rcx < r8: quotient.
stub divide_128
    mov rax, rdx
    mov rdx, rcx
    div r8
    ret

; MMIO: one access of exactly the named width, never merged or dropped.
stub mmio_read8
    movzx eax, byte [rcx]
    ret
stub mmio_read16
    movzx eax, word [rcx]
    ret
stub mmio_read32
    mov eax, [rcx]
    ret
stub mmio_read64
    mov rax, [rcx]
    ret
stub mmio_write8
    mov [rcx], dl
    ret
stub mmio_write16
    mov [rcx], dx
    ret
stub mmio_write32
    mov [rcx], edx
    ret
stub mmio_write64
    mov [rcx], rdx
    ret
