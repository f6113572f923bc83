"""openvino: with relu, the operators RNNCell and RNNSequence make 0 of NaN.

Needs only NumPy and OpenVINO. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with openvino 2026.4.1 on CPU; T=1, N=1, D=1, H=1, by the check "nonfinite".
"""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

found = {}
for activation in ("tanh", "relu"):
    x, h, W, R, B = inputs = [ops.parameter(shape, np.float32) for shape in ((1, 1), (1, 1), (1, 1), (1, 1), (1,))]
    cell = ops.rnn_cell(x, h, W, R, B, 1, [activation], [], [])
    model = openvino.Core().compile_model(openvino.Model([cell], inputs), "CPU")
    values = (np.nan, 0, 1, 1, 0)
    arrays = [np.full(node.shape, value, np.float32) for node, value in zip(inputs, values, strict=True)]
    (result,) = model(arrays).values()
    found[activation] = float(result[0, 0])
    print(f"RNNCell with {activation} returns {found[activation]} for NaN")
wrong = not np.isnan(found["relu"])
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
