"""ONNX Runtime: the operator ``RNN`` of ONNX, forward only.

A model has fixed sizes, and its parameters are inputs. So one model serves all cases of a shape.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
from onnx import helper

from adapters import Adapter, Way, facts
from adapters._onnx import LAYOUTS, model_of, rnn
from adapters._way import forward_only


def session_of(*model: Any) -> Any:
    """Return a session on the CPU for the model that ``model_of`` returns."""
    return onnxruntime.InferenceSession(model_of(*model).SerializeToString(), providers=["CPUExecutionProvider"])


@lru_cache(maxsize=256)
def operator(T: int, N: int, D: int, H: int, has_bias: bool, nonlinearity: str, dtype: str) -> Any:
    """Return the session of an ``RNN``."""
    shapes = {"X": (T, N, D), "W": (1, H, D), "R": (1, H, H), "B": (1, 2 * H), "initial_h": (1, N, H)}
    return session_of(rnn(H, has_bias, nonlinearity), dtype, shapes, (T, 1, N, H))


def layer(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the sequence through ``RNN``."""
    (h0,) = states
    session = operator(*xs.shape, h0.shape[-1], "B" in weights, nonlinearity, xs.dtype.name)
    inputs = {"X": xs, "initial_h": h0[None]} | weights
    return session.run(None, {name: np.ascontiguousarray(array) for name, array in inputs.items()})[0][:, 0]


# For the registry alone.


@lru_cache(maxsize=4)
def activation(dtype: str) -> Any:
    """Return the session of a ``Tanh`` of vectors."""
    return session_of(helper.make_node("Tanh", ["X"], ["Y"]), dtype, {"X": ("n",)}, ("n",))


def tanh(array: Any) -> Any:
    """Return the result of the operator Tanh for a NumPy array."""
    return activation(array.dtype.name).run(None, {"X": array})[0]


environment = facts(onnxruntime=onnxruntime.__version__, provider="CPU", precision="that of the model")
# RNN has kernels for float32 and float16 only. float32 and relu are left out because of the faults in FINDINGS.md.
ULPS = {"float16": 1.0}
LIMITS: dict[str, Any] = {"offers": ("h",), "nonlinearities": ("tanh",)}
LAYER = Way(LAYOUTS, forward_only, "RNN", (layer,))
ADAPTERS = (Adapter("onnxruntime.RNN", LAYER, "the operator RNN, forward", tanh, ULPS, **LIMITS),)
