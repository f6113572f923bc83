"""JAX: the cell composed of jax.numpy (JAX ships none), in every way in which JAX runs and differentiates it.

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

from adapters import Adapter, Idiom, _jax
from adapters._jax import TANH_ULPS, tanh
from reference.verdict import QUANTITIES

# A composed cell has its parameters as they are.
LAYOUTS = {"scan": {"Wx": "Wx", "Wh": "Wh", "b": "b"}, "cell": {"Wx": "Wx", "Wh": "Wh", "b": "b"}}


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


def checkpointed(nonlinearity: str, xs: Any, h0: Any, weights: Any) -> Any:
    """Return the same with each step under ``jax.checkpoint``: backward computes its states once more."""

    def step(h: Any, x: Any) -> Any:
        h = cell(weights, h, x, nonlinearity)
        return h, h

    return jax.lax.scan(jax.checkpoint(step), h0, xs)[1]


def forward_and_pull_back(states: Any, nonlinearity: str, xs: Any, h0: Any, weights: Any, upstream: Any) -> Any:
    """Return all states and the gradients of xs, h0 and the weights."""
    hs, pull_back = jax.vjp(partial(states, nonlinearity), xs, h0, weights)
    return hs, pull_back(upstream)


jitted = jax.jit(forward_and_pull_back, static_argnums=(0, 1))


@partial(jax.jit, static_argnums=0)
def vmapped(nonlinearity: str, *arrays: Any) -> Any:
    """Return the same for a stack of cases, under ``lax.scan``."""
    return jax.vmap(partial(forward_and_pull_back, scanned, nonlinearity))(*arrays)


@partial(jax.jit, static_argnums=0)
def pushed_forward(nonlinearity: str, primals: Any, tangents: Any) -> Any:
    """Return all states and their derivative along a direction."""
    return jax.jvp(partial(scanned, nonlinearity), primals, tangents)


@partial(jax.jit, static_argnums=(0, 1))
def differentiated_twice(states: Any, nonlinearity: str, primals: Any, tangents: Any, upstream: Any) -> Any:
    """Return states and gradients, and the derivatives of both along a direction: forward mode over reverse mode."""

    def function(xs: Any, h0: Any, weights: Any) -> Any:
        return forward_and_pull_back(states, nonlinearity, xs, h0, weights, upstream)

    return jax.jvp(function, primals, tangents)


def flat(results: Any) -> list[Any]:
    """Return hs, dxs, dh0, dWx, dWh and, with a bias, db as NumPy arrays."""
    return [np.array(array) for array in jax.tree.leaves(results)]


def run_eager(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the cell operation by operation, nothing compiled as a whole."""
    with jax.enable_x64(xs.dtype == np.float64):
        arrays = jax.tree.map(jnp.asarray, (xs, h0, (Wx, Wh, b), upstream))
        return flat(forward_and_pull_back(unrolled, nonlinearity, *arrays))


def run_cell(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the unrolled cell; without x64, JAX would turn float64 into float32 and say nothing."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(jitted(unrolled, nonlinearity, xs, h0, (Wx, Wh, b), upstream))


def run_scan(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the cell under ``lax.scan``."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(jitted(scanned, nonlinearity, xs, h0, (Wx, Wh, b), upstream))


def run_checkpoint(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run the cell under ``lax.scan``, each step under ``jax.checkpoint``."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(jitted(checkpointed, nonlinearity, xs, h0, (Wx, Wh, b), upstream))


def run_vmap(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str) -> list[Any]:
    """Run a stack of cases: every array has one more leading axis."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(vmapped(nonlinearity, xs, h0, (Wx, Wh, b), upstream))


def run_jvp(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any) -> list[Any]:
    """Differentiate forwards, along a direction, with ``jax.jvp``."""
    with jax.enable_x64(xs.dtype == np.float64):
        return flat(pushed_forward(nonlinearity, (xs, h0, (Wx, Wh, b)), (*dots[:2], dots[2:])))


def run_twice(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any) -> list[Any]:
    """Differentiate the pull-back of the unrolled cell along a direction, with ``jax.jvp`` of ``jax.vjp``."""
    with jax.enable_x64(xs.dtype == np.float64):
        primals, tangents = (xs, h0, (Wx, Wh, b)), (*dots[:2], dots[2:])
        return flat(differentiated_twice(unrolled, nonlinearity, primals, tangents, upstream))


def scan_twice(xs: Any, h0: Any, Wx: Any, Wh: Any, b: Any, upstream: Any, nonlinearity: str, *dots: Any) -> list[Any]:
    """Differentiate the pull-back of ``lax.scan`` along a direction."""
    with jax.enable_x64(xs.dtype == np.float64):
        primals, tangents = (xs, h0, (Wx, Wh, b)), (*dots[:2], dots[2:])
        return flat(differentiated_twice(scanned, nonlinearity, primals, tangents, upstream))


def environment() -> dict[str, str]:
    """Return the version of JAX and the flags that decide its precision."""
    return _jax.environment() | {"jaxlib": jaxlib.version.__version__}


IMPORTS = "from functools import partial\n\nimport jax\nimport jax.numpy as jnp"
JITTED = "jitted = jax.jit(forward_and_pull_back, static_argnums=(0, 1))"


def of_parts(name: str, parts: tuple[Any, ...], describe: str, **fields: Any) -> Adapter:
    """Return the adapter whose idiom consists of the cell and these parts."""
    return Adapter.of_arrays(name, Idiom(IMPORTS, (cell, *parts)), describe, tanh, TANH_ULPS, **fields)


ADAPTERS = (
    of_parts(
        "jax.eager",
        (unrolled, forward_and_pull_back, flat, run_eager),
        "composed cell, operation by operation",
        max_T=8,
        slow=True,
        unsupported=("T=0",),
    ),
    of_parts(
        "jax.cell",
        (unrolled, forward_and_pull_back, JITTED, flat, run_cell),
        "composed cell, unrolled, jit",
        recomputes=("steps",),
        max_T=32,
        unsupported=("T=0",),
    ),
    of_parts(
        "jax.scan",
        (scanned, forward_and_pull_back, JITTED, flat, run_scan),
        "composed cell under lax.scan, jit",
    ),
    of_parts(
        "jax.checkpoint",
        (checkpointed, forward_and_pull_back, JITTED, flat, run_checkpoint),
        "lax.scan of a step under jax.checkpoint, jit",
        recomputes=("states",),
    ),
    of_parts(
        "jax.vmap",
        (scanned, forward_and_pull_back, vmapped, flat, run_vmap),
        "lax.scan, vmap over a stack, jit",
        takes_stacks=True,
        vectorized=True,
    ),
    of_parts(
        "jax.jvp",
        (scanned, pushed_forward, flat, run_jvp),
        "lax.scan, jax.jvp: forward mode, jit",
        offers=("h", "jvp h"),
    ),
    of_parts(
        "jax.twice",
        (unrolled, forward_and_pull_back, differentiated_twice, flat, run_twice),
        "composed cell, unrolled, jvp of vjp: second derivatives, jit",
        recomputes=("steps",),
        max_T=8,
        unsupported=("T=0",),
        offers=tuple(QUANTITIES.values()),
    ),
    of_parts(
        "jax.scan_twice",
        (scanned, forward_and_pull_back, differentiated_twice, flat, scan_twice),
        "lax.scan, jvp of vjp: second derivatives, jit",
        # Under lax.scan, the second derivative of relu at 0 is wrong: tests/findings has it.
        nonlinearities=("tanh",),
        offers=tuple(QUANTITIES.values()),
    ),
)
