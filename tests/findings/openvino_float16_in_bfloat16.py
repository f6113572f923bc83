"""openvino: on a processor with bfloat16 and without float16, a float16 model runs in bfloat16 without a warning.

Needs only NumPy and OpenVINO. Exit status: 1 while the fault is there, 0 once it is fixed, 2 on other processors.
Found with openvino 2026.4.1; T=1, N=1, D=1, H=1, by the check "step" of an adapter of RNNCell.
"""

import sys

import numpy as np
import openvino
from openvino import opset13 as ops

core = openvino.Core()
able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
if "FP16" in able or "BF16" not in able:
    print("no such processor")
    sys.exit(2)
a, b = inputs = [ops.parameter((1, 1), np.float16) for _ in range(2)]
model = core.compile_model(
    openvino.Model([ops.matmul(a, b, False, False)], inputs), "CPU", {"INFERENCE_PRECISION_HINT": "f16"}
)
x = 1 + 2.0**-10
(result,) = model([np.full((1, 1), value, np.float16) for value in (x, 1.0)]).values()
actual = float(result[0, 0])
hint = model.get_property("INFERENCE_PRECISION_HINT")
print(f"{x!r} times 1 is {actual!r}, of dtype {result.dtype}; the precision hint of the model is {hint}")
wrong = actual != x
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
