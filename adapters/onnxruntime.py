"""ONNX Runtime: the recurrent operators of ONNX, forward only.

A model has fixed sizes, and its parameters are inputs. So one model serves all cases of a shape.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
import onnxruntime
from onnx import helper

from adapters import Adapter, ExpectedFailure, LayersWay, Way, _onnx_layers, facts, gated
from adapters._onnx import inputs_of, model_of, node_of, outputs_of
from adapters._way import forward_only

# https://onnx.ai/onnx/operators/, "RNN", "LSTM" and "GRU", "Inputs"
# fmt: off
LAYOUTS = {
    "RNN": {"W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, 0][None]"},
    "LSTM": {"cell": "lstm i o f g", "W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, 0][None]"},
    "GRU": {"cell": "gru z r n", "W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, [0, bn]][None]"},
    "GRU.reset_before": {"cell": "gru_reset_before z r n",
                         "W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, 0][None]"},
}
# fmt: on


def session_of(model: Any) -> Any:
    """Return a session on the CPU."""
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@lru_cache(maxsize=256)
def operator(cell: str, dtype: str, *shapes: Any) -> Any:
    """Return the session of an operator for inputs of these names and shapes."""
    sizes = dict(shapes)
    (T, N, _), H = sizes["X"], sizes["R"][-1]
    outputs = {"Y": (T, 1, N, H), "Y_c": (1, N, H)}
    return session_of(model_of(node_of(cell, H, "B" in sizes), dtype, sizes | outputs))


def layer(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the sequence through an operator."""
    if cell not in ("tanh", "relu") and 0 in xs.shape:
        raise ValueError(
            "LSTM and GRU without steps, rows or inputs end the process or return other numbers: FINDINGS.md"
        )
    inputs = {name: np.ascontiguousarray(array) for name, array in inputs_of(weights, xs, states).items()}
    session = operator(cell, xs.dtype.name, *((name, array.shape) for name, array in inputs.items()))
    return outputs_of(session.run(None, inputs))


# For the registry alone.


@lru_cache(maxsize=8)
def activation(kind: str, dtype: str) -> Any:
    """Return the session of an operator of vectors."""
    return session_of(model_of(helper.make_node(kind, ["X"], ["Y"]), dtype, {"X": ("n",), "Y": ("n",)}))


def tanh(array: Any) -> Any:
    """Return the result of the operator Tanh for a NumPy array."""
    return activation("Tanh", array.dtype.name).run(None, {"X": array})[0]


def sigmoid(array: Any) -> Any:
    """Return the result of the operator Sigmoid for a NumPy array."""
    return activation("Sigmoid", array.dtype.name).run(None, {"X": array})[0]


environment = facts(onnxruntime=onnxruntime.__version__, provider="CPU", precision="that of the model")
WHY = ExpectedFailure("LSTM and GRU with a bias make numbers of NaN", "FINDINGS.md")
# RNN in float32 or with relu is left out because of the faults in FINDINGS.md. LSTM and GRU have kernels for float32
# alone. A model of float16 is computed in float32.
OF_RNN: dict[str, Any] = {"tanh_ulps": {"float16": 1.0}, "nonlinearities": ("tanh",)}
OF_GATED: dict[str, Any] = {"tanh_ulps": {"float32": 16.0}, "sigmoid": sigmoid, "sigmoid_absolute": {"float32": 3.0}}
OF_GATED |= {"expected_failures": {"nonfinite": WHY}, "unsupported": ("T=0", "N=0", "D=0")}


def row(kind: str) -> Adapter:
    """Return the adapter of an operator."""
    cell = LAYOUTS[kind].get("cell", "").partition(" ")[0]
    several = LayersWay(LAYOUTS, partial(_onnx_layers.run, session_of), kind)
    own = gated(cell) | OF_GATED | {"layers": several} if cell else OF_RNN
    own |= {"offers": ("h", "c") if cell == "lstm" else ("h",)}
    way = Way(LAYOUTS, forward_only, kind, (layer,))
    return Adapter(f"onnxruntime.{kind}", way, f"the operator {kind}, forward", tanh, **own)


ADAPTERS = tuple(map(row, LAYOUTS))
