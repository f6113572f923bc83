"""onnx: RNN, GRU and LSTM of the reference evaluator ignore the input sequence_lens without an error.

Needs only NumPy and ONNX. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnx 1.23.2; T=2, N=1, D=1, H=1, a row of length 1, by the check "layers".

After its length a row has no steps: the output of step 2 has to be 0, and Y_h the output of step 1.
"""

import sys

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

wrong = False
for kind, gates in {"RNN": 1, "GRU": 3, "LSTM": 4}.items():
    inputs = {"X": np.full((2, 1, 1), 0.5), "W": np.full((1, gates, 1), 0.5), "R": np.full((1, gates, 1), 0.5)}
    kinds = dict.fromkeys(inputs, TensorProto.DOUBLE) | {"lengths": TensorProto.INT32}
    node = helper.make_node(kind, ["X", "W", "R", "", "lengths"], ["Y", "Y_h"], hidden_size=1)
    ends = [
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.DOUBLE), None) for name in names]
        for names in (kinds, node.output)
    ]
    model = helper.make_model(
        helper.make_graph([node], "graph", *ends), opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    Y, Y_h = ReferenceEvaluator(model).run(None, inputs | {"lengths": np.array([1], np.int32)})
    print(f"{kind} of a row of length 1: Y is {Y.ravel().round(4)}, Y_h {Y_h.ravel().round(4)}")
    wrong |= Y[1].item() != 0 or Y_h.item() != Y[0].item()
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
