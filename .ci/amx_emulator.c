/* AMX-TILE and AMX-BF16 in software, for tests on Linux where the processor has neither.
 *
 *     gcc -O2 -ffp-contract=off -shared -fPIC -o amx_emulator.so amx_emulator.c -lm
 *     LD_PRELOAD=./amx_emulator.so ./test
 *
 * Each instruction of AMX raises SIGILL; the handler does what Intel's Software Developer's Manual
 * says of it and goes on behind it. Permission is given to whoever asks for it as Linux wants,
 * and nobody else. Anything unexpected ends the process: an instruction without permission, without
 * a configuration, or with a tile that is none of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} configuration;

static volatile int permitted;
static __thread configuration config;
static __thread uint8_t tiles[TILES][ROWS][ROW_BYTES];

static void fail(const char *what) {
    if (write(2, "AMX emulator: ", 14) < 0 || write(2, what, strlen(what)) < 0 || write(2, "\n", 1) < 0) {}
    signal(SIGILL, SIG_DFL);
    raise(SIGILL);
    _exit(132);
}

/* DAZ and FTZ, whatever the mode of the processor. */
static float flushed(float x) { return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x; }

static float number(const uint8_t *bytes) {
    uint32_t bits = (uint32_t)(bytes[0] | bytes[1] << 8) << 16;
    float x;
    memcpy(&x, &bits, 4);
    return flushed(x);
}

static void tdpbf16ps(int target, int left, int right) {
    if (target == left || target == right || left == right) fail("TDPBF16PS of equal tiles");
    int rows = config.rows[target], columns = config.row_bytes[target] / 4;
    int pairs = config.row_bytes[left] / 4;
    if (config.rows[left] != rows || config.row_bytes[right] / 4 != columns || config.rows[right] != pairs)
        fail("TDPBF16PS of tiles that do not fit");
    for (int m = 0; m < rows; m++) {
        float terms[2 * ROWS] = {0};
        for (int k = 0; k < pairs; k++)
            for (int n = 0; n < columns; n++)
                for (int odd = 0; odd < 2; odd++)
                    terms[2 * n + odd] = flushed(fmaf(number(&tiles[left][m][4 * k + 2 * odd]),
                                                      number(&tiles[right][k][4 * n + 2 * odd]),
                                                      terms[2 * n + odd]));
        for (int n = 0; n < columns; n++) {
            float sum;
            memcpy(&sum, &tiles[target][m][4 * n], 4);
            sum = flushed(flushed(sum) + flushed(terms[2 * n] + terms[2 * n + 1]));
            memcpy(&tiles[target][m][4 * n], &sum, 4);
        }
    }
}

static void load_configuration(const uint8_t *from) {
    memcpy(&config, from, sizeof config);
    memset(tiles, 0, sizeof tiles);
    if (config.palette > 1 || config.start_row != 0) fail("a configuration of another kind");
    for (int i = 0; i < 14; i++)
        if (config.reserved[i]) fail("a configuration with reserved bytes");
    for (int i = 0; i < 16; i++)
        if (config.row_bytes[i] > (i < TILES ? ROW_BYTES : 0) || config.rows[i] > (i < TILES ? ROWS : 0))
            fail("a configuration of larger tiles");
}

/* Registers in the order of their numbers. */
static const int GENERAL[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void emulate(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)registers[REG_RIP];
    /* VEX.128.{NP, 66, F3, F2}.0F38.W0 */
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x84) != 0) fail("not an instruction of AMX");
    if (!permitted) fail("an instruction without permission");
    int prefix = code[2] & 3, third = ~(code[2] >> 3) & 15, opcode = code[3], modrm = code[4];
    int mode = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7, length = 5;
    int index = 0;
    const uint8_t *address = 0;
    if (mode != 3) {
        int base = rm;
        if (rm == 4) {
            int sib = code[length++];
            base = sib & 7;
            int number = (sib >> 3 & 7) | (code[1] & 0x40 ? 0 : 8);
            index = number == 4 ? -1 : (sib >> 6) << 4 | number;
        } else if (opcode == 0x4b) {
            fail("tile memory without a stride");
        }
        if (mode == 0 && base == 5) {
            /* Relative to the next instruction, without a SIB byte; absolute with one. */
            int32_t displacement;
            memcpy(&displacement, code + length, 4);
            length += 4;
            address = rm == 5 ? code + length + displacement : (uint8_t *)(intptr_t)displacement;
        } else {
            int32_t displacement = 0;
            if (mode == 1) displacement = (int8_t)code[length], length += 1;
            if (mode == 2) memcpy(&displacement, code + length, 4), length += 4;
            address = (uint8_t *)registers[GENERAL[base | (code[1] & 0x20 ? 0 : 8)]] + displacement;
        }
    }
    int64_t stride = index < 0 ? 0 : registers[GENERAL[index & 15]] << (index >> 4);
    if (opcode == 0x49 && mode != 3 && reg == 0 && prefix == 0) {
        load_configuration(address);
    } else if (opcode == 0x49 && modrm == 0xc0 && prefix == 0) {
        memset(&config, 0, sizeof config);
        memset(tiles, 0, sizeof tiles);
    } else {
        if (config.palette == 0) fail("an instruction without a configuration");
        if (!config.rows[reg] || !config.row_bytes[reg]) fail("a tile that is not configured");
        if (opcode == 0x49 && mode == 3 && rm == 0 && prefix == 3) {
            memset(tiles[reg], 0, sizeof tiles[reg]);
        } else if (opcode == 0x4b && mode != 3 && (prefix == 3 || prefix == 1)) {
            memset(tiles[reg], 0, sizeof tiles[reg]);
            for (int row = 0; row < config.rows[reg]; row++)
                memcpy(tiles[reg][row], address + row * stride, config.row_bytes[reg]);
        } else if (opcode == 0x4b && mode != 3 && prefix == 2) {
            for (int row = 0; row < config.rows[reg]; row++)
                memcpy((uint8_t *)address + row * stride, tiles[reg][row], config.row_bytes[reg]);
        } else if (opcode == 0x5c && mode == 3 && prefix == 2) {
            tdpbf16ps(reg, rm, third);
        } else {
            fail("an instruction that is not emulated");
        }
    }
    registers[REG_RIP] += length;
}

/* The system's calls, but for the one that asks for tile data. */
long syscall(long call, ...) {
    va_list arguments;
    va_start(arguments, call);
    long a = va_arg(arguments, long), b = va_arg(arguments, long), c = va_arg(arguments, long);
    register long d __asm__("r10") = va_arg(arguments, long);
    register long e __asm__("r8") = va_arg(arguments, long);
    register long f __asm__("r9") = va_arg(arguments, long);
    va_end(arguments);
    if (call == SYS_arch_prctl && a == ARCH_REQ_XCOMP_PERM && b == XFEATURE_XTILEDATA) {
        permitted = 1;
        return 0;
    }
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(call), "D"(a), "S"(b), "d"(c), "r"(d), "r"(e), "r"(f)
                     : "rcx", "r11", "memory");
    if (result < 0 && result > -4096) {
        errno = -result;
        return -1;
    }
    return result;
}

__attribute__((constructor)) static void begin(void) {
    struct sigaction action = {.sa_sigaction = emulate, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGILL, &action, 0);
}
