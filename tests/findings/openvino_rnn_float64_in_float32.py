"""openvino: on the CPU, a model of float64 is computed in float32 and says nothing.

Needs NumPy and OpenVINO, nothing else. Exit status 1 while the fault is there, 0 once it is mended.
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
got = float(result[0, 0])
print(f"RNNCell of 0.1, a weight of 1 and relu is {got!r}, of dtype {result.dtype}")
wrong = got != 0.1
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
