#!/usr/bin/env bash
# Builds for CUDA, tests without a GPU, and measures on a machine with GPUs of Nvidia's.
#
#   bash .ci/cuda.sh build      the program, `parity`, `throughput` and `nccl_checks`; needs no GPU
#   bash .ci/cuda.sh test       all of them on stand-ins for CUDA's libraries that compute on the CPU
#   bash .ci/cuda.sh measure    parity of the recorded cases on the GPU, then steps and embeddings
#                               beside PyTorch's (torch and torchvision in `PYTHON`); NCCL, if there
#                               is more than one GPU
#
# CUDA's compiler and libraries come from PyPI where `nvcc` is missing, into `target/cuda`. Variables:
# CUDA_COMPUTE_CAP (default 90), BATCH (images per step, default 128), DEVICE (default cuda:0),
# GOLDEN (default tests/golden), PYTHON (default python3).
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/cuda/venv

install() {
    [ -d "$venv" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "$@"
}

find_compiler() {
    command -v nvcc >/dev/null && return
    [ -d "$venv" ] || install 'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-runtime==13.0.*' \
        'nvidia-cuda-crt==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-nvrtc==13.0.*' \
        nvidia-cuda-cccl nvidia-cublas nvidia-curand
    CUDA_HOME=$(echo "$PWD/$venv"/lib/python3*/site-packages/nvidia/cu13)
    # The linker looks for names without versions.
    local library
    for library in cudart cublas cublasLt curand nvrtc; do
        ln -sf "$(basename "$CUDA_HOME/lib/lib$library".so.*)" "$CUDA_HOME/lib/lib$library.so"
    done
    export CUDA_HOME CUDA_PATH=$CUDA_HOME CUDA_ROOT=$CUDA_HOME PATH=$CUDA_HOME/bin:$PATH
    export LIBRARY_PATH=$CUDA_HOME/lib LD_LIBRARY_PATH=$CUDA_HOME/lib
}

# The driver's library is part of the driver, and cuDNN and NCCL may be missing; without one of them
# programs are linked all the same, and do not run.
link_without_libraries() {
    local library stubs=$PWD/target/cuda/stubs missing=
    mkdir -p "$stubs"
    for library in cuda cudnn nccl; do
        ldconfig -p | grep -q "lib$library\.so" && continue
        cc -shared -x c /dev/null -o "$stubs/lib$library.so"
        missing=yes
    done
    [ -n "$missing" ] || return 0
    printf '#!/bin/sh\nexec cc "$@" -L"%s" -Wl,--unresolved-symbols=ignore-all\n' "$stubs" >target/cuda/cc
    chmod +x target/cuda/cc
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=$PWD/target/cuda/cc
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$stubs
}

# In a folder of its own, since dependencies are compiled with other features.
export CARGO_TARGET_DIR=$PWD/target/cuda/build
programs=$CARGO_TARGET_DIR/release

build() {
    export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
    find_compiler
    link_without_libraries
    cargo build --release --locked -p simclr -p simclr-cli -p simclr-parity -p simclr-nccl \
        --features simclr/cudnn,simclr-nccl/nccl --bin simclr \
        --example throughput --example parity --example nccl_checks
}

# Nothing but the stand-ins computes what `--device cuda` asks for: a kernel, or a call of a library,
# that they do not know ends the test.
emulated() {
    LD_PRELOAD=$PWD/target/cuda/emulator.so "$@"
}

check() {
    local precision device bound
    g++ -O3 -std=c++17 -Wall -Wextra -shared -fPIC -o target/cuda/emulator.so .ci/cuda_emulator.cpp
    out=$(mktemp -d)
    trap 'rm -r "$out"' EXIT
    for ranks in 2 4; do emulated "$programs/examples/nccl_checks" $ranks; done
    emulated "$programs/examples/parity" --golden "${GOLDEN:-tests/golden}" --device cuda:0
    python3 .ci/small_images.py "$out/images"
    # A training and what uses its network, on the CPU and on the stand-ins.
    for precision in single mixed; do
        export SIMCLR_PRECISION=$precision
        for device in cpu cuda:0; do
            local run="$out/$precision-$device" program=(emulated "$programs/simclr" --quiet)
            local at=(--image-size 16 --device "$device")
            "${program[@]}" pretrain "$out/images" --model-dir "$run" --resnet-depth 18 --stem cifar \
                --train-batch-size 4 --train-epochs 1 "${at[@]}"
            "${program[@]}" embed --checkpoint "$run/model.safetensors" --image-dir "$out/images" \
                --out "$run/features.safetensors" "${at[@]}"
            "${program[@]}" probe --encoder "$run/model.safetensors" --labels "$out/images" \
                --out "$run/classifier.safetensors" --train-fraction 0.5 --validation-fraction 0.25 "${at[@]}"
            "${program[@]}" predict "$out/images" --classifier "$run/classifier.safetensors" \
                --out "$run/predictions.csv" --device "$device"
            "${program[@]}" explain "$out/images" --classifier "$run/classifier.safetensors" \
                --out "$run/explained" --most 1 --cells 2 --device "$device"
            "${program[@]}" finetune --checkpoint "$run/model.safetensors" --labels "$out/images" \
                --model-dir "$run/finetuned" --out "$run/finetuned.safetensors" --train-epochs 1 \
                --train-batch-size 4 --train-fraction 0.5 --validation-fraction 0.25 "${at[@]}"
        done
        # Sums in another order; in mixed precision also rounding, which a step more than doubles.
        bound=1e-5
        [ "$precision" = single ] || bound=2e-2
        python3 - "$out/$precision-cpu/metrics.csv" "$out/$precision-cuda:0/metrics.csv" $bound <<'PYTHON'
import csv, sys
cpu, gpu = ([float(row["contrast_loss"]) for row in csv.DictReader(open(path))] for path in sys.argv[1:3])
gap = max(abs(a - b) / a for a, b in zip(cpu, gpu))
print(f"losses of {len(cpu)} steps differ by {gap:.1e} from those of the CPU")
assert len(cpu) == len(gpu) == 3 and gap < float(sys.argv[3]), (cpu, gpu)
PYTHON
    done
    echo "CUDA on stand-ins: everything holds"
}

measure() {
    local device=${DEVICE:-cuda:0} batch=${BATCH:-128} ours=target/cuda/throughput.txt gpus
    "$programs/examples/parity" --golden "${GOLDEN:-tests/golden}" --device "$device"
    "$programs/examples/throughput" --device "$device" --batch "$batch" step embed ntxent | tee "$ours"
    "$programs/examples/throughput" --device "$device" --batch "$batch" --precision mixed step embed |
        tee target/cuda/throughput-mixed.txt
    "${PYTHON:-python3}" benches/peer.py --device "$device" --batch "$batch" --against "$ours"
    gpus=$(nvidia-smi --list-gpus | wc -l)
    if [ "$gpus" -gt 1 ]; then "$programs/examples/nccl_checks" "$gpus"; fi
}

# cuDNN and NCCL to run with, beside a compiler from PyPI.
find_libraries() {
    find_compiler
    [ -d "$venv" ] || return 0
    install nvidia-cudnn-cu13 nvidia-nccl-cu13
    local name folder
    for name in cudnn nccl; do
        folder=$(echo "$PWD/$venv"/lib/python3*/site-packages/nvidia/$name/lib)
        ln -sf "$(basename "$folder/lib$name".so.*)" "$folder/lib$name.so"
        export LIBRARY_PATH=$folder:${LIBRARY_PATH:-}
        export LD_LIBRARY_PATH=$folder:${LD_LIBRARY_PATH:-}
    done
}

case ${1:-} in
build) build ;;
test)
    build
    check
    ;;
measure)
    find_libraries
    build
    measure
    ;;
*)
    sed -n '2,14s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
