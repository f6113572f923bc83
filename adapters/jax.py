"""JAX: a cell composed of jax.numpy (JAX ships none), in every way in which JAX runs and differentiates it.

Each differentiator is one function at module level, jitted with everything that it calls. A ``jax.jit`` created for
every call would compile every time.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.version

from adapters import JVP, TWICE, Adapter, Way, _jax
from adapters._jax import ULPS, by_vjp, run, tanh
from adapters._way import unroll

# The composed cell has the parameters of the reference.
LAYOUTS = {"scan": {"Wx": "Wx", "Wh": "Wh", "b": "b"}, "cell": {"Wx": "Wx", "Wh": "Wh", "b": "b"}}


def cell(nonlinearity: str, weights: Any, x: Any, h: Any) -> Any:
    """Return the next state of the composed cell; x (N, D), h (N, H)."""
    a = x @ weights["Wx"] + h @ weights["Wh"]
    f = jnp.tanh if nonlinearity == "tanh" else jax.nn.relu
    return f(a + weights["b"] if "b" in weights else a)


def unrolled(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step the cell in a Python loop, which tracing unrolls."""
    return jnp.stack(unroll(partial(cell, nonlinearity, weights), xs, states)[1:])


def scanned(nonlinearity: str, weights: Any, xs: Any, states: Any, wrapper: Any = lambda step: step) -> Any:
    """Run the cell under ``lax.scan``."""

    def step(h: Any, x: Any) -> Any:
        h = cell(nonlinearity, weights, x, h)
        return h, h

    return jax.lax.scan(wrapper(step), *states, xs)[1]


def checkpointed(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the cell under ``lax.scan`` with each step under ``jax.checkpoint``; backward recomputes the states."""
    return scanned(nonlinearity, weights, xs, states, jax.checkpoint)


def eagerly(forward: Any, *arguments: Any) -> Any:
    """Differentiate with ``jax.vjp`` operation by operation, without ``jax.jit``."""
    return by_vjp.__wrapped__(forward, *jax.tree.map(jnp.asarray, arguments))


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


def environment() -> dict[str, str]:
    """Return the version of JAX and the flags that decide its precision."""
    return _jax.environment() | {"jaxlib": jaxlib.version.__version__}


of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS)
loop = partial(Way, LAYOUTS, run, "cell")
scan = partial(Way, LAYOUTS, run, "scan")
# T=0 is unsupported in a Python loop, because jnp.stack needs at least one step.
EAGER: dict[str, Any] = {"max_T": 8, "slow": True, "unsupported": ("T=0",)}
SECOND = "jvp of vjp: second derivatives, jit"
STATES = "lax.scan of a step under jax.checkpoint, jit"
ADAPTERS = (
    of("jax.eager", loop((unrolled, eagerly)), "composed cell, operation by operation", **EAGER),
    of("jax.cell", loop((unrolled, by_vjp)), "composed cell, unrolled, jit", max_T=32, unsupported=("T=0",)),
    of("jax.scan", scan((scanned, by_vjp)), "composed cell under lax.scan, jit"),
    of("jax.checkpoint", scan((checkpointed, by_vjp)), STATES, recomputes=("states",)),
    of("jax.vmap", scan((scanned, by_vmap)), "lax.scan, vmap over a stack, jit", takes_stacks=True),
    of("jax.jvp", scan((scanned, by_jvp)), "lax.scan, jax.jvp: forward mode, jit", **JVP),
    of("jax.twice", loop((unrolled, twice)), f"composed cell, unrolled, {SECOND}", unsupported=("T=0",), **TWICE),
    # The second derivative of relu at 0 is wrong under lax.scan (FINDINGS.md).
    of("jax.scan_twice", scan((scanned, twice)), f"lax.scan, {SECOND}", nonlinearities=("tanh",), **TWICE),
)
