"""Flax: ``SimpleCell`` stepped and in the layer ``RNN``, in both interfaces, linen and nnx."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax
import jax.numpy as jnp
from flax import linen, nnx

from adapters import Adapter, Way, _jax
from adapters._jax import ULPS, by_two_pull_backs, by_vjp, run, tanh
from adapters._way import unroll

# https://flax.readthedocs.io/en/stable/api_reference/flax.linen/layers.html, "Recurrent"; likewise flax.nnx/nn.
LAYOUTS = {
    "linen.RNN": {"cell/i/kernel": "Wx", "cell/i/bias": "b or 0", "cell/h/kernel": "Wh"},
    "linen.SimpleCell": {"i/kernel": "Wx", "i/bias": "b or 0", "h/kernel": "Wh"},
    "nnx.RNN": {"cell/dense_i/kernel": "Wx", "cell/dense_i/bias": "b or 0", "cell/dense_h/kernel": "Wh"},
    "nnx.SimpleCell": {"dense_i/kernel": "Wx", "dense_i/bias": "b or 0", "dense_h/kernel": "Wh"},
}


def linen_cell(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step ``linen.SimpleCell``."""
    cell = linen.SimpleCell(states[0].shape[-1], activation_fn=getattr(linen, nonlinearity))
    params = {"params": flax.traverse_util.unflatten_dict(weights, sep="/")}
    return jnp.stack(unroll(lambda x, h: cell.apply(params, h, x)[0], xs, states)[1:])


def linen_rnn(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``linen.RNN`` over ``linen.SimpleCell``, time first."""
    cell = linen.SimpleCell(states[0].shape[-1], activation_fn=getattr(linen, nonlinearity))
    params = flax.traverse_util.unflatten_dict(weights, sep="/")
    return linen.RNN(cell, time_major=True).apply({"params": params}, xs, initial_carry=states[0])


def linen_last_state(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``linen.RNN(return_carry=True)``, and take the last step from the last state."""
    cell = linen.SimpleCell(states[0].shape[-1], activation_fn=getattr(linen, nonlinearity))
    params = {"params": flax.traverse_util.unflatten_dict(weights, sep="/")}
    last, outputs = linen.RNN(cell, time_major=True, return_carry=True).apply(params, xs, initial_carry=states[0])
    return jnp.concatenate([outputs[:-1], last[None]])


def nnx_module(kind: Any, nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Return ``kind`` of an ``nnx.SimpleCell`` with these parameters, without drawing other parameters first."""
    like = {"dtype": xs.dtype, "param_dtype": xs.dtype, "activation_fn": getattr(nnx, nonlinearity)}
    sizes = xs.shape[-1], states[0].shape[-1]
    graph, state = nnx.split(nnx.eval_shape(lambda: kind(nnx.SimpleCell(*sizes, **like, rngs=nnx.Rngs(0)))))
    nnx.replace_by_pure_dict(state, flax.traverse_util.unflatten_dict(weights, sep="/"))
    return nnx.merge(graph, state)


def nnx_cell(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Step ``nnx.SimpleCell``."""
    cell = nnx_module(lambda cell: cell, nonlinearity, weights, xs, states)
    return jnp.stack(unroll(lambda x, h: cell(h, x)[0], xs, states)[1:])


def nnx_rnn(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nnx.RNN`` over ``nnx.SimpleCell``, time first."""
    kind = partial(nnx.RNN, time_major=True, rngs=False)
    return nnx_module(kind, nonlinearity, weights, xs, states)(xs, initial_carry=states[0])


def nnx_last_state(nonlinearity: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run ``nnx.RNN(return_carry=True)``, and take the last step from the last state."""
    kind = partial(nnx.RNN, time_major=True, return_carry=True, rngs=False)
    last, outputs = nnx_module(kind, nonlinearity, weights, xs, states)(xs, initial_carry=states[0])
    return jnp.concatenate([outputs[:-1], last[None]])


# For the registry alone.


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"flax": flax.__version__} | _jax.environment()


# D=0: the initialiser divides by D, although no parameters are drawn. T=0: the steps of a cell are unrolled, and
# jnp.stack needs at least one.
LAYER: dict[str, Any] = {"unsupported": ("D=0",)}
LINEN, NNX = (
    LAYER
    | {
        "options": {
            "last state": Way(LAYOUTS, run, name, (last_state, by_vjp)),
            "second pull-back": Way(LAYOUTS, run, name, (forward, by_two_pull_backs)),
        }
    }
    for name, forward, last_state in (("linen.RNN", linen_rnn, linen_last_state), ("nnx.RNN", nnx_rnn, nnx_last_state))
)
CELL: dict[str, Any] = {"unsupported": ("D=0", "T=0"), "max_T": 32}
ADAPTERS = tuple(
    Adapter(f"flax.{name}", Way(LAYOUTS, run, name, (forward, by_vjp)), describe, tanh, ULPS, **fields)
    for name, forward, describe, fields in (
        ("linen.SimpleCell", linen_cell, "linen.SimpleCell stepped, jit", CELL),
        ("linen.RNN", linen_rnn, "linen.RNN over linen.SimpleCell, jit", LINEN),
        ("nnx.SimpleCell", nnx_cell, "nnx.SimpleCell stepped, jit", CELL),
        ("nnx.RNN", nnx_rnn, "nnx.RNN over nnx.SimpleCell, jit", NNX),
    )
)
