"""openvino: asked to compute in float16, a processor that has bfloat16 and no float16 takes bfloat16, and says nothing.

Needs NumPy and OpenVINO, nothing else. Exit status 1 while the fault is there, 0 once it is mended, 2 where the
processor is another one.
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
got = float(result[0, 0])
held = model.get_property("INFERENCE_PRECISION_HINT")
print(f"{x!r} times 1 is {got!r}, of dtype {result.dtype}; the model says {held}")
wrong = got != x
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
