"""ONNX itself: its operator ``RNN`` in ``onnx.reference.ReferenceEvaluator``, which is NumPy's, forward only."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from adapters import Adapter, Way
from adapters._way import forward_only

# https://onnx.ai/onnx/operators/onnx__RNN.html, "Inputs"
LAYOUTS = {"RNN": {"W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, 0][None]"}}


@lru_cache(maxsize=256)
def operator(H: int, has_bias: bool, nonlinearity: str, dtype: str) -> Any:
    """Return the evaluator of an ``RNN``, of inputs of any length."""
    kind = {"float64": "DOUBLE", "float32": "FLOAT", "bfloat16": "BFLOAT16", "float16": "FLOAT16"}[dtype]
    names = ["X", "W", "R", "B" if has_bias else "", "", "initial_h"]
    node = helper.make_node("RNN", names, ["Y"], hidden_size=H, activations=[nonlinearity.capitalize()])
    inputs = [helper.make_tensor_value_info(name, getattr(TensorProto, kind), None) for name in names if name]
    graph = helper.make_graph([node], "graph", inputs, [helper.make_empty_tensor_value_info("Y")])
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)]))


def layer(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Evaluate ``RNN`` of the sequence."""
    (h0,) = states
    inputs = {"X": xs, "initial_h": h0[None]} | weights
    return operator(h0.shape[-1], "B" in weights, nonlinearity, xs.dtype.name).run(None, inputs)[0][:, 0]


# For the registry alone.


def environment() -> dict[str, str]:
    """Return the version of ONNX and what decides its precision."""
    return {"onnx": onnx.__version__, "precision": "that of NumPy"}


ULPS = {"float64": 2.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}
LIMITS: dict[str, Any] = {
    "offers": ("h",),
    "nonlinearities": ("tanh",),  # Relu raises: Unknown activation function
    "unsupported": ("T=0",),
}
LAYER = Way(LAYOUTS, forward_only, "RNN", (layer,))
# The evaluator's tanh is NumPy's.
ADAPTERS = (Adapter("onnx.RNN", LAYER, "the operator RNN, ReferenceEvaluator, forward", np.tanh, ULPS, **LIMITS),)
