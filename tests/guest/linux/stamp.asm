; image: elf64 guest-stamp start 0x400000
; A Linux program without libraries: says what the TSC is. As init of a guest, it says so in the first instructions of user space.
; First letter of its first argument: "t" says "TSC N" and ends; "r" says "USERSPACE N" and restarts the machine; anything else, or no
; argument, says "USERSPACE N" and sleeps for ever. N is hexadecimal. Where it may, it writes to Xen's debug port, too.
bits 64

SYS_WRITE       equ 1
SYS_PAUSE       equ 34
SYS_EXIT        equ 60
SYS_REBOOT      equ 169
SYS_IOPL        equ 172
RESTART         equ 0x01234567
REBOOT_MAGIC_1  equ 0xFEE1DEAD
REBOOT_MAGIC_2  equ 672274793
DEBUG_CONSOLE   equ 0xE9

section .text
global start
start:
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov r12, rax
    mov r13d, "s"
    cmp qword [rsp], 2
    jb .chosen
    mov rsi, [rsp + 16]
    movzx r13d, byte [rsi]
.chosen:
    mov rbx, line.number + 15
    mov ecx, 16
.digit:
    mov edx, r12d
    and edx, 15
    mov dl, [digits + rdx]
    mov [rbx], dl
    dec rbx
    shr r12, 4
    loop .digit
    cmp r13d, "t"
    je .time
    mov rsi, line
    mov edx, line.end - line
    call put
    cmp r13d, "r"
    jne .sleep
    mov eax, SYS_REBOOT
    mov edi, REBOOT_MAGIC_1
    mov esi, REBOOT_MAGIC_2
    mov edx, RESTART
    syscall
.sleep:
    mov eax, SYS_PAUSE
    syscall
    jmp .sleep
.time:
    mov dword [line.tsc], "TSC "
    mov rsi, line.tsc
    mov edx, line.end - line.tsc
    call put
    mov eax, SYS_EXIT
    xor edi, edi
    syscall

; rsi = text, edx = its length
put:
    mov eax, SYS_WRITE
    mov edi, 1
    syscall
    mov r14, rdx
    mov r15, rsi
    mov eax, SYS_IOPL
    mov edi, 3
    syscall
    test rax, rax
    jnz .done
    mov rsi, r15
    mov rcx, r14
    mov dx, DEBUG_CONSOLE
    rep outsb
.done:
    ret

section .data
digits:     db "0123456789ABCDEF"
line:       db "USERSP"
.tsc:       db "ACE "
.number:    db "0000000000000000", 10
.end:
