; Where a Multiboot2 loader enters: the header, the way from 32-bit protected mode to long mode, and into C#.
; Multiboot2 Specification 2.0, "OS image format" and "Machine state"; SDM 3A, "Initializing IA-32e Mode".
default rel

global multiboot2_entry32, multiboot2_address_tag
extern multiboot2_main, __ImageBase

MULTIBOOT2_MAGIC     equ 0xE85250D6
ARCHITECTURE_I386    equ 0
TAG_END              equ 0
TAG_INFORMATION      equ 1
TAG_ADDRESS          equ 2
TAG_ENTRY_ADDRESS    equ 3
TAG_CONSOLE_FLAGS    equ 4
TAG_FRAMEBUFFER      equ 5
TAG_MODULE_ALIGNMENT equ 6
OPTIONAL             equ 1
EGA_TEXT_SUPPORTED   equ 2
INFORMATION_MODULES  equ 3
INFORMATION_MEMORY_MAP equ 6

PAGE             equ 4096
STACK_BYTES      equ 64 * 1024
PRESENT_WRITABLE equ 3
LARGE            equ 0x80
CR4_PAE_SSE      equ 0x620
CR0_START        equ 0x80010033    ; PG, WP, NE, ET, MP, PE
MSR_EFER         equ 0xC0000080
EFER_LME         equ 0x100
EFLAGS_ID        equ 1 << 21
EDX_LONG_MODE    equ 1 << 29
COM1             equ 0x3F8
LINE_STATUS      equ COM1 + 5
TRANSMITTER_HOLDING_REGISTER_EMPTY equ 0x20
VGA_TEXT         equ 0xB8000

bits 32
section .text
align 8
multiboot2_header:
    dd MULTIBOOT2_MAGIC, ARCHITECTURE_I386, .end - multiboot2_header, -(MULTIBOOT2_MAGIC + ARCHITECTURE_I386 + (.end - multiboot2_header))
.information:
    dw TAG_INFORMATION, 0
    dd .address - .information, INFORMATION_MEMORY_MAP, INFORMATION_MODULES
align 8
.address:
    dw TAG_ADDRESS, 0
    dd 24
    dd multiboot2_header, __ImageBase, 0, 0    ; the build fills in where the file and the zeroed memory end
.entry:
    dw TAG_ENTRY_ADDRESS, 0
    dd 12
    dd multiboot2_entry32
align 8
.console:                                      ; a loader told to leave the screen in text mode may
    dw TAG_CONSOLE_FLAGS, 0
    dd 12
    dd EGA_TEXT_SUPPORTED
align 8
.framebuffer:                                  ; a framebuffer is welcome, not required
    dw TAG_FRAMEBUFFER, OPTIONAL
    dd 20
    dd 1024, 768, 32
align 8
.module_alignment:
    dw TAG_MODULE_ALIGNMENT, 0
    dd 8
.last:
    dw TAG_END, 0
    dd 8
.end:

multiboot2_entry32:
    cli
    cld
    mov esp, stack_top
    mov edi, eax
    mov ebp, ebx
    call has_long_mode
    jz no_long_mode
    ; PML4 -> page-directory pointers -> four directories of 2 MiB pages: the first 4 GiB, one to one. All that a Multiboot2
    ; loader passes lies there.
    mov dword [pml4], pointers + PRESENT_WRITABLE
    mov eax, directories + PRESENT_WRITABLE
    mov ecx, 4
    mov ebx, pointers
.pointer:
    mov [ebx], eax
    add eax, PAGE
    add ebx, 8
    loop .pointer
    mov eax, LARGE | PRESENT_WRITABLE
    mov ecx, 4 * 512
    mov ebx, directories
.large_page:
    mov [ebx], eax
    add eax, 2 << 20
    add ebx, 8
    loop .large_page
    mov eax, CR4_PAE_SSE
    mov cr4, eax
    mov eax, pml4
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, CR0_START
    mov cr0, eax
    lgdt [gdt_operand]
    jmp dword 0x08:start64

; ZF = 1: there is no long mode. The processor may be older than CPUID.
has_long_mode:
    pushfd
    pop eax
    mov ecx, eax
    xor eax, EFLAGS_ID
    push eax
    popfd
    pushfd
    pop eax
    xor eax, ecx
    test eax, EFLAGS_ID
    jz .done
    mov eax, 0x80000000
    cpuid
    xor edx, edx
    cmp eax, 0x80000001
    jb .judge
    mov eax, 0x80000001
    cpuid
.judge:
    test edx, EDX_LONG_MODE
.done:
    ret

; No C# runs on such a processor: its line goes to COM1 and to the text screen from here.
no_long_mode:
    mov esi, message
    mov edi, VGA_TEXT
.character:
    lodsb
    test al, al
    jz .stop
    mov bl, al
    cmp al, ' '
    jb .serial
    mov ah, 0x07
    stosw
.serial:
    mov ecx, 100000     ; no UART: every read says that it is ready, or none does
    mov dx, LINE_STATUS
.wait:
    in al, dx
    test al, TRANSMITTER_HOLDING_REGISTER_EMPTY
    loopz .wait
    mov dx, COM1
    mov al, bl
    out dx, al
    jmp .character
.stop:
    hlt
    jmp .stop

bits 64
start64:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    lea rsp, [stack_top]
    fninit
    mov ecx, edi        ; what the loader left in EAX and EBX
    mov edx, ebp
    xor ebp, ebp
    sub rsp, 32
    call multiboot2_main
.forever:
    cli
    hlt
    jmp .forever

multiboot2_address_tag:
    lea rax, [multiboot2_header.address]
    ret

section .rdata rdata align=8
gdt:
    dq 0
    dq 0x00AF9B000000FFFF       ; 0x08 code, 64 bit
    dq 0x00CF93000000FFFF       ; 0x10 data
gdt_operand:
    dw $ - gdt - 1
    dd gdt
message: db "boot: require long mode (CPUID 80000001 EDX bit 29): MISSING", 13, 10, 0

section .bss bss align=4096
pml4:        resb PAGE
pointers:    resb PAGE
directories: resb 4 * PAGE
             resb STACK_BYTES
stack_top:
