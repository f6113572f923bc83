"""Autograd (HIPS): the cell composed of ``autograd.numpy`` (Autograd ships none), in reverse and in forward mode."""

from __future__ import annotations

import importlib.metadata
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_jvp, make_vjp

from adapters import JVP, Adapter, Way, facts
from adapters._way import pulled_twice, unroll

# The composed cell has the parameters of the reference.
LAYOUTS = {"vjp": {"Wx": "Wx", "Wh": "Wh", "b": "b"}}


def run(forward: Any, differentiate: Any, nonlinearity: str, *arrays: Any) -> Any:
    """Run on NumPy arrays. Autograd's derivative of tanh is 1 / cosh**2; if cosh**2 overflows, it is 0."""
    with np.errstate(over="ignore"):
        return differentiate(lambda arguments: forward(nonlinearity, *arguments), *arrays)


def cell(nonlinearity: str, weights: Any, x: Any, h: Any) -> Any:
    """Return the next state of the composed cell; x (N, D), h (N, H)."""
    a = anp.dot(x, weights["Wx"]) + anp.dot(h, weights["Wh"])
    a = a + weights["b"] if "b" in weights else a
    # The derivative of anp.maximum(a, 0) at a tie is 1/2.
    return anp.tanh(a) if nonlinearity == "tanh" else anp.where(a <= 0, 0, a)


def stepped(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step the composed cell."""
    return anp.stack(unroll(partial(cell, nonlinearity, weights), xs, states)[1:])


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
way = partial(Way, LAYOUTS, run, "vjp")
# anp.tanh is NumPy's tanh. max_T: each step of backward costs as much as the sequence, so long sequences take minutes.
of = partial(Adapter, tanh=anp.tanh, tanh_ulps=ULPS, unsupported=("T=0",))
OPTIONS = {"second pull-back": way((stepped, by_two_pull_backs))}
# In forward mode, the derivative of relu is float64 (FINDINGS.md).
FORWARD = JVP | {"nonlinearities": ("tanh",)}
ADAPTERS = (
    of("autograd.vjp", way((stepped, by_vjp)), "composed cell, make_vjp", max_T=1000, options=OPTIONS),
    of("autograd.jvp", way((stepped, by_jvp)), "composed cell, make_jvp: forward mode", **FORWARD),
)
