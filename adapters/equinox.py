"""Equinox: ``nn.LSTMCell`` and ``nn.GRUCell``, which take one row, under ``jax.vmap`` in ``lax.scan``."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from adapters import Adapter, Way, _jax, gated
from adapters._jax import TAIL, ULPS, by_two_pull_backs, by_vjp, run, sigmoid, tanh

# https://docs.kidger.site/equinox/api/nn/rnn/
# fmt: off
LAYOUTS = {
    "LSTMCell": {"cell": "lstm i f g o", "weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias": "b"},
    "GRUCell": {"cell": "gru r z n", "weight_ih": "Wx.T", "weight_hh": "Wh.T", "bias": "b", "bias_n": "bn"},
}
# fmt: on
CELLS = {"lstm": eqx.nn.LSTMCell, "gru": eqx.nn.GRUCell}


def scan(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Scan a cell with these weights; return its last state and all of its states."""
    sizes, key = (xs.shape[-1], states[0].shape[-1]), jax.random.key(0)
    module = eqx.filter_eval_shape(CELLS[cell], *sizes, use_bias=len(weights) > 2, key=key)
    module = eqx.tree_at(lambda module: [getattr(module, name) for name in weights], module, list(weights.values()))

    def step(state: Any, x: Any) -> Any:
        state = jax.vmap(module)(x, state)
        return state, state

    return jax.lax.scan(step, states if len(states) > 1 else states[0], xs)


def scanned(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a cell in ``lax.scan``."""
    last, found = scan(cell, weights, xs, states)
    return (found[0], last[1]) if len(states) > 1 else found


def last_state(cell: str, weights: Any, xs: Any, states: Any) -> Any:
    """Run a cell in ``lax.scan``, and take the last step from the last state."""
    last, found = scan(cell, weights, xs, states)
    if len(states) == 1:
        return jnp.concatenate([found[:-1], last[None]])
    return jnp.concatenate([found[0][:-1], last[0][None]]), last[1]


# For the registry alone.


def environment() -> dict[str, str]:
    """Return the versions and the flags that decide the precision."""
    return {"equinox": eqx.__version__} | _jax.environment()


way = partial(Way, LAYOUTS, run)
of = partial(Adapter, tanh=tanh, tanh_ulps=ULPS, sigmoid=sigmoid, sigmoid_absolute=TAIL)
PARTS_OF = {"last state as h[-1]": (last_state, by_vjp), "second pull-back": (scanned, by_two_pull_backs)}
ADAPTERS = tuple(
    of(
        f"equinox.{kind}",
        way(kind, (scanned, by_vjp)),
        f"nn.{kind} under vmap in lax.scan, jit",
        options={name: way(kind, parts) for name, parts in PARTS_OF.items()},
        **gated(places["cell"].partition(" ")[0]),
    )
    for kind, places in LAYOUTS.items()
)
