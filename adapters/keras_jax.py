"""Keras on JAX: ``SimpleRNNCell`` and ``SimpleRNN``, under ``jax.jit``."""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp

from adapters import _jax, _keras
from adapters._jax import ULPS, by_vjp, run, tanh
from adapters._keras import LAYOUTS as LAYOUTS
from adapters._keras import module_for


def run_module(forward: Any, nonlinearity: str, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Run on NumPy arrays."""
    # On JAX, the tanh of Keras converts float64 to float32 (FINDINGS.md).
    is_double = xs.dtype == "float64"
    with jax.enable_x64(is_double):
        module = module_for(forward, jnp.tanh if nonlinearity == "tanh" and is_double else nonlinearity, weights)
    return run(forward, by_vjp, module, weights, xs, states, upstream)


# For the registry alone.

_keras.require("jax")


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return _keras.environment("jax") | _jax.environment()


ADAPTERS = _keras.rows("jax", run_module, "jit", {"max_T": 32}, tanh=tanh, tanh_ulps=ULPS)
