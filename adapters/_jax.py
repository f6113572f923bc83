"""Shared by the frameworks on top of JAX: differentiation with JAX, and its tanh."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adapters._way import bound, mapped, pulled_twice

jitted = cache(jax.jit)


def run(forward: Any, differentiate: Any, nonlinearity: Any, weights: Any, xs: Any, *others: Any) -> Any:
    """Run on NumPy arrays. Without x64, JAX would convert float64 to float32 without a warning."""
    with jax.enable_x64(xs.dtype == np.float64):
        return mapped(np.array, differentiate(bound(forward, nonlinearity), weights, xs, *others))


@partial(jax.jit, static_argnums=0)
def by_vjp(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``jax.vjp``, with forward and pull-back jitted together."""
    outputs, pull_back = jax.vjp(forward, weights, xs, states)
    return outputs, pull_back(upstream)


def by_two_pull_backs(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``jax.vjp`` of a jitted forward, and expect equal gradients from two pull-backs.

    Under one ``jax.jit`` for both, XLA would compute one of them.
    """
    outputs, pull_back = jax.vjp(jitted(forward), weights, xs, states)
    return outputs, pulled_twice(partial(pull_back, upstream), np.asarray)


@partial(jax.jit, static_argnums=0)
def by_vmap(forward: Any, *arguments: Any) -> Any:
    """Differentiate a stack with ``jax.vjp`` under ``jax.vmap``; every array has one more leading axis."""
    return jax.vmap(partial(by_vjp, forward))(*arguments)


@partial(jax.jit, static_argnums=0)
def by_jvp(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate in forward mode, along a direction, with ``jax.jvp``."""
    outputs, along = jax.jvp(forward, (weights, xs, states), tangents)
    return (outputs, None), (along, None)


@partial(jax.jit, static_argnums=0)
def twice(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate the pull-back along a direction: ``jax.jvp`` of ``jax.vjp``, forward mode over reverse mode."""
    return jax.jvp(lambda *arguments: by_vjp(forward, *arguments, upstream), (weights, xs, states), tangents)


# For the registry alone.


def tanh(array: Any) -> Any:
    """Return jnp.tanh of a NumPy array, compiled."""
    with jax.enable_x64(array.dtype == np.float64):
        return np.array(compiled(array))


def sigmoid(array: Any) -> Any:
    """Return jax.nn.sigmoid of a NumPy array, compiled."""
    with jax.enable_x64(array.dtype == np.float64):
        return np.array(compiled_sigmoid(array))


compiled, compiled_sigmoid = jax.jit(jnp.tanh), jax.jit(jax.nn.sigmoid)

ULPS = {"float64": 8.0, "float32": 6.0, "bfloat16": 1.0, "float16": 1.0}
# In float16, the sigmoid returns 0 below -11.09 (FINDINGS.md).
TAIL = {"float16": 0.032}


def environment() -> dict[str, str]:
    """Return the version of JAX and the flags that decide its precision."""
    return {
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "default matmul precision": str(jax.config.jax_default_matmul_precision),
        "x64": "set for each case by its dtype",
    }
