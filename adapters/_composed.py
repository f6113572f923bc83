"""The cells composed of a framework's own operations, for frameworks that ship none."""

from __future__ import annotations

from functools import partial
from typing import Any


def cells(tanh: Any, sigmoid: Any, relu: Any) -> dict[str, Any]:
    """Return functions of weights, x and states to the states after a step, by name of the cell."""
    found: dict[str, Any] = {"lstm": partial(lstm, tanh, sigmoid), "gru": partial(gru, tanh, sigmoid, False)}
    found |= {"gru_reset_before": partial(gru, tanh, sigmoid, True)}
    return found | {"tanh": partial(rnn, tanh), "relu": partial(rnn, relu)}


def blocks(a: Any, H: int) -> list[Any]:
    """Return the column blocks of an array, each of H columns."""
    return [a[..., first : first + H] for first in range(0, a.shape[-1], H)]


def lstm(tanh: Any, sigmoid: Any, weights: Any, x: Any, states: Any) -> Any:
    """Return h and c after a step of the LSTM."""
    h, c = states
    i, f, g, o = blocks(x @ weights["Wx"] + h @ weights["Wh"] + weights.get("b", 0), h.shape[-1])
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru(tanh: Any, sigmoid: Any, reset_before: bool, weights: Any, x: Any, states: Any) -> Any:
    """Return h after a step of the GRU."""
    (h,), H = states, states[0].shape[-1]
    u_r, u_z, u_n = blocks(x @ weights["Wx"] + weights.get("b", 0), H)
    v_r, v_z = blocks(h @ weights["Wh"][:, : 2 * H], H)
    r, z, Wh_n = sigmoid(u_r + v_r), sigmoid(u_z + v_z), weights["Wh"][:, 2 * H :]
    v_n = (r * h) @ Wh_n if reset_before else r * (h @ Wh_n + weights.get("bn", 0))
    return ((1 - z) * tanh(u_n + v_n) + z * h,)


def rnn(f: Any, weights: Any, x: Any, states: Any) -> Any:
    """Return h after a step of the vanilla cell."""
    a = x @ weights["Wx"] + states[0] @ weights["Wh"]
    return (f(a + weights["b"] if "b" in weights else a),)
