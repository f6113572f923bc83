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
    ``transposed(A)`` = A[:, inner] @ Wh[:, inner].T.

    Args:
        nonlinearity: one of ``nonlinearities``.

    Raises:
        ValueError: another nonlinearity.
    """

    gates: ClassVar[tuple[str, ...]]  # column blocks of Wx, Wh and b
    states: ClassVar[tuple[str, ...]] = ("h",)  # the output first
    inner: ClassVar[tuple[str, ...]] = ()  # the last gates, whose product is taken inside the step
    biased: ClassVar[str | None] = None  # the gate with a second bias, part of v; the parameter is "b" and its name
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
