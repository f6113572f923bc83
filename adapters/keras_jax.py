"""Keras on JAX: its cells and layers under ``jax.jit``."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp

from adapters import Unsupported, _jax, _keras, _keras_layers
from adapters._jax import TAIL, ULPS, by_vjp, run, sigmoid, tanh
from adapters._keras import LAYOUTS as LAYOUTS
from adapters._keras import module_for, stepped


def activations(cell: str, dtype: str) -> Any:
    """Return the activations in the place of Keras's own, which convert float64 to float32 on JAX (FINDINGS.md)."""
    own: Any = {} if dtype != "float64" or cell == "relu" else {"activation": jnp.tanh}
    return own | ({"recurrent_activation": jax.nn.sigmoid} if own and cell != "tanh" else {})


def differentiate(forward: Any, module: Any, *arrays: Any) -> Any:
    """Run on NumPy arrays and differentiate."""
    return run(forward, by_vjp, module, *arrays)


def run_module(forward: Any, cell: str, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Run on NumPy arrays."""
    if forward is not stepped and cell == "gru" and len(weights) == 2 and xs.dtype.itemsize == 2:
        raise Unsupported(
            "without a bias, GRU adds zeros of float32 and raises TypeError in half precisions: FINDINGS.md"
        )
    with jax.enable_x64(xs.dtype == "float64"):
        module = module_for(forward, cell, weights, **activations(cell, xs.dtype.name))
    return differentiate(forward, module, weights, xs, states, upstream)


def run_layers(cell: str, weights: Any, xs: Any, *others: Any) -> Any:
    """Run several layers."""
    with jax.enable_x64(xs.dtype == "float64"):
        return _keras_layers.run(differentiate, activations, cell, weights, xs, *others)


# For the registry alone.

_keras.require("jax")


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return _keras.environment("jax") | _jax.environment()


OF_ALL: dict[str, Any] = {"tanh": tanh, "tanh_ulps": ULPS, "sigmoid": sigmoid, "sigmoid_absolute": TAIL}
ADAPTERS = _keras.rows("jax", run_module, run_layers, "jit", {"max_T": 32}, **OF_ALL)
