"""MLX: the layer ``nn.RNN``, over (N, T, D), with ``mx.vjp`` and with ``mx.jvp``.

MLX keeps transposed weights and one bias.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from adapters import Adapter, Idiom
from adapters._layout import laid_out

# https://ml-explore.github.io/mlx/build/html/python/nn/_autosummary/mlx.nn.RNN.html
LAYOUTS = {"RNN": {"Wxh": "Wx.T", "Whh": "Wh.T", "bias": "b"}}


def as_mlx(array: Any) -> Any:
    """Return an MLX array; its dtype is named, or float64 would become float32."""
    return mx.array(array, dtype=getattr(mx, array.dtype.name))


def as_numpy(array: Any) -> Any:
    """Return a NumPy array; bfloat16 under the name that ml_dtypes gives it."""
    return np.array(array.view(mx.uint16)).view("bfloat16") if array.dtype == mx.bfloat16 else np.array(array)


def states_of(nonlinearity: str) -> Callable[..., Any]:
    """Return a function of xs, h0, Wx, Wh and, with a bias, b that runs ``nn.RNN`` and returns all states."""

    def states(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any = None) -> Any:
        layer = nn.RNN(*Wx.shape, bias=b is not None, nonlinearity=getattr(nn, nonlinearity))
        layer.update(laid_out(LAYOUTS["RNN"], Wx, Wh, b))
        return layer(xs.swapaxes(0, 1), h0).swapaxes(0, 1)

    return states


def run_layer(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Pull back with ``mx.vjp``."""
    primals = [as_mlx(array) for array in (xs, h0, Wx, Wh, b) if array is not None]
    hs, gradients = mx.vjp(states_of(nonlinearity), primals, [as_mlx(upstream)])
    return [as_numpy(array) for array in (*hs, *gradients)]


def push_forward(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any) -> list[Any]:
    """Differentiate forwards, along a direction, with ``mx.jvp``."""
    primals = [as_mlx(array) for array in (xs, h0, Wx, Wh, b) if array is not None]
    tangents = [as_mlx(array) for array in dots if array is not None]
    hs, hs_dot = mx.jvp(states_of(nonlinearity), primals, tangents)
    return [as_numpy(array) for array in (*hs, *hs_dot)]


def tanh(array: Any) -> Any:
    """Return mx.tanh of a NumPy array."""
    return as_numpy(mx.tanh(as_mlx(array)))


def environment() -> dict[str, str]:
    """Return the version of MLX and what decides its precision."""
    return {"mlx": mx.__version__, "device": str(mx.default_device()), "precision": "that of each array"}


TANH_ULPS = {"float64": 2.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}

IMPORTS = "from collections.abc import Callable\n\nimport mlx.core as mx\nimport mlx.nn as nn"
ARRAYS = (as_mlx, as_numpy, f"LAYOUTS = {LAYOUTS}", laid_out, states_of)
# Without a bias, it takes D=0.
REFUSES = ("T=0", "D=0", "reversed")
BACK, FORWARD = Idiom(IMPORTS, (*ARRAYS, run_layer)), Idiom(IMPORTS, (*ARRAYS, push_forward))
MOVED = ("h", "jvp h")

ADAPTERS = (
    Adapter.of_arrays("mlx.RNN", BACK, "nn.RNN, mx.vjp", tanh, TANH_ULPS, unsupported=REFUSES),
    Adapter.of_arrays(
        "mlx.jvp", FORWARD, "nn.RNN, mx.jvp: forward mode", tanh, TANH_ULPS, unsupported=REFUSES, offers=MOVED
    ),
)
