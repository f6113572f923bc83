"""onnxruntime: without inputs (D = 0), a NaN of one call of LSTM comes back in the next call.

Needs only NumPy, ONNX and ONNX Runtime. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnxruntime 1.32.0 on CPU; T=1, N=1, D=0, H=1, by the check "shapes".

A product over no inputs is 0. The operator multiplies the memory of the product by 0 before anything is written to it.
There, a NaN or an infinity stays NaN.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

shapes = {"X": (1, 1, 0), "W": (1, 4, 0), "R": (1, 4, 1), "initial_h": (1, 1, 1)}
node = helper.make_node("LSTM", ["X", "W", "R", "", "", "initial_h"], ["Y"], hidden_size=1)
infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
graph = helper.make_graph([node], "graph", infos, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
inputs = {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}


def run(h0):
    """Return the state after one step from h0."""
    return float(session.run(None, inputs | {"initial_h": np.full((1, 1, 1), h0, np.float32)})[0].ravel()[0])


first, _, again = run(0.5), run(np.nan), run(0.5)
print(f"h of the same inputs, before and after a call with h0 = nan: expected {first:g} twice, got {again:g}")
print("right" if again == first else "WRONG")
sys.exit(0 if again == first else 1)
