"""onnx: in float16, LSTM and GRU of the reference evaluator close a gate below -11.09, where the sigmoid is 1.5e-5.

Needs only NumPy and ONNX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnx 1.23.2; T=1, N=1, D=1, H=1, by the check "extremes".

1 / (1 + exp(-x)) overflows in float16 from x = -11.09 on. The operator Sigmoid of the same evaluator has the tail.
"""

import sys

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def model(kind, shapes, **options):
    """Return the evaluator of an operator with an output Y."""
    node = helper.make_node(kind, list(shapes), ["Y"], **options)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT16, None)
    graph = helper.make_graph([node], "graph", infos, [output])
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)]))


# Of the gates i, o, f and c, only i is not open: h = tanh(sigmoid(x)).
inputs = {"X": np.ones((1, 1, 1)), "W": np.zeros((1, 4, 1)), "R": np.zeros((1, 4, 1))}
lstm = model("LSTM", {name: array.shape for name, array in inputs.items()}, hidden_size=1)
wrong = False
for x in (-8, -11, -11.1, -12):
    gates = np.reshape([x, 20, 20, 20], (1, 4, 1))
    with np.errstate(over="ignore"):
        (h,) = lstm.run(None, {name: array.astype(np.float16) for name, array in (inputs | {"W": gates}).items()})
        (s,) = model("Sigmoid", {"X": (1,)}).run(None, {"X": np.array([x], np.float16)})
    print(f"x = {x}: LSTM returns {h.item():.3g}, Sigmoid {s.item():.3g}, the sigmoid is {1 / (1 + np.exp(-x)):.3g}")
    wrong |= h.item() == 0
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
