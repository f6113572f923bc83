"""ONNX: the operator ``RNN`` in ``onnx.reference.ReferenceEvaluator``, which uses NumPy, forward only."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from adapters import Adapter, Way, facts
from adapters._onnx import LAYOUTS, model_of, rnn
from adapters._way import forward_only


@lru_cache(maxsize=256)
def operator(H: int, has_bias: bool, nonlinearity: str, dtype: str) -> Any:
    """Return the evaluator of an ``RNN`` for inputs of any length."""
    node = rnn(H, has_bias, nonlinearity)
    return ReferenceEvaluator(model_of(node, dtype, dict.fromkeys(node.input), None))


def layer(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Evaluate ``RNN`` on the sequence."""
    (h0,) = states
    inputs = {"X": xs, "initial_h": h0[None]} | weights
    return operator(h0.shape[-1], "B" in weights, nonlinearity, xs.dtype.name).run(None, inputs)[0][:, 0]


# For the registry alone.


environment = facts(onnx=onnx.__version__, precision="that of NumPy")
ULPS = {"float64": 2.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}
# relu raises "Unknown activation function".
LIMITS: dict[str, Any] = {"offers": ("h",), "nonlinearities": ("tanh",), "unsupported": ("T=0",)}
LAYER = Way(LAYOUTS, forward_only, "RNN", (layer,))
# The evaluator's tanh is NumPy's.
ADAPTERS = (Adapter("onnx.RNN", LAYER, "the operator RNN, ReferenceEvaluator, forward", np.tanh, ULPS, **LIMITS),)
