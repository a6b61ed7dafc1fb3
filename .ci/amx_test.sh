#!/usr/bin/env bash
# Products of bfloat16 by AMX against their twin, bit for bit: by the processor if it has AMX,
# otherwise in software. Needs Linux on x86-64, and gcc where the processor has no AMX.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of the whole workspace, whose features the compiled dependencies have.
test=(cargo test --release --locked --workspace --lib amx)
"${test[@]}" --no-run
if grep -qw amx_bf16 /proc/cpuinfo; then
    "${test[@]}" -- --include-ignored
else
    emulator="$PWD/target/amx_emulator.so"
    gcc -O2 -Wall -Wextra -shared -fPIC -ffp-contract=off -o "$emulator" .ci/amx_emulator.c -lm
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="env AMX_EMULATED=1 LD_PRELOAD=$emulator"
    "${test[@]}" -- --include-ignored
fi
