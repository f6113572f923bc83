"""The cells composed of jax.numpy, since JAX ships none."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


def lstm(weights: Any, x: Any, states: Any) -> Any:
    """Return h and c after a step of the composed LSTM."""
    h, c = states
    i, f, g, o = jnp.split(x @ weights["Wx"] + h @ weights["Wh"] + weights.get("b", 0), 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(weights: Any, x: Any, states: Any, *, reset_before: bool = False) -> Any:
    """Return h after a step of the composed GRU."""
    (h,), H = states, states[0].shape[-1]
    u_r, u_z, u_n = jnp.split(x @ weights["Wx"] + weights.get("b", 0), 3, axis=-1)
    v_r, v_z = jnp.split(h @ weights["Wh"][:, : 2 * H], 2, axis=-1)
    r, z, Wh_n = jax.nn.sigmoid(u_r + v_r), jax.nn.sigmoid(u_z + v_z), weights["Wh"][:, 2 * H :]
    v_n = (r * h) @ Wh_n if reset_before else r * (h @ Wh_n + weights.get("bn", 0))
    return ((1 - z) * jnp.tanh(u_n + v_n) + z * h,)


def rnn(f: Any, weights: Any, x: Any, states: Any) -> Any:
    """Return h after a step of the composed cell."""
    a = x @ weights["Wx"] + states[0] @ weights["Wh"]
    return (f(a + weights["b"] if "b" in weights else a),)


CELLS: dict[str, Any] = {"lstm": lstm, "gru": gru, "gru_reset_before": partial(gru, reset_before=True)}
CELLS |= {"tanh": partial(rnn, jnp.tanh), "relu": partial(rnn, jax.nn.relu)}
