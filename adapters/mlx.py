"""MLX: its layers, over (N, T, D), with ``mx.vjp`` and with ``mx.jvp``."""

from __future__ import annotations

from functools import partial
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from adapters import JVP, Adapter, Way, facts, gated
from adapters._way import flat, listed, mapped, unflattened

# https://ml-explore.github.io/mlx/build/html/python/nn/layers.html, "RNN", "LSTM" and "GRU"
LAYOUTS = {
    "RNN": {"Wxh": "Wx.T", "Whh": "Wh.T", "bias": "b"},
    "LSTM": {"cell": "lstm i f g o", "Wx": "Wx.T", "Wh": "Wh.T", "bias": "b"},
    "GRU": {"cell": "gru r z n", "Wx": "Wx.T", "Wh": "Wh.T", "b": "b", "bhn": "bn"},
}
KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "tanh": nn.RNN, "relu": partial(nn.RNN, nonlinearity=nn.relu)}


def as_mlx(array: Any) -> Any:
    """Return an MLX array. The dtype is given explicitly, because float64 would become float32."""
    return mx.array(array, dtype=getattr(mx, array.dtype.name))


def as_numpy(array: Any) -> Any:
    """Return a NumPy array. For bfloat16 its dtype is that of ml_dtypes."""
    return np.array(array.view(mx.uint16)).view("bfloat16") if array.dtype == mx.bfloat16 else np.array(array)


def run(forward: Any, differentiate: Any, cell: str, weights: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays. MLX differentiates functions of a flat list of arrays."""

    def function(*leaves: Any) -> Any:
        return forward(cell, *unflattened(weights, leaves))

    return mapped(as_numpy, differentiate(function, *mapped(as_mlx, (weights, *arrays))))


def layer(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a layer. ``nn.LSTM`` returns all h and all c."""
    module = KINDS[cell](xs.shape[-1], states[0].shape[-1], bias=len(weights) > 2)
    module.update(weights)
    found = module(xs.swapaxes(0, 1), *states)
    return (found[0].swapaxes(0, 1), found[1][:, -1]) if len(states) > 1 else found.swapaxes(0, 1)


def by_vjp(function: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``mx.vjp``."""
    outputs, gradients = mx.vjp(function, flat(weights, xs, states), listed(upstream))
    return outputs, unflattened(weights, gradients)


def by_jvp(function: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate in forward mode, along a direction, with ``mx.jvp``."""
    outputs, along = mx.jvp(function, flat(weights, xs, states), flat(*tangents))
    return (outputs, None), (along, None)


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return mx.tanh of a NumPy array."""
    return as_numpy(mx.tanh(as_mlx(array)))


def sigmoid(array: Any) -> Any:
    """Return mx.sigmoid of a NumPy array."""
    return as_numpy(mx.sigmoid(as_mlx(array)))


environment = facts(mlx=mx.__version__, device=str(mx.default_device()), precision="that of each array")
ULPS = {"float64": 2.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}
# In float64, the sigmoid has the accuracy of float32. In float16, it returns 0 below -11.09 (FINDINGS.md has both). In
# float32, its relative error grows down the tail, to 30 ulp. In forward mode that bound would be too wide.
OF_GATED: dict[str, Any] = {"tanh_ulps": {dtype: ulps for dtype, ulps in ULPS.items() if dtype != "float64"}}
OF_GATED |= {"sigmoid_ulps": {"float32": 32.0}, "sigmoid_absolute": {"float16": 0.032}}
# D=0 raises an error only with a bias.
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, sigmoid=sigmoid, unsupported=("T=0", "D=0", "reversed"))
way = partial(Way, LAYOUTS, run)
of_gated = partial(of, **OF_GATED)
ADAPTERS = (
    of("mlx.RNN", way("RNN", (layer, by_vjp)), "nn.RNN, mx.vjp"),
    of("mlx.jvp", way("RNN", (layer, by_jvp)), "nn.RNN, mx.jvp: forward mode", **JVP),
    of_gated("mlx.LSTM", way("LSTM", (layer, by_vjp)), "nn.LSTM, mx.vjp", **gated("lstm")),
    of_gated("mlx.GRU", way("GRU", (layer, by_vjp)), "nn.GRU, mx.vjp", **gated("gru")),
)
