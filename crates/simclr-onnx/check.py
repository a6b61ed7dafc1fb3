"""Compares networks of every architecture with onnxruntime.

    pip install numpy safetensors onnx onnxruntime
    cargo run --release -p simclr-onnx --example networks_for_onnxruntime -- target/onnx
    python crates/simclr-onnx/check.py target/onnx
"""

import pathlib
import sys

import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file

TOLERANCE = 1e-4

worst = 0.0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    onnx.checker.check_model(str(path), full_check=True)
    expected = load_file(path.with_suffix(".safetensors"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert set(names) == set(expected) - {"images"}, names
    outputs = session.run(names, {"images": expected["images"]})
    for name, output in zip(names, outputs):
        # Relative to the largest value.
        scale = max(1.0, numpy.abs(expected[name]).max())
        difference = float(numpy.abs(output - expected[name]).max() / scale)
        print(f"{path.stem:16} {name:15} {difference:.1e}")
        worst = max(worst, difference)
print(f"largest difference {worst:.1e}")
sys.exit(worst > TOLERANCE)
