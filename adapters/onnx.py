"""ONNX itself: its operator ``RNN`` in ``onnx.reference.ReferenceEvaluator``, which is NumPy's, forward only.

Weights are transposed and stacked by direction, W (1, H, D) and R (1, H, H); the two biases are one B (1, 2 H), of
which the second half is held at zero.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from adapters import Adapter, Idiom
from adapters._layout import laid_out

# https://onnx.ai/onnx/operators/onnx__RNN.html, "Inputs"
LAYOUTS = {"RNN": {"W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, 0][None]"}}


@lru_cache(maxsize=256)
def layer(H: int, has_bias: bool, nonlinearity: str, dtype: str) -> Any:
    """Return the evaluator of an ``RNN``, of inputs of any length."""
    kind = {"float64": "DOUBLE", "float32": "FLOAT", "bfloat16": "BFLOAT16", "float16": "FLOAT16"}[dtype]
    names = ["X", "W", "R", "B" if has_bias else "", "", "initial_h"]
    node = helper.make_node("RNN", names, ["Y"], hidden_size=H, activations=[nonlinearity.capitalize()])
    inputs = [helper.make_tensor_value_info(name, getattr(TensorProto, kind), None) for name in names if name]
    graph = helper.make_graph([node], "graph", inputs, [helper.make_empty_tensor_value_info("Y")])
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)]))


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Evaluate ``RNN`` of the sequence."""
    inputs = {"X": xs, "initial_h": h0[None]} | laid_out(LAYOUTS["RNN"], Wx, Wh, b)
    return [layer(len(Wh), b is not None, nonlinearity, xs.dtype.name).run(None, inputs)[0][:, 0]]


def tanh(array: Any) -> Any:
    """Return np.tanh of a NumPy array, which is what the evaluator takes."""
    return np.tanh(array)


def environment() -> dict[str, str]:
    """Return the version of ONNX and what decides its precision."""
    return {"onnx": onnx.__version__, "precision": "that of NumPy"}


TANH_ULPS = {"float64": 2.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}
IMPORTS = """from functools import lru_cache

from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator"""

ADAPTERS = (
    Adapter.of_arrays(
        "onnx.RNN",
        Idiom(IMPORTS, (f"LAYOUTS = {LAYOUTS}", laid_out, layer, run_layer)),
        "the operator RNN, ReferenceEvaluator, forward",
        tanh,
        TANH_ULPS,
        offers=("h",),
        nonlinearities=("tanh",),  # of Relu it says: Unknown activation function
        unsupported=("T=0",),
    ),
)
