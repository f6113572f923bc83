"""onnxruntime: in float32, the operators LSTM and GRU with a bias make numbers of NaN.

Needs only NumPy, ONNX and ONNX Runtime. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnxruntime 1.32.0 on CPU; T=1, N=1, D=1, H=1, by the check "nonfinite".

The function that adds the bias also clips the sum to [-10, 10], and its comparisons are false for NaN. Without a bias,
NaN is kept.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def run(kind, gates, has_bias):
    """Return Y of an operator for x = NaN."""
    inputs = {"X": np.full((1, 1, 1), np.nan, np.float32)}
    inputs |= {name: np.ones((1, gates, 1), np.float32) for name in ("W", "R")}
    inputs |= {"B": np.zeros((1, 2 * gates), np.float32)} if has_bias else {}
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in inputs.items()]
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node(kind, list(inputs), ["Y"], hidden_size=1)], "graph", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(None, inputs)[0].ravel()[0])


found = {(kind, bias): run(kind, gates, bias) for kind, gates in (("LSTM", 4), ("GRU", 3)) for bias in (False, True)}
for (kind, bias), value in found.items():
    print(f"{kind} with{'' if bias else 'out'} a bias, x = nan: expected nan, got {value:g}")
wrong = not all(map(np.isnan, found.values()))
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
