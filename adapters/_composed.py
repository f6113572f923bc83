"""The cells composed of a framework's own operations, for frameworks that ship none."""

from __future__ import annotations

from functools import partial
from operator import matmul
from typing import Any


def cells(tanh: Any, sigmoid: Any, relu: Any, dot: Any = matmul) -> dict[str, Any]:
    """Return functions of weights, x and states to the states after a step, by name of the cell."""
    gated = dot, tanh, sigmoid
    found: dict[str, Any] = {"lstm": partial(lstm, *gated), "gru": partial(gru, *gated, False)}
    found |= {"gru_reset_before": partial(gru, *gated, True)}
    return found | {"tanh": partial(rnn, dot, tanh), "relu": partial(rnn, dot, relu)}


def blocks(a: Any, H: int) -> list[Any]:
    """Return the column blocks of an array, each of H columns."""
    return [a[..., first : first + H] for first in range(0, a.shape[-1], H)]


def lstm(dot: Any, tanh: Any, sigmoid: Any, weights: Any, x: Any, states: Any) -> Any:
    """Return h and c after a step of the LSTM."""
    h, c = states
    i, f, g, o = blocks(dot(x, weights["Wx"]) + dot(h, weights["Wh"]) + weights.get("b", 0), h.shape[-1])
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru(dot: Any, tanh: Any, sigmoid: Any, reset_before: bool, weights: Any, x: Any, states: Any) -> Any:
    """Return h after a step of the GRU."""
    (h,), H = states, states[0].shape[-1]
    u_r, u_z, u_n = blocks(dot(x, weights["Wx"]) + weights.get("b", 0), H)
    v_r, v_z = blocks(dot(h, weights["Wh"][:, : 2 * H]), H)
    r, z, Wh_n = sigmoid(u_r + v_r), sigmoid(u_z + v_z), weights["Wh"][:, 2 * H :]
    v_n = dot(r * h, Wh_n) if reset_before else r * (dot(h, Wh_n) + weights.get("bn", 0))
    return ((1 - z) * tanh(u_n + v_n) + z * h,)


def rnn(dot: Any, f: Any, weights: Any, x: Any, states: Any) -> Any:
    """Return h after a step of the vanilla cell."""
    a = dot(x, weights["Wx"]) + dot(states[0], weights["Wh"])
    return (f(a + weights["b"] if "b" in weights else a),)
