"""ONNX Runtime: the operator ``RNN`` of ONNX, forward only.

Its weights are transposed and stacked by direction, W (1, H, D) and R (1, H, H); its two biases are one B (1, 2 H), of
which the second half is held at zero. A model holds the sizes, and the parameters are inputs, so that one serves all
cases of a shape.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from adapters import Adapter, Idiom
from adapters._layout import laid_out

# https://onnx.ai/onnx/operators/onnx__RNN.html, "Inputs"
LAYOUTS = {"RNN": {"W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, 0][None]"}}


def session_of(nodes: list[Any], dtype: str, inputs: dict[str, Any], output: tuple[str, Any]) -> Any:
    """Return a session on the CPU of a graph of these nodes, with inputs and an output of these shapes."""
    kind = {"float64": TensorProto.DOUBLE, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}[dtype]
    taken = [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()]
    graph = helper.make_graph(nodes, "graph", taken, [helper.make_tensor_value_info(output[0], kind, output[1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@lru_cache(maxsize=256)
def layer(T: int, N: int, D: int, H: int, has_bias: bool, nonlinearity: str, dtype: str) -> Any:
    """Return the session of an ``RNN``."""
    names = ["X", "W", "R", "B" if has_bias else "", "", "initial_h"]
    node = helper.make_node("RNN", names, ["Y"], hidden_size=H, activations=[nonlinearity.capitalize()])
    shapes = {"X": (T, N, D), "W": (1, H, D), "R": (1, H, H), "B": (1, 2 * H), "initial_h": (1, N, H)}
    return session_of([node], dtype, {name: shapes[name] for name in names if name}, ("Y", (T, 1, N, H)))


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the sequence through ``RNN``."""
    session = layer(*xs.shape, Wh.shape[0], b is not None, nonlinearity, xs.dtype.name)
    inputs = {"X": xs, "initial_h": h0[None]} | laid_out(LAYOUTS["RNN"], Wx, Wh, b)
    return [session.run(None, {name: np.ascontiguousarray(array) for name, array in inputs.items()})[0][:, 0]]


@lru_cache(maxsize=4)
def activation(dtype: str) -> Any:
    """Return the session of a ``Tanh`` of vectors."""
    return session_of([helper.make_node("Tanh", ["X"], ["Y"])], dtype, {"X": ("n",)}, ("Y", ("n",)))


def tanh(array: Any) -> Any:
    """Return the operator Tanh of a NumPy array."""
    return activation(array.dtype.name).run(None, {"X": array})[0]


def environment() -> dict[str, str]:
    """Return the version of ONNX Runtime and what decides its precision."""
    return {"onnxruntime": onnxruntime.__version__, "provider": "CPU", "precision": "that of the model"}


# RNN has kernels for float32 and float16 alone. FINDINGS.md has why neither its tanh of float32 nor its relu is here.
TANH_ULPS = {"float16": 1.0}
IMPORTS = "from functools import lru_cache\n\nimport onnxruntime\nfrom onnx import TensorProto, helper"

ADAPTERS = (
    Adapter.of_arrays(
        "onnxruntime.RNN",
        Idiom(IMPORTS, (f"LAYOUTS = {LAYOUTS}", laid_out, session_of, layer, run_layer)),
        "the operator RNN, forward",
        tanh,
        TANH_ULPS,
        offers=("h",),
        nonlinearities=("tanh",),
    ),
)
