"""MLX: the layer ``nn.RNN``, over (N, T, D), with ``mx.vjp`` and with ``mx.jvp``."""

from __future__ import annotations

from functools import partial
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from adapters import JVP, Adapter, Way, facts
from adapters._way import flat, mapped, unflattened

# https://ml-explore.github.io/mlx/build/html/python/nn/_autosummary/mlx.nn.RNN.html
LAYOUTS = {"RNN": {"Wxh": "Wx.T", "Whh": "Wh.T", "bias": "b"}}


def as_mlx(array: Any) -> Any:
    """Return an MLX array. The dtype is given explicitly, because float64 would become float32."""
    return mx.array(array, dtype=getattr(mx, array.dtype.name))


def as_numpy(array: Any) -> Any:
    """Return a NumPy array. For bfloat16 its dtype is that of ml_dtypes."""
    return np.array(array.view(mx.uint16)).view("bfloat16") if array.dtype == mx.bfloat16 else np.array(array)


def run(forward: Any, differentiate: Any, nonlinearity: str, weights: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays. MLX differentiates functions of a flat list of arrays."""

    def function(*leaves: Any) -> Any:
        return forward(nonlinearity, *unflattened(weights, leaves))

    return mapped(as_numpy, differentiate(function, *mapped(as_mlx, (weights, *arrays))))


def layer(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nn.RNN``."""
    sizes = xs.shape[-1], states[0].shape[-1]
    module = nn.RNN(*sizes, bias=len(weights) > 2, nonlinearity=getattr(nn, nonlinearity))
    module.update(weights)
    return module(xs.swapaxes(0, 1), *states).swapaxes(0, 1)


def by_vjp(function: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``mx.vjp``."""
    (outputs,), gradients = mx.vjp(function, flat(weights, xs, states), [upstream])
    return outputs, unflattened(weights, gradients)


def by_jvp(function: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate in forward mode, along a direction, with ``mx.jvp``."""
    (outputs,), (along,) = mx.jvp(function, flat(weights, xs, states), flat(*tangents))
    return (outputs, None), (along, None)


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return mx.tanh of a NumPy array."""
    return as_numpy(mx.tanh(as_mlx(array)))


environment = facts(mlx=mx.__version__, device=str(mx.default_device()), precision="that of each array")
ULPS = {"float64": 2.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}
# D=0 raises an error only with a bias.
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, unsupported=("T=0", "D=0", "reversed"))
way = partial(Way, LAYOUTS, run, "RNN")
ADAPTERS = (
    of("mlx.RNN", way((layer, by_vjp)), "nn.RNN, mx.vjp"),
    of("mlx.jvp", way((layer, by_jvp)), "nn.RNN, mx.jvp: forward mode", **JVP),
)
