"""The interface of a cell: its gates, its states, and two elementwise functions that run in any arithmetic.

The same code runs on float arrays, on ``Bounded`` arrays (values with a rigorous bound on rounding), and on ``Dual``
arrays (values with tangents). It also runs on object arrays of interval balls. The layer, not the cell, multiplies
matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

# An ndarray of floats or objects, a Bounded or a Dual: any type with the operators that a formula uses.
Array = Any
States = tuple[Array, ...]


def tanh_slope(h: Array) -> Array:
    """Return the derivative of tanh, 1 - h**2, written in terms of h = tanh(a).

    If an arithmetic has a method of this name, that method is used. Implementations write the derivative in several
    forms with different roundings, and a bound has to cover all of them.
    """
    return 1 - h * h if isinstance(h, np.ndarray) or not hasattr(h, "tanh_slope") else h.tanh_slope()


def sigmoid(a: Array) -> Array:
    """Return 1 / (1 + exp(-a)), of floats in the form that overflows nowhere and is relatively accurate everywhere."""
    if hasattr(a, "sigmoid"):
        return a.sigmoid()
    if a.dtype.kind != "f":
        return 1 / (1 + np.exp(-a))
    small = np.exp(-np.abs(a))
    return np.where(a < 0, small, 1) / (1 + small)


def sigmoid_slope(s: Array) -> Array:
    """Return the derivative of sigmoid, s * (1 - s), written in terms of s = sigmoid(a)."""
    return s.sigmoid_slope() if hasattr(s, "sigmoid_slope") else s * (1 - s)


def mixed(z: Array, n: Array, h: Array) -> Array:
    """Return (1 - z) * n + z * h, which implementations also write n + z * (h - n)."""
    return z.mixed(n, h) if hasattr(z, "mixed") else (1 - z) * n + through(z, h)


def through(gate: Array, a: Array) -> Array:
    """Return gate * a, the part of a state or of its gradient that a step passes on."""
    return gate.through(a) if hasattr(gate, "through") else gate * a


def blocks(a: Array, count: int) -> list[Array]:
    """Return the column blocks of an array, one for each gate: (..., G H) to G of (..., H)."""
    H = a.shape[-1] // count
    return [a[..., k * H : (k + 1) * H] for k in range(count)]


# name: (f, its derivative written in terms of h = f(a))
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, tanh_slope),
    "relu": (lambda a: np.maximum(a, 0), lambda h: h > 0),
}


class Cell:
    """Two elementwise functions, and the facts that the layer needs about them.

        u = x @ Wx + b                  input term, (N, G H), a column block for each gate
        v = h_prev @ Wh                 recurrent term, (N, G H)
        forward(u, v, states)           -> states after the step, saved
        backward(d_states, saved)       -> A = dLoss/du, the direct paths to the states before
        recurrent(A, saved)             -> A_h = dLoss/dv; A itself by default

    ``saved`` is a tuple of arrays. A direct path is the part of a state's gradient that passes the step without a
    matrix product. If there is no such part, it is None.

    If a cell has ``inner`` gates, their product is taken inside the step, and v and A_h do not have their columns. The
    layer then passes ``product(operand)`` = operand @ Wh[:, inner] to ``forward``. To ``backward`` it passes
    ``transposed(A_inner)`` = A_inner @ Wh[:, inner].T.

    Args:
        nonlinearity: one of ``nonlinearities``.

    Raises:
        ValueError: another nonlinearity.
    """

    gates: ClassVar[tuple[str, ...]]  # column blocks of Wx, Wh and b
    states: ClassVar[tuple[str, ...]] = ("h",)  # the output first
    inner: ClassVar[tuple[str, ...]] = ()  # the last gates, whose product is taken inside the step
    biased: ClassVar[str | None] = None  # the gate with a second bias, part of v; the parameter is "b" and its name
    candidates: ClassVar[tuple[str, ...]] = ()  # gates with the nonlinearity; all other gates have the sigmoid
    carries: ClassVar[bool] = False  # whether a step passes on more than the output: a second state, a direct path
    nonlinearities: ClassVar[tuple[str, ...]] = ("tanh",)

    def __init__(self, nonlinearity: str = "tanh") -> None:
        if nonlinearity not in self.nonlinearities:
            expected = f"expected nonlinearity to be one of {sorted(self.nonlinearities)}"
            raise ValueError(f"{type(self).__name__}: {expected}, got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self.f, self.derivative = NONLINEARITIES[nonlinearity]

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Return the names of the parameters: Wx, Wh, b, and the second bias of a cell that has one."""
        return ("Wx", "Wh", "b") if cls.biased is None else ("Wx", "Wh", "b", f"b{cls.biased}")

    def activation(self, gate: str, a: Array) -> Array:
        """Return the activation of a gate."""
        return self.f(a) if gate in self.candidates else sigmoid(a)

    def slope(self, gate: str, y: Array) -> Array:
        """Return the derivative of a gate's activation, written in terms of y = activation(a)."""
        return self.derivative(y) if gate in self.candidates else sigmoid_slope(y)

    def forward(self, u: Array, v: Array, states: States, **lent: Any) -> tuple[States, States]:
        """Return the states after the step, and the arrays that ``backward`` needs."""
        raise NotImplementedError

    def backward(self, d_states: States, saved: States, **lent: Any) -> tuple[Array, States]:
        """Return A, the gradient at u, and the direct paths to the states before the step."""
        raise NotImplementedError

    def recurrent(self, A: Array, saved: States) -> Array:
        """Return A_h, the gradient at v, from A."""
        return A

    def observed(self, saved: States, h: Array) -> States:
        """Return the saved arrays; if the output is among them, the output that was returned replaces it."""
        return saved
