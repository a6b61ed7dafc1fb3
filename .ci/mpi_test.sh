#!/usr/bin/env bash
# Runs the MPI form with two and four ranks on this machine, and fails unless all of it holds.
# Installs Open MPI and libclang where apt-get can.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v mpicc >/dev/null; then
    apt=(apt-get)
    if [ "$(id -u)" != 0 ]; then apt=(sudo apt-get); fi
    "${apt[@]}" update -q
    "${apt[@]}" install -q -y libopenmpi-dev openmpi-bin libclang-dev
fi

# More ranks than cores, and as root in containers.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
launch() { timeout 600 mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -n "$@"; }

out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

cargo build --release --locked --workspace --features simclr/mpi \
    --example pretrain_mpi --example mpi_checks
checks=target/release/examples/mpi_checks
pretrain=(target/release/examples/pretrain_mpi --resnet-depth 18 --image-size 16
    --train-batch-size 16 --synthetic-images 160 --seed 5)

for ranks in 2 4; do
    launch $ranks $checks collectives
    launch $ranks $checks golden
    launch $ranks $checks mismatch
    for fault in panic leave; do
        begin=$SECONDS
        if launch $ranks $checks $fault >"$out/log" 2>&1; then fail "$fault: status 0"; fi
        if grep -q "came through" "$out/log"; then fail "$fault: $(cat "$out/log")"; fi
        if ((SECONDS - begin > 20)); then fail "$fault: $((SECONDS - begin)) s"; fi
    done
    echo "$ranks ranks: a panic and a rank that leaves end all"
done

# 50 steps: MPI equals threads and itself to the bit, and one rank to rounding.
"${pretrain[@]}" --train-steps 50 --model-dir "$out/1"
for ranks in 2 4; do
    for run in a b; do
        launch $ranks "${pretrain[@]}" --train-steps 50 --model-dir "$out/$ranks$run"
    done
    "${pretrain[@]}" --train-steps 50 --threads-as-ranks $ranks --model-dir "$out/${ranks}threads"
    for other in b threads; do
        for file in metrics.csv model.safetensors; do
            cmp "$out/${ranks}a/$file" "$out/$ranks$other/$file" || fail "$ranks ranks: $file differs"
        done
    done
    python3 - "$out/1/metrics.csv" "$out/${ranks}a/metrics.csv" <<'PYTHON'
import csv, sys
one, several = ([float(row["contrast_loss"]) for row in csv.DictReader(open(path))] for path in sys.argv[1:])
gaps = [abs(a - b) / a for a, b in zip(one, several)]
print(f"against one rank, relative gaps of the loss: first {gaps[0]:.1e}, largest {max(gaps):.1e}")
assert len(gaps) == 50 and gaps[0] < 1e-6 and max(gaps) < 0.05, gaps
PYTHON
done

# Different settings are refused, and no folder is made.
if launch 1 "${pretrain[@]}" --train-steps 5 --model-dir "$out/differ" \
    : -n 1 "${pretrain[@]}" --train-steps 6 --model-dir "$out/differ" >"$out/log" 2>&1; then
    fail "different settings: status 0"
fi
grep -q "config.schedule.steps was 5, is 6" "$out/log" || fail "$(cat "$out/log")"
[ ! -e "$out/differ" ] || fail "different settings: a folder was made"

# A killed rank ends all within seconds, what is on the disk is whole, and the run goes on from it.
for victim in 0 1; do
    dir="$out/killed$victim"
    settings=("${pretrain[@]}" --train-steps 60 --model-dir "$dir")
    launch 2 "${settings[@]}" >"$out/log" 2>&1 &
    launcher=$!
    until [ -n "$(ls "$dir"/checkpoints/step-* 2>/dev/null)" ]; do
        kill -0 $launcher 2>/dev/null || fail "ended early: $(cat "$out/log")"
        sleep 0.2
    done
    process=$(pgrep -f -- "--model-dir $dir\$" | while read -r pid; do
        if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$victim"; then
            echo "$pid"
        fi
    done)
    begin=$SECONDS
    kill -KILL "$process"
    if wait $launcher; then fail "rank $victim killed: status 0"; fi
    if ((SECONDS - begin > 10)); then fail "rank $victim killed: $((SECONDS - begin)) s"; fi
    if pgrep -f -- "--model-dir $dir\$" >/dev/null; then fail "rank $victim killed: others live"; fi
    launch 4 "${settings[@]}" >/dev/null
    [ -e "$dir/result.json" ] || fail "rank $victim killed: the run did not go on"
    echo "rank $victim killed: all ended, and four ranks went on"
done
echo "MPI: everything holds"
