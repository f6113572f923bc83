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

from adapters import Adapter, Idiom


def cell(weights: Any, h: Any, x: Any, nonlinearity: str) -> Any:
    """Return the next state of the composed cell; h (N, H), x (N, D)."""
    Wx, Wh, b = weights
    a = x @ Wx + h @ Wh
    f = jnp.tanh if nonlinearity == "tanh" else jax.nn.relu
    return f(a if b is None else a + b)


def unrolled(nonlinearity: str, xs: Any, h0: Any, weights: Any) -> Any:
    """Return all states of the cell stepped by a Python loop, which tracing unrolls."""
    states = [h0]
    for x in xs:
        states.append(cell(weights, states[-1], x, nonlinearity))
    return jnp.stack(states[1:])


def scanned(nonlinearity: str, xs: Any, h0: Any, weights: Any) -> Any:
    """Return all states of the cell under ``lax.scan``."""

    def step(h: Any, x: Any) -> Any:
        h = cell(weights, h, x, nonlinearity)
        return h, h

    return jax.lax.scan(step, h0, xs)[1]


def forward_and_pull_back(states: Any, nonlinearity: str, xs: Any, h0: Any, weights: Any, upstream: Any) -> Any:
    """Return all states and the gradients of xs, h0 and the weights."""
    hs, pull_back = jax.vjp(partial(states, nonlinearity), xs, h0, weights)
    return hs, pull_back(upstream)


jitted = jax.jit(forward_and_pull_back, static_argnums=(0, 1))


@partial(jax.jit, static_argnums=0)
def vmapped(nonlinearity: str, *arrays: Any) -> Any:
    """Return the same for a stack of cases, under ``lax.scan``."""
    return jax.vmap(partial(forward_and_pull_back, scanned, nonlinearity))(*arrays)


def flat(results: Any) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db as NumPy arrays."""
    return [np.array(array) for array in jax.tree.leaves(results)]


def run_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the unrolled cell; without x64, JAX would turn float64 into float32 and say nothing."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(jitted(unrolled, nonlinearity, xs, h0, (Wx, Wh, b), upstream))


def run_scan(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the cell under ``lax.scan``."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(jitted(scanned, nonlinearity, xs, h0, (Wx, Wh, b), upstream))


def run_vmap(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run a stack of cases: every array has one more leading axis."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(vmapped(nonlinearity, xs, h0, (Wx, Wh, b), upstream))


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
        "default matmul precision": str(jax.config.jax_default_matmul_precision),
        "x64": "set for each case by its dtype",
    }


TANH_ULPS = {"float64": 8.0, "float32": 6.0}

IMPORTS = "from functools import partial\n\nimport jax\nimport jax.numpy as jnp"
JITTED = "jitted = jax.jit(forward_and_pull_back, static_argnums=(0, 1))"

ADAPTERS = (
    Adapter.of_arrays(
        "jax.cell",
        Idiom(IMPORTS, (cell, unrolled, forward_and_pull_back, JITTED, flat, run_cell)),
        "composed cell, unrolled, jit",
        tanh,
        TANH_ULPS,
        max_T=32,
    ),
    Adapter.of_arrays(
        "jax.scan",
        Idiom(IMPORTS, (cell, scanned, forward_and_pull_back, JITTED, flat, run_scan)),
        "composed cell under lax.scan, jit",
        tanh,
        TANH_ULPS,
    ),
    Adapter.of_arrays(
        "jax.vmap",
        Idiom(IMPORTS, (cell, scanned, forward_and_pull_back, vmapped, flat, run_vmap)),
        "lax.scan, vmap over a stack, jit",
        tanh,
        TANH_ULPS,
        takes_stacks=True,
    ),
)
