#!/usr/bin/env bash
# Builds for CUDA, and measures on a machine with a GPU of Nvidia's.
#
#   bash .ci/cuda.sh build      the examples `parity` and `throughput`; needs no GPU
#   bash .ci/cuda.sh measure    parity of the recorded cases on the GPU, then steps and embeddings
#                               beside PyTorch's (torch and torchvision in `PYTHON`)
#
# CUDA's compiler comes from PyPI where `nvcc` is missing, into `target/cuda`. Variables:
# CUDA_COMPUTE_CAP (default 90), BATCH (images per step, default 128), DEVICE (default cuda:0),
# GOLDEN (default tests/golden), PYTHON (default python3).
set -euo pipefail
cd "$(dirname "$0")/.."

install_compiler() {
    local venv=target/cuda/venv
    if [ ! -d "$venv" ]; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet 'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-runtime==13.0.*' \
            'nvidia-cuda-crt==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-nvrtc==13.0.*' \
            nvidia-cuda-cccl nvidia-cublas nvidia-curand
    fi
    CUDA_HOME=$(echo "$PWD/$venv"/lib/python3*/site-packages/nvidia/cu13)
    # The linker looks for names without versions.
    local library
    for library in cudart cublas cublasLt curand nvrtc; do
        ln -sf "$(basename "$CUDA_HOME/lib/lib$library".so.*)" "$CUDA_HOME/lib/lib$library.so"
    done
    export CUDA_HOME CUDA_PATH=$CUDA_HOME CUDA_ROOT=$CUDA_HOME PATH=$CUDA_HOME/bin:$PATH
    export LIBRARY_PATH=$CUDA_HOME/lib LD_LIBRARY_PATH=$CUDA_HOME/lib
}

# The driver's library is part of the driver; without one the programs are linked all the same, and
# do not run.
link_without_driver() {
    mkdir -p target/cuda/stub
    cc -shared -x c /dev/null -o target/cuda/stub/libcuda.so
    link=(-L "$PWD/target/cuda/stub" -C link-arg=-Wl,--unresolved-symbols=ignore-all)
}

build() {
    local link=() package
    export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
    command -v nvcc >/dev/null || install_compiler
    ldconfig -p | grep -q 'libcuda\.so' || link_without_driver
    # Both crates, so that the features are the same, and are compiled once.
    for package in simclr:throughput simclr-parity:parity; do
        cargo rustc --release --locked -p "${package%:*}" --features simclr-kernels/cuda \
            --example "${package#*:}" -- "${link[@]}"
    done
}

measure() {
    local device=${DEVICE:-cuda:0} batch=${BATCH:-128} ours=target/cuda/throughput.txt
    mkdir -p target/cuda
    target/release/examples/parity --golden "${GOLDEN:-tests/golden}" --device "$device"
    target/release/examples/throughput --device "$device" --batch "$batch" step embed ntxent |
        tee "$ours"
    "${PYTHON:-python3}" benches/peer.py --device "$device" --batch "$batch" --against "$ours"
}

case ${1:-} in
build) build ;;
measure)
    build
    measure
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
