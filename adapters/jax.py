"""JAX: a cell composed of jax.numpy (JAX ships none), in every way in which JAX runs and differentiates it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib.version

from adapters import JVP, TWICE, Adapter, LayersWay, Way, _jax, _jax_layers, _jax_module, gated
from adapters._jax import TAIL, ULPS, by_vjp, run, sigmoid, tanh
from adapters._jax_cells import CELLS
from adapters._way import unroll

# The composed cells have the parameters of the reference.
LAYOUTS = {
    "scan": {"Wx": "Wx", "Wh": "Wh", "b": "b"},
    "cell": {"Wx": "Wx", "Wh": "Wh", "b": "b"},
    "lstm.scan": {"cell": "lstm i f g o", "Wx": "Wx", "Wh": "Wh", "b": "b"},
    "gru.scan": {"cell": "gru r z n", "Wx": "Wx", "Wh": "Wh", "b": "b", "bn": "bn"},
    "gru_reset_before.scan": {"cell": "gru_reset_before r z n", "Wx": "Wx", "Wh": "Wh", "b": "b"},
}
# Those with names of several layers, "Wx_l1".
LAYERED = ("scan", "lstm.scan", "gru.scan", "gru_reset_before.scan")


def unrolled(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step the cell in a Python loop, which tracing unrolls."""
    found = unroll(partial(CELLS[cell], weights), xs, [states])[1:]
    outputs = jnp.stack([each[0] for each in found])
    return (outputs, *found[-1][1:]) if states[1:] else outputs


def scanned(cell: str, weights: Any, xs: Any, states: Any, wrapper: Any = lambda step: step) -> Any:
    """Run the cell under ``lax.scan``."""
    last, outputs = scan(cell, weights, xs, states, wrapper)
    return (outputs, *last[1:]) if last[1:] else outputs


def scan(cell: str, weights: Any, xs: Any, states: Any, wrapper: Any = lambda step: step) -> Any:
    """Return the states after the last step, and all outputs."""

    def step(states: Any, x: Any) -> Any:
        states = CELLS[cell](weights, x, states)
        return states, states[0]

    return jax.lax.scan(wrapper(step), states, xs)


def last_state(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the cell under ``lax.scan``, and take the last step from the last state."""
    last, outputs = scan(cell, weights, xs, states)
    outputs = jnp.concatenate([outputs[:-1], last[0][None]])
    return (outputs, *last[1:]) if last[1:] else outputs


def checkpointed(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run the cell under ``lax.scan`` with each step under ``jax.checkpoint``; backward recomputes the states."""
    return scanned(cell, weights, xs, states, jax.checkpoint)


def eagerly(forward: Any, *arguments: Any) -> Any:
    """Differentiate with ``jax.vjp`` operation by operation, without ``jax.jit``."""
    return by_vjp.__wrapped__(forward, *jax.tree.map(jnp.asarray, arguments))


# For the registry alone.

drop_in, function = _jax_module.drop_in, _jax_module.function


def environment() -> dict[str, str]:
    """Return the version of JAX and the flags that decide its precision."""
    return _jax.environment() | {"jaxlib": jaxlib.version.__version__}


of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, sigmoid=sigmoid, sigmoid_absolute=TAIL)
way, layers = partial(Way, LAYOUTS, run), partial(LayersWay, LAYOUTS, partial(_jax_layers.run, _jax_layers.layer))
# T=0 is unsupported in a Python loop, because jnp.stack needs at least one step.
EAGER: dict[str, Any] = {"max_T": 8, "slow": True, "unsupported": ("T=0",)}
SECOND = "jvp of vjp: second derivatives, jit"
STATES = "lax.scan of a step under jax.checkpoint, jit"


def of_scan(kind: str) -> dict[str, Any]:
    """Return the layers and the options of a cell under ``lax.scan``."""
    parts = {"last state as h[-1]": (last_state, by_vjp), "second pull-back": (scanned, _jax.by_two_pull_backs)}
    return {"layers": layers(kind), "options": {name: way(kind, each) for name, each in parts.items()}}


def of_gated(cell: str) -> tuple[Adapter, ...]:
    """Return the adapters of a gated cell, in six ways."""
    own, along, second = gated(cell), gated(cell, derivatives="jvp"), gated(cell, derivatives="hvp")
    named, by, rest = f"jax.{cell}", partial(way, f"{cell}.scan"), own | {"main": False}
    return (
        of(f"{named}.scan", by((scanned, by_vjp)), "under lax.scan, jit", **of_scan(f"{cell}.scan"), **own),
        of(f"{named}.cell", by((unrolled, by_vjp)), "unrolled, jit", max_T=32, unsupported=("T=0",), **rest),
        of(f"{named}.checkpoint", by((checkpointed, by_vjp)), STATES, recomputes=("states",), **rest),
        of(f"{named}.vmap", by((scanned, _jax.by_vmap)), "lax.scan, vmap over a stack, jit", takes_stacks=True, **rest),
        of(f"{named}.jvp", by((scanned, _jax.by_jvp)), "lax.scan, jax.jvp: forward mode, jit", **along),
        of(f"{named}.twice", by((scanned, _jax.twice)), f"lax.scan, {SECOND}", **second),
    )


ADAPTERS = (
    of("jax.eager", way("cell", (unrolled, eagerly)), "composed cell, operation by operation", **EAGER),
    of("jax.cell", way("cell", (unrolled, by_vjp)), "composed cell, unrolled, jit", max_T=32, unsupported=("T=0",)),
    of("jax.scan", way("scan", (scanned, by_vjp)), "composed cell under lax.scan, jit", **of_scan("scan")),
    of("jax.checkpoint", way("scan", (checkpointed, by_vjp)), STATES, recomputes=("states",), main=False),
    of("jax.vmap", way("scan", (scanned, _jax.by_vmap)), "lax.scan, vmap over a stack, jit", takes_stacks=True),
    of("jax.jvp", way("scan", (scanned, _jax.by_jvp)), "lax.scan, jax.jvp: forward mode, jit", **JVP),
    of("jax.twice", way("cell", (unrolled, _jax.twice)), f"unrolled, {SECOND}", unsupported=("T=0",), **TWICE),
    # The second derivative of relu at 0 is wrong under lax.scan (FINDINGS.md).
    of("jax.scan_twice", way("scan", (scanned, _jax.twice)), f"lax.scan, {SECOND}", nonlinearities=("tanh",), **TWICE),
    *of_gated("lstm"),
    *of_gated("gru"),
    *of_gated("gru_reset_before"),
)
