; image: elf32 guest-cost.elf start 0x100000
; What a round trip into a hypervisor costs, in ticks of the TSC: retired instructions where the emulator counts those (-icount shift=0).
; The same binary runs under Lamina, KVM, Xen, the bare world switch and no hypervisor at all: a Multiboot 1 header and a PVH note both
; lead here, lines go to COM1 and to port 0xE9 (Xen's console for a guest without a UART), and what an environment lacks is skipped by name.
%define DEBUG_CONSOLE 0xE9
%include "common.inc"

ROUNDS          equ 256
APIC_BASE       equ 0x1B
APIC_ENABLED    equ 1 << 11
X2APIC_ENABLED  equ 1 << 10
APIC_PAGE       equ 0xFEE00000
XAPIC_VERSION   equ APIC_PAGE + 0x30
XAPIC_SPURIOUS  equ APIC_PAGE + 0xF0
XAPIC_ICR_LOW   equ APIC_PAGE + 0x300
XAPIC_ICR_HIGH  equ APIC_PAGE + 0x310
X2APIC_EOI      equ 0x80B
X2APIC_SPURIOUS equ 0x80F
X2APIC_LVT_TIMER equ 0x832
X2APIC_INITIAL  equ 0x838
X2APIC_CURRENT  equ 0x839
X2APIC_DIVIDE   equ 0x83E
X2APIC_SELF_IPI equ 0x83F
DIVIDE_BY_1     equ 0xB
MASKED          equ 1 << 16
TO_SELF         equ 1 << 18     ; destination shorthand
VECTOR_XAPIC    equ 0x51        ; ended in the APIC page
VECTOR_X2APIC   equ 0x61        ; ended by MSR
EFER            equ 0xC0000080
NO_DEVICE       equ 0x300
LINE_STATUS     equ COM1 + 5
UNKNOWN_CALL    equ 0x7FFF
FRESH_PAGES     equ 0x800000    ; memory that nothing has touched
SLEEP           equ 100000      ; ticks of the TSC that the processor sleeps
CALIBRATION     equ 10000000

KIND_NONE       equ 0
KIND_HYPERV     equ 1
KIND_KVM        equ 2
KIND_XEN        equ 3
KIND_SWITCH     equ 4           ; the bare world switch of limit.asm

XEN_ELFNOTE_PHYS32_ENTRY equ 18
section .note.Xen note alloc noexec nowrite align=4
    dd 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    db "Xen", 0
    dd start
section .text

; What stands between the two is carried out ROUNDS times; least and median of the rounds, less what an empty one takes, are the cost.
; EDI and EBP are taken. Parameters of "measured": what to subtract, if not the empty round; an instruction between two rounds.
%macro measure 1
%push
%define %$name %1
    mov ebp, ROUNDS
%$round:
    rdtsc
    mov edi, eax
%endmacro

%macro measured 0-2+ [empty]
    rdtsc
    sub eax, edi
    sub eax, %1
    mov [samples + ebp * 4 - 4], eax
    %2
    dec ebp
    jnz %$round
    call sort_samples
    say {"COST ", %$name, " "}
    call put_cost
%pop
%endmacro

; ecx = register, edx:eax = value
%macro write_msr 2
    mov ecx, %1
    mov eax, %2
    xor edx, edx
    wrmsr
%endmacro

kernel_main:
    rdtsc
    mov [started], eax
    mov [started + 4], edx
    call find_environment
    call enable_interrupts
    measure "nothing"
    measured 0
    mov eax, [samples]
    mov [empty], eax
    call measure_processor
    call measure_hypercall
    call measure_ports
    call measure_memory
    cmp dword [kind], KIND_SWITCH
    je .no_apic
    call measure_xapic
    call measure_x2apic
    jmp .end
.no_apic:
    say_line "SKIP apic the bare world switch gives the machine's own"
.end:
    done "cost"
    ret

; ---- what there is

find_environment:
    mov eax, 1
    cpuid
    mov [features], ecx
    test ecx, ecx
    mov dword [kind], KIND_NONE
    mov esi, .bare
    jns .known
    mov eax, 0x40000000
    cpuid
    mov dword [kind], KIND_HYPERV
    mov esi, .hyperv
    cmp ebx, "Micr"
    je .known
    mov dword [kind], KIND_KVM
    mov esi, .kvm
    cmp ebx, "KVMK"
    je .known
    mov dword [kind], KIND_XEN
    mov esi, .xen
    cmp ebx, "XenV"
    je .known
    mov dword [kind], KIND_SWITCH
    mov esi, .switch
    cmp ebx, "bare"
    je .known
    mov dword [kind], KIND_NONE
    mov esi, .bare
.known:
    say "ENVIRONMENT "
    call put_text
    say {13, 10, "START "}
    mov eax, [started + 4]
    call put_hex
    mov eax, [started]
    call put_hex
    say {13, 10}
    ret
section .rodata
.hyperv: db "Hyper-V interface", 0
.kvm: db "KVM interface", 0
.xen: db "Xen interface", 0
.switch: db "bare world switch", 0
.bare: db "no hypervisor", 0
section .text

enable_interrupts:
    mov al, 0xFF                ; a firmware may have left the legacy interrupt controllers' timer running
    out 0x21, al
    out 0xA1, al
    mov eax, VECTOR_XAPIC
    mov edx, xapic_interrupt
    call set_gate
    mov eax, VECTOR_X2APIC
    mov edx, x2apic_interrupt
    ; falls through

; Vector eax leads to edx.
set_gate:
    mov [idt + eax * 8], dx
    shr edx, 16
    mov [idt + eax * 8 + 6], dx
    ret

align 16
xapic_interrupt:
    inc dword [interrupts]
    mov dword [APIC_PAGE + 0xB0], 0
    iretd

align 16
x2apic_interrupt:
    inc dword [interrupts]
    push eax
    push ecx
    push edx
    write_msr X2APIC_EOI, 0
    pop edx
    pop ecx
    pop eax
    iretd

; ---- the operations; setting one up counts, a few instructions of the guest's own

measure_processor:
    measure "cpuid"
    xor eax, eax
    cpuid
    measured
    measure "cpuid-hypervisor"
    mov eax, 0x40000000
    cpuid
    measured
    measure "rdmsr-efer"
    mov ecx, EFER
    rdmsr
    measured
    ret

measure_hypercall:
    cmp dword [kind], KIND_HYPERV
    je .page
    cmp dword [kind], KIND_NONE
    je .skip
    measure "hypercall-unknown"
    mov eax, UNKNOWN_CALL
    vmmcall
    measured
    ret
.page:
    write_msr HV_GUEST_OS_ID, 1
    write_msr HV_HYPERCALL, hypercall_page + 1
    measure "hypercall-unknown"
    xor edx, edx
    mov eax, UNKNOWN_CALL
    call hypercall_page
    measured
    ret
.skip:
    say_line "SKIP hypercall-unknown no hypervisor"
    ret

measure_ports:
    measure "in-no-device"
    mov dx, NO_DEVICE
    in al, dx
    measured
    cmp dword [kind], KIND_XEN
    je .skip
    measure "in-uart"
    mov dx, LINE_STATUS
    in al, dx
    measured
    ret
.skip:
    say_line "SKIP in-uart a PVH domain has no device model"
    ret

; The bare world switch has no memory of the guest's that is not there.
measure_memory:
    mov esi, FRESH_PAGES
    measure "page-first-touch"
    mov dword [esi], 1
    measured [empty], add esi, 4096
    ret

measure_xapic:
    write_msr APIC_BASE, APIC_PAGE + APIC_ENABLED
    mov dword [XAPIC_SPURIOUS], 0x1FF
    measure "apic-page-read"
    mov eax, [XAPIC_VERSION]
    measured
    mov dword [XAPIC_ICR_HIGH], 0
    measure "self-ipi-page"
    mov dword [XAPIC_ICR_LOW], TO_SELF + VECTOR_XAPIC
    sti
    nop
    cli
    measured
    ret

measure_x2apic:
    test dword [features], 1 << 21
    jnz .present
    say_line "SKIP x2apic the processor has none"
    ret
.present:
    write_msr APIC_BASE, APIC_PAGE + APIC_ENABLED + X2APIC_ENABLED
    write_msr X2APIC_SPURIOUS, 0x1FF
    measure "wrmsr-eoi"
    write_msr X2APIC_EOI, 0
    measured
    measure "self-ipi"
    write_msr X2APIC_SELF_IPI, VECTOR_X2APIC
    sti
    nop
    cli
    measured
    call measure_timer
    ret

; One-shot, by the local APIC: every hypervisor here has that one.
measure_timer:
    write_msr X2APIC_DIVIDE, DIVIDE_BY_1
    write_msr X2APIC_LVT_TIMER, MASKED + VECTOR_X2APIC
    call find_rate
    write_msr X2APIC_LVT_TIMER, VECTOR_X2APIC
    measure "timer-arm"
    write_msr X2APIC_INITIAL, 0xFFFFFFF0
    measured
    ; Due at once: nothing is slept, every tick is an instruction of somebody's.
    measure "timer-hlt"
    write_msr X2APIC_INITIAL, 1
    sti
    hlt
    cli
    measured
    ; Asleep until then; what is over the time asked for counts.
    mov eax, [empty]
    add eax, SLEEP
    mov [slept], eax
    measure "hlt-wake"
    write_msr X2APIC_INITIAL, [sleep_count]
    sti
    hlt
    cli
    measured [slept]
    ret

; sleep_count = the timer's ticks in SLEEP ticks of the TSC, from a rate that is a whole number of ticks in 1000 (a microsecond).
find_rate:
    write_msr X2APIC_INITIAL, -1
    rdtsc
    mov edi, eax
    mov ecx, X2APIC_CURRENT
    rdmsr
    mov esi, eax
.wait:
    rdtsc
    sub eax, edi
    cmp eax, CALIBRATION
    jb .wait
    mov ecx, X2APIC_CURRENT
    rdmsr
    sub esi, eax
    rdtsc
    sub eax, edi
    mov ecx, 1000
    xor edx, edx
    div ecx
    mov ecx, eax                ; microseconds
    mov eax, ecx
    shr eax, 1
    add eax, esi
    xor edx, edx
    div ecx
    say "TIMER "
    call put_decimal
    say_line " ticks in 1000 of the TSC"
    mov ecx, SLEEP / 1000
    mul ecx
    mov [sleep_count], eax
    ret

; ---- results

; Ascending, by insertion.
sort_samples:
    mov ecx, 1
.next:
    mov eax, [samples + ecx * 4]
    mov edx, ecx
.sift:
    cmp [samples + edx * 4 - 4], eax
    jle .place
    mov ebx, [samples + edx * 4 - 4]
    mov [samples + edx * 4], ebx
    dec edx
    jnz .sift
.place:
    mov [samples + edx * 4], eax
    inc ecx
    cmp ecx, ROUNDS
    jb .next
    ret

; Least and median; ends the line.
put_cost:
    mov eax, [samples]
    call put_signed
    say " "
    mov eax, [samples + ROUNDS / 2 * 4]
    call put_signed
    say {13, 10}
    ret

; A wake before its time would be negative.
put_signed:
    test eax, eax
    jns put_decimal
    say "-"
    neg eax
    jmp put_decimal

section .bss
                alignb 4
samples:        resd ROUNDS
empty:          resd 1
slept:          resd 1
sleep_count:    resd 1
kind:           resd 1
features:       resd 1
started:        resd 2
section .text
