"""OpenVINO on the CPU, forward only: the operators of cells, stepped, and of sequences, over (N, T, D)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from adapters import Adapter, LayersWay, Way, _openvino_layers, facts, gated
from adapters._openvino import CELLS, SEQUENCES, call, compiled, parameters
from adapters._way import forward_only, unroll

# https://docs.openvino.ai, operation specifications "RNNCell-3", "LSTMSequence-5", "GRUSequence-5" and so on, inputs
# fmt: off
LAYOUTS = {
    "RNNSequence": {"W": "Wx.T[None]", "R": "Wh.T[None]", "B": "b or 0[None]"},
    "RNNCell": {"W": "Wx.T", "R": "Wh.T", "B": "b or 0"},
    "LSTMSequence": {"cell": "lstm f i g o", "W": "Wx.T[None]", "R": "Wh.T[None]", "B": "b or 0[None]"},
    "LSTMCell": {"cell": "lstm f i g o", "W": "Wx.T", "R": "Wh.T", "B": "b or 0"},
    "GRUSequence": {"cell": "gru z r n", "W": "Wx.T[None]", "R": "Wh.T[None]", "B": "[b, bn] or 0[None]"},
    "GRUCell": {"cell": "gru z r n", "W": "Wx.T", "R": "Wh.T", "B": "[b, bn] or 0"},
    "GRUSequence.reset_before": {"cell": "gru_reset_before z r n",
                                 "W": "Wx.T[None]", "R": "Wh.T[None]", "B": "b or 0[None]"},
    "GRUCell.reset_before": {"cell": "gru_reset_before z r n", "W": "Wx.T", "R": "Wh.T", "B": "b or 0"},
}
# fmt: on


@lru_cache(maxsize=256)
def model_of(cell: str, dtype: str, *shapes: Any) -> Any:
    """Return a compiled sequence, or a cell if the inputs have two axes."""
    inputs = parameters(dtype, *shapes)
    (x, *states), last, H = inputs[:-3], inputs[-3:], shapes[1][-1]
    if len(shapes[0]) == 2:
        return compiled(CELLS[cell](x, *states, *last, H).outputs(), inputs)
    lengths = ops.constant(np.full(shapes[0][0], shapes[0][1], np.int32))
    # The outputs of a sequence are all h and the last states.
    hs, _, *others = SEQUENCES[cell](x, *states, lengths, *last, H, "forward").outputs()
    return compiled([hs, *others], inputs)


def run_model(cell: str, *arrays: Any) -> list[Any]:
    """Run the model for the shapes of these arrays."""
    return call(model_of(cell, arrays[0].dtype.name, *(array.shape for array in arrays)), arrays)


def sequence(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the operator of a sequence."""
    hs, *cs = run_model(cell, xs.swapaxes(0, 1), *(state[:, None] for state in states), *weights.values())
    return (hs[:, 0].swapaxes(0, 1), cs[0][:, 0]) if cs else hs[:, 0].swapaxes(0, 1)


def stepped(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step the operator of a cell."""
    found = unroll(lambda x, states: run_model(cell, x, *states, *weights.values()), xs, [states])
    hs = np.stack([each[0] for each in found])[1:]
    return (hs, np.array(found[-1][1])) if len(states) > 1 else hs


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return the result of the operator Tanh for a NumPy array."""
    (x,) = inputs = parameters(array.dtype.name, array.shape)
    return call(compiled([ops.tanh(x)], inputs), [array])[0]


def sigmoid(array: Any) -> Any:
    """Return the result of the operator Sigmoid for a NumPy array."""
    (x,) = inputs = parameters(array.dtype.name, array.shape)
    return call(compiled([ops.sigmoid(x)], inputs), [array])[0]


environment = facts(openvino=openvino.__version__.partition("-")[0], device="CPU", precision="hinted by the inputs")
ULPS = {"float32": 2.5, "bfloat16": 1.0, "float16": 1.0}  # no float64 and no relu: FINDINGS.md
# Gated operators compute float16 in float32, so that a bound of float16 would be far too wide. The sigmoid is flushed
# to zero a little above the smallest normal number.
OF_GATED: dict[str, Any] = {"tanh_ulps": {"float32": 2.5, "bfloat16": 1.0}, "sigmoid": sigmoid}
OF_GATED |= {"sigmoid_absolute": {"float32": 1e-30, "bfloat16": 1e-35}}


def row(kind: str) -> Adapter:
    """Return the adapter of an operator."""
    cell, _, is_gated = LAYOUTS[kind].get("cell", "").partition(" ")
    forward, unsupported = (stepped, ("N=0", "D=0")) if "Cell" in kind else (sequence, ("T=0", "N=0", "D=0"))
    own: dict[str, Any] = {"nonlinearities": ("tanh",), "tanh_ulps": ULPS}
    own = (gated(cell) | OF_GATED if is_gated else own) | {"offers": ("h", "c") if cell == "lstm" else ("h",)}
    own |= {} if "Cell" in kind else {"layers": LayersWay(LAYOUTS, _openvino_layers.run, kind)}
    way, what = Way(LAYOUTS, forward_only, kind, (forward,)), f"{kind}{', stepped' * (forward is stepped)}"
    return Adapter(f"openvino.{kind}", way, what, tanh, unsupported=unsupported, **own)


ADAPTERS = tuple(map(row, LAYOUTS))
