"""onnxruntime: in float32, the operator RNN computes tanh as 2 * sigmoid(2 * x) - 1, which is 0 for small numbers.

Needs only NumPy, ONNX and ONNX Runtime. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnxruntime 1.32.0 on CPU; T=1, N=1, D=1, H=1, by the checks "step" and "extremes".
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


wrong = False
one = np.ones((1, 1, 1), np.float32)
for x in (1e-2, 1e-4, 1e-6, 3e-8, 1e-30):
    value = np.full((1, 1, 1), x, np.float32)
    exact = np.tanh(np.float64(value[0, 0, 0]))
    rnn = run(helper.make_node("RNN", ["X", "W", "R"], ["Y"], hidden_size=1), {"X": value, "W": one, "R": one})
    operator = run(helper.make_node("Tanh", ["X"], ["Y"]), {"X": value})
    print(f"x = {x:g}: RNN returns {rnn:.8g}, Tanh returns {operator:.8g}, tanh is {exact:.8g}")
    wrong = wrong or abs(rnn - exact) > 1e-6 * exact
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
