"""ONNX: its recurrent operators in ``onnx.reference.ReferenceEvaluator``, which uses NumPy, forward only."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from adapters import Adapter, LayersWay, Unsupported, Way, _onnx_layers, facts, gated
from adapters._onnx import inputs_of, model_of, node_of, outputs_of
from adapters._way import forward_only
from reference import LayersCase

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


@lru_cache(maxsize=256)
def operator(cell: str, H: int, has_bias: bool, dtype: str) -> Any:
    """Return the evaluator of an operator for inputs of any length."""
    return ReferenceEvaluator(model_of(node_of(cell, H, has_bias), dtype, {}))


def layer(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Evaluate an operator on the sequence."""
    evaluator = operator(cell, states[0].shape[-1], "B" in weights, xs.dtype.name)
    return outputs_of(evaluator.run(None, inputs_of(weights, xs, states)))


# For the registry alone.


def run_layers(cell: str, weights: Any, xs: Any, states: Any, upstream: Any, case: LayersCase) -> Any:
    """Evaluate a chain of operators."""
    if case.lengths is not None:
        raise Unsupported("onnx.reference: expected no lengths, got some; it ignores sequence_lens: FINDINGS.md")
    return _onnx_layers.run(ReferenceEvaluator, cell, weights, xs, states, upstream, case)


def sigmoid(array: Any) -> Any:
    """Return the sigmoid of a NumPy array as the evaluator's LSTM and GRU compute it."""
    with np.errstate(all="ignore"):
        return 1 / (1 + np.exp(-array))


environment = facts(onnx=onnx.__version__, precision="that of NumPy")
ULPS = {"float64": 2.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}


def row(kind: str) -> Adapter:
    """Return the adapter of an operator; relu raises "Unknown activation function"."""
    cell, _, is_gated = LAYOUTS[kind].get("cell", "").partition(" ")
    states = ("h", "c") if cell == "lstm" else ("h",)
    own = (gated(cell) if is_gated else {"nonlinearities": ("tanh",)}) | {"offers": states, "unsupported": ("T=0",)}
    what = f"the operator {kind}, ReferenceEvaluator, forward"
    # The evaluator's tanh is NumPy's.
    way = Way(LAYOUTS, forward_only, kind, (layer,))
    # In float16, the sigmoid returns 0 below -11.09 (FINDINGS.md).
    own |= {"sigmoid": sigmoid, "sigmoid_absolute": {"float16": 0.032}, "layers": LayersWay(LAYOUTS, run_layers, kind)}
    return Adapter(f"onnx.{kind}", way, what, np.tanh, ULPS, **own)


ADAPTERS = tuple(map(row, LAYOUTS))
