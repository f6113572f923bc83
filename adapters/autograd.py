"""Autograd (HIPS): cells composed of ``autograd.numpy`` (Autograd ships none), in reverse and in forward mode."""

from __future__ import annotations

import importlib.metadata
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_jvp, make_vjp
from autograd.builtins import tuple as traced_tuple
from autograd.extend import defjvp, defvjp, primitive

from adapters import JVP, Adapter, Way, facts, gated
from adapters._composed import cells
from adapters._way import pulled_twice, unroll

# The composed cells have the parameters of the reference.
# fmt: off
LAYOUTS = {
    "vjp": {"Wx": "Wx", "Wh": "Wh", "b": "b"},
    "lstm.vjp": {"cell": "lstm i f g o", "Wx": "Wx", "Wh": "Wh", "b": "b"},
    "gru.vjp": {"cell": "gru r z n", "Wx": "Wx", "Wh": "Wh", "b": "b", "bn": "bn"},
    "gru_reset_before.vjp": {"cell": "gru_reset_before r z n", "Wx": "Wx", "Wh": "Wh", "b": "b"},
}
# fmt: on


def run(forward: Any, differentiate: Any, cell: str, *arrays: Any) -> Any:
    """Run on NumPy arrays. Autograd's derivative of tanh is 1 / cosh**2; if cosh**2 overflows, it is 0."""
    with np.errstate(over="ignore"):
        return differentiate(lambda arguments: forward(cell, *arguments), *arrays)


@primitive  # type: ignore[untyped-decorator]
def sigmoid(a: Any) -> Any:
    """Return the sigmoid. As a formula it would have a gradient of NaN where exp overflows."""
    small = np.exp(-np.abs(a))
    return np.where(a < 0, small, np.ones_like(small)) / (1 + small)


defvjp(sigmoid, lambda y, a: lambda g: g * y * (1 - y))
defjvp(sigmoid, lambda g, y, a: g * y * (1 - y))


def relu(a: Any) -> Any:
    """Return relu. The derivative of anp.maximum(a, 0) at a tie would be 1/2."""
    return anp.where(a <= 0, 0, a)


# With bfloat16, @ would return float32.
CELLS = cells(anp.tanh, sigmoid, relu, anp.dot)


def stepped(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step a composed cell."""
    found = unroll(partial(CELLS[cell], weights), xs, [states])[1:]
    hs = anp.stack([each[0] for each in found])
    return traced_tuple((hs, found[-1][1])) if len(states) > 1 else hs


def by_vjp(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``make_vjp``."""
    pull_back, outputs = make_vjp(forward)((weights, xs, states))
    return outputs, pull_back(upstream)


def by_two_pull_backs(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any) -> Any:
    """Differentiate with ``make_vjp``, and expect equal gradients from two pull-backs."""
    pull_back, outputs = make_vjp(forward)((weights, xs, states))
    return outputs, pulled_twice(partial(pull_back, upstream), np.asarray)


def by_jvp(forward: Any, weights: Any, xs: Any, states: Any, upstream: Any, tangents: Any) -> Any:
    """Differentiate in forward mode, along a direction, with ``make_jvp``."""
    outputs, along = make_jvp(forward)((weights, xs, states))(tangents)
    return (outputs, None), (along, None)


# For the registry alone.


environment = facts(autograd=importlib.metadata.version("autograd"), precision="that of each array")
ULPS = {"float64": 1.5, "float32": 2.5, "bfloat16": 1.0, "float16": 1.0}
way = partial(Way, LAYOUTS, run)
# anp.tanh is NumPy's tanh.
of = partial(Adapter, tanh=anp.tanh, tanh_ulps=ULPS, sigmoid=sigmoid)
# In forward mode, the derivative of relu is float64 (FINDINGS.md).
FORWARD = JVP | {"nonlinearities": ("tanh",)}


def rows(kind: str) -> tuple[Adapter, Adapter]:
    """Return the adapters of a cell."""
    cell, options = kind.rpartition(".")[0], {"second pull-back": way(kind, (stepped, by_two_pull_backs))}
    # max_T: each step of backward costs as much as the sequence, so long sequences take minutes.
    own: dict[str, Any] = {"max_T": 1000, "unsupported": ("T=0",)} | (gated(cell) if cell else {})
    along = {"unsupported": ("T=0",)} | (gated(cell, derivatives="jvp") if cell else FORWARD)
    name = f"autograd.{kind.removesuffix('vjp')}"
    return (
        of(f"{name}vjp", way(kind, (stepped, by_vjp)), "composed cell, make_vjp", options=options, **own),
        of(f"{name}jvp", way(kind, (stepped, by_jvp)), "composed cell, make_jvp: forward mode", **along),
    )


ADAPTERS = tuple(adapter for kind in LAYOUTS for adapter in rows(kind))
