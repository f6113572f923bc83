"""JAX: the cell composed of jax.numpy (JAX ships none), unrolled, under ``lax.scan``, and ``vmap``-ped over a stack.

Each is one function at module level that is jitted forward and pull-back together: a ``jax.jit`` made anew for every
call would compile every time.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.version
import numpy as np
from jax import Array

from adapters import Adapter
from reference import Case, Evaluation

Weights = tuple[Array, Array, Array | None]


def cell(weights: Weights, h: Array, x: Array, nonlinearity: str) -> Array:
    """Return the next state of the composed cell; h (N, H), x (N, D)."""
    Wx, Wh, b = weights
    a = x @ Wx + h @ Wh
    f = jnp.tanh if nonlinearity == "tanh" else jax.nn.relu
    return f(a if b is None else a + b)


def unrolled(nonlinearity: str, xs: Array, h0: Array, weights: Weights) -> Array:
    """Return all states of the cell stepped by a Python loop, which tracing unrolls."""
    states = [h0]
    for x in xs:
        states.append(cell(weights, states[-1], x, nonlinearity))
    return jnp.stack(states[1:])


def scanned(nonlinearity: str, xs: Array, h0: Array, weights: Weights) -> Array:
    """Return all states of the cell under ``lax.scan``."""

    def step(h: Array, x: Array) -> tuple[Array, Array]:
        h = cell(weights, h, x, nonlinearity)
        return h, h

    return jax.lax.scan(step, h0, xs)[1]


def _forward_and_pull_back(f: Any, nonlinearity: str, xs: Any, h0: Any, weights: Any, upstream: Any) -> Any:
    hs, pull_back = jax.vjp(partial(f, nonlinearity), xs, h0, weights)
    return hs, pull_back(upstream)


_cell = jax.jit(partial(_forward_and_pull_back, unrolled), static_argnums=0)
_scan = jax.jit(partial(_forward_and_pull_back, scanned), static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _vmap(nonlinearity: str, *arrays: Any) -> Any:
    return jax.vmap(partial(_forward_and_pull_back, scanned, nonlinearity))(*arrays)


def _run(function: Any, case: Case) -> Evaluation:
    weights = tuple(case.params.fields().values())
    # Without x64, JAX turns float64 into float32 and says nothing.
    with jax.enable_x64(case.dtype == "float64"):
        hs, (dxs, dh0, dweights) = function(case.nonlinearity, case.xs, case.h0, weights, case.upstream)
        return Evaluation(hs, dxs, dh0, *dweights).map(np.array)


def tanh(array: Any) -> Any:
    """Return jnp.tanh of a NumPy array, as compiled."""
    with jax.enable_x64(array.dtype == np.float64):
        return np.array(_tanh(array))


_tanh = jax.jit(jnp.tanh)


def environment() -> dict[str, str]:
    """Return the version of JAX and the flags that decide its precision."""
    return {
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "backend": jax.default_backend(),
        "default matmul precision": str(jax.config.jax_default_matmul_precision),  # type: ignore[attr-defined]
        "x64": "set for each case by its dtype",
    }


TANH_ULPS = {"float64": 8.0, "float32": 6.0}

ADAPTERS = (
    Adapter("jax.cell", partial(_run, _cell), "composed cell, unrolled, jit", tanh, TANH_ULPS, max_T=32),
    Adapter("jax.scan", partial(_run, _scan), "composed cell under lax.scan, jit", tanh, TANH_ULPS),
    Adapter("jax.vmap", partial(_run, _vmap), "lax.scan, vmap over a stack, jit", tanh, TANH_ULPS, takes_stacks=True),
)
