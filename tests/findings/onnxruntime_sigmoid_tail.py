"""onnxruntime: in float32, Sigmoid, LSTM and GRU have a sigmoid that is accurate relative to 1 alone, and 0 below -18.

Needs only NumPy, ONNX and ONNX Runtime. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnxruntime 1.32.0 on CPU, by the sweep that compares an adapter's sigmoid with certified enclosures.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

x = np.array([-5, -10, -15, -17, -20, -40], np.float32)
info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("X", "Y")]
graph = helper.make_graph([helper.make_node("Sigmoid", ["X"], ["Y"])], "graph", info[:1], info[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
(actual,) = session.run(None, {"X": x})
expected = 1 / (1 + np.exp(-x.astype(np.float64)))
for argument, right, found in zip(x, expected, actual, strict=True):
    print(f"sigmoid({argument:g}): expected {right:.8g}, got {found:.8g}")
wrong = np.any(np.abs(actual / expected - 1) > 1e-3)
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
