"""onnxruntime: with relu, the operator RNN makes 0 of NaN.

Needs only NumPy, ONNX and ONNX Runtime. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnxruntime 1.32.0 on CPU; T=1, N=1, D=1, H=1, by the check "nonfinite".
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run(node, inputs):
    """Run a model of one operator and return its output Y."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in inputs.items()]
    graph = helper.make_graph([node], "graph", infos, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(None, inputs)[0].ravel()[0])


one, nan = np.ones((1, 1, 1), np.float32), np.full((1, 1, 1), np.nan, np.float32)
found = {
    activation: run(
        helper.make_node("RNN", ["X", "W", "R"], ["Y"], hidden_size=1, activations=[activation]),
        {"X": nan, "W": one, "R": one},
    )
    for activation in ("Tanh", "Relu")
}
for activation, value in found.items():
    print(f"RNN with {activation} returns {value} for NaN")
print(f"the operator Relu returns {run(helper.make_node('Relu', ['X'], ['Y']), {'X': nan})} for NaN")
wrong = not np.isnan(found["Relu"])
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
