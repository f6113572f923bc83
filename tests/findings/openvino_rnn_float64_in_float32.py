"""openvino: on the CPU, a float64 model is computed in float32 without a warning.

Needs only NumPy and OpenVINO. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with openvino 2026.4.1; T=1, N=1, D=1, H=1, by the first case of an adapter of RNNCell.
"""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

x, h, W, R, B = inputs = [ops.parameter(shape, np.float64) for shape in ((1, 1), (1, 1), (1, 1), (1, 1), (1,))]
cell = ops.rnn_cell(x, h, W, R, B, 1, ["relu"], [], [])
model = openvino.Core().compile_model(openvino.Model([cell], inputs), "CPU")
arrays = [np.full(node.shape, value) for node, value in zip(inputs, (0.1, 0.0, 1.0, 1.0, 0.0), strict=True)]
(result,) = model(arrays).values()
actual = float(result[0, 0])
print(f"RNNCell of 0.1, a weight of 1 and relu is {actual!r}, of dtype {result.dtype}")
wrong = actual != 0.1
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
