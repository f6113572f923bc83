"""onnxruntime: GRU of no steps or no rows ends the process, and LSTM of no rows; LSTM of no steps returns zeros.

Needs only NumPy, ONNX and ONNX Runtime. Exit status: 1 while the fault is there, 0 once it is fixed.
Found with onnxruntime 1.32.0 on CPU, by the check "shapes".

On no steps, the last state is the initial one. RNN and LSTM return zeros. The runs are processes of their own.
"""

import subprocess
import sys

RUN = """
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

kind, gates, (T, N, D) = {kind!r}, {gates}, {sizes}
shapes = {{"X": (T, N, D), "W": (1, gates, D), "R": (1, gates, 1), "initial_h": (1, N, 1), "initial_c": (1, N, 1)}}
shapes = shapes if kind == "LSTM" else dict(list(shapes.items())[:-1])
names = ["X", "W", "R", "", "", *list(shapes)[3:]]
node = helper.make_node(kind, names, ["", "Y_h"], hidden_size=1)
infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
graph = helper.make_graph([node], "graph", infos, [helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, None)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
inputs = {{name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}}
print(session.run(None, inputs)[0].ravel().tolist())
"""

wrong = False
for kind, gates, sizes in (
    ("GRU", 3, (0, 1, 1)),
    ("GRU", 3, (1, 0, 1)),
    ("LSTM", 4, (1, 0, 1)),
    ("LSTM", 4, (0, 1, 1)),
):
    ran = subprocess.run(
        [sys.executable, "-c", RUN.format(kind=kind, gates=gates, sizes=sizes)], capture_output=True, text=True
    )
    expected = "[]" if sizes[1] == 0 else "[0.5]"
    got = ran.stdout.strip() or f"exit status {ran.returncode}"
    print(f"{kind}, (T, N, D) = {sizes}: expected the last state {expected}, got {got}")
    wrong |= got != expected
print("WRONG" if wrong else "right")
sys.exit(1 if wrong else 0)
